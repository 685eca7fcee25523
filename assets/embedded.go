package assets

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

//go:embed all:images
var embedded embed.FS

// Embedded returns the images that this binary was built with; without "make images" it holds none.
func Embedded() fs.FS {
	// A constant valid path is all that Sub asks for.
	images, _ := fs.Sub(embedded, "images")
	return images
}

// image is a folder of files that were made together.
type image struct {
	folder   string
	required []string
}

const ipxeFolder = "ipxe"

func knownImages() []image {
	return []image{
		{folder: "agent-amd64", required: []string{"vmlinuz", "initramfs.xz", "drivers.zst"}},
		{folder: ipxeFolder, required: []string{"undionly.kpxe", "snponly.efi", "ipxe.efi"}},
	}
}

// alias is a name that a boot file is served under.
type alias struct {
	name, file string
}

// bootFileNames are the names of Sidero Metal. Its snp.efi is iPXE on the firmware's own network driver, which Debian
// calls snponly.efi; some firmware asks for the BIOS file with ".0" at its end, as PXE 2.1 boot servers number layers.
func bootFileNames() []alias {
	return []alias{
		{"undionly.kpxe", "undionly.kpxe"},
		{"undionly.kpxe.0", "undionly.kpxe"},
		{"snp.efi", "snponly.efi"},
		{"snponly.efi", "snponly.efi"},
		{"ipxe.efi", "ipxe.efi"},
		{"snp-arm64.efi", "ipxe-arm64.efi"},
		{"ipxe-arm64.efi", "ipxe-arm64.efi"},
	}
}

// Image is what went into one folder of images.
type Image struct {
	Name     string
	Packages []Package
}

// Versions lists the packages in the images, for people and for licence notices. An image that is missing is left out.
func Versions(images fs.FS) ([]Image, error) {
	var versions []Image
	for _, image := range knownImages() {
		manifest, err := readManifest(images, image.folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read image %s: %w", image.folder, err)
		}
		versions = append(versions, Image{Name: image.folder, Packages: manifest.packages()})
	}
	return versions, nil
}

// loadImages describes every file of every known image, by "folder/name".
func loadImages(images fs.FS) (map[string]File, error) {
	files := map[string]File{}
	var missing []string
	for _, image := range knownImages() {
		manifest, err := readManifest(images, image.folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read image %s: %w: run \"make images\" again, then \"make build\"", image.folder, err)
		}
		for _, entry := range manifest.Files {
			name := path.Join(image.folder, entry.Name)
			files[name] = imageFile(images, name, entry)
		}
		for _, required := range image.required {
			name := path.Join(image.folder, required)
			if _, ok := files[name]; !ok {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("open images: this binary was built without %s: run \"make images\", then \"make build\"",
			strings.Join(missing, ", "))
	}
	return files, nil
}

func imageFile(images fs.FS, name string, entry manifestFile) File {
	return File{
		Name:   name,
		Size:   entry.Size,
		Digest: strings.ToLower(entry.SHA256),
		open: func() (io.ReadSeekCloser, error) {
			file, err := images.Open(name)
			if err != nil {
				return nil, err
			}
			content, ok := file.(io.ReadSeekCloser)
			if !ok {
				return nil, errors.Join(errors.New("its file system cannot seek"), file.Close())
			}
			return content, nil
		},
	}
}
