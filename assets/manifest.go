package assets

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// manifestName is the file in each image folder that says what else is in it.
const manifestName = "manifest.json"

// manifest is what this package reads of a manifest.json, written when the images are made.
type manifest struct {
	// Kernel is the package of a boot environment's kernel.
	Kernel *Package `json:"kernel"`
	// Firmware are the packages of what its drivers load into devices.
	Firmware []Package `json:"firmware"`
	// Package is the one that all files of a folder were taken from.
	Package *Package `json:"package"`
	// Files of the folder that may be served.
	Files []manifestFile `json:"files"`
}

// Package is a Debian binary package that ended up in an image.
type Package struct {
	Name    string `json:"package"`
	Version string `json:"version"`
	// SHA256 of the package file, in hexadecimal.
	SHA256 string `json:"sha256"`
	// Source and SourceVersion name the source package, for licence notices.
	Source        string `json:"source"`
	SourceVersion string `json:"sourceVersion"`
	// BuiltUsing is Debian's control field of that name: of a signed kernel, the source package that holds the code.
	BuiltUsing string `json:"builtUsing"`
}

// packages lists where the files came from.
func (m manifest) packages() []Package {
	var packages []Package
	for _, origin := range []*Package{m.Kernel, m.Package} {
		if origin != nil {
			packages = append(packages, *origin)
		}
	}
	return append(packages, m.Firmware...)
}

// manifestFile is one file of an image folder.
type manifestFile struct {
	Name string `json:"name"`
	// SHA256 of the content, in hexadecimal.
	SHA256 string `json:"sha256"`
	// Size in bytes.
	Size int64 `json:"size"`
}

// readManifest reads a folder's manifest and holds each of its files to the size it states. Contents are not read. The
// error is fs.ErrNotExist only when the manifest itself is missing: it is written last.
func readManifest(images fs.FS, folder string) (manifest, error) {
	name := path.Join(folder, manifestName)
	text, err := fs.ReadFile(images, name)
	if err != nil {
		return manifest{}, err
	}
	var read manifest
	if err := json.Unmarshal(text, &read); err != nil {
		return manifest{}, fmt.Errorf("parse %s: %w", name, err)
	}
	for _, file := range read.Files {
		if err := checkFile(images, folder, file); err != nil {
			return manifest{}, fmt.Errorf("check %s: file %q %w", name, file.Name, err)
		}
	}
	return read, nil
}

func checkFile(images fs.FS, folder string, file manifestFile) error {
	if file.Name != path.Base(file.Name) {
		return errors.New("is not in the folder")
	}
	if digest, err := hex.DecodeString(file.SHA256); err != nil || len(digest) != 32 {
		return errors.New("has no valid sha256")
	}
	info, err := fs.Stat(images, path.Join(folder, file.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("is missing")
	}
	if err != nil {
		return err
	}
	if info.Size() != file.Size {
		return fmt.Errorf("has %d bytes instead of %d", info.Size(), file.Size)
	}
	return nil
}
