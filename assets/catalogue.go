package assets

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
)

// BootScriptName is the name under which iPXE since 1.21 looks for a script beside the file it was started from.
const BootScriptName = "autoexec.ipxe"

// Config says where the layers of a Catalogue are.
type Config struct {
	// Images is Embedded() outside of tests.
	Images fs.FS
	// Overlay is the operator's directory; it is created when missing.
	Overlay string
	// BootScript is served as autoexec.ipxe.
	BootScript []byte
}

// Catalogue names what machines can load. It is safe for concurrent use.
type Catalogue struct {
	overlay      *overlay
	boot         map[string]File
	environments map[string]File
}

// Open reads the manifests of the images, not the images. A missing image is an error that names the cure.
func Open(config Config) (*Catalogue, error) {
	if len(config.BootScript) == 0 {
		return nil, errors.New("open assets: the boot script is empty")
	}
	files, err := loadImages(config.Images)
	if err != nil {
		return nil, err
	}
	boot := map[string]File{BootScriptName: scriptFile(config.BootScript)}
	for _, name := range bootFileNames() {
		// What is optional may be missing: arm64.
		if file, ok := files[path.Join(ipxeFolder, name.file)]; ok {
			file.Name = name.name
			boot[name.name] = file
		}
	}
	maps.DeleteFunc(files, func(name string, _ File) bool { return path.Dir(name) == ipxeFolder })
	overlay, err := openOverlay(config.Overlay)
	if err != nil {
		return nil, err
	}
	return &Catalogue{overlay: overlay, boot: boot, environments: files}, nil
}

// Close releases the operator's directory. Files opened before stay usable.
func (c *Catalogue) Close() error { return c.overlay.root.Close() }

// BootFile finds what is served over TFTP and below /tftp/: the operator's file of that name, else the built-in one.
// The error is fs.ErrNotExist for every name that stands for no file, whatever its form.
func (c *Catalogue) BootFile(name string) (File, error) {
	cleaned, err := cleanName(name)
	if err != nil {
		return File{}, err
	}
	file, err := c.overlay.find(cleaned)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	if file, ok := c.boot[cleaned]; ok {
		return file, nil
	}
	return File{}, notExist(name)
}

// BootFiles returns the built-in names of BootFile, sorted.
func (c *Catalogue) BootFiles() []string { return slices.Sorted(maps.Keys(c.boot)) }

// EnvironmentFile finds a file of a boot environment, such as vmlinuz of agent-amd64. The error is fs.ErrNotExist when
// there is none.
func (c *Catalogue) EnvironmentFile(environment, name string) (File, error) {
	if file, ok := c.environments[environment+"/"+name]; ok {
		return file, nil
	}
	return File{}, notExist(environment + "/" + name)
}

// scriptFile describes a file held in memory.
func scriptFile(content []byte) File {
	return File{
		Name:   BootScriptName,
		Size:   int64(len(content)),
		Digest: digest(content),
		open:   func() (io.ReadSeekCloser, error) { return memoryFile{bytes.NewReader(content)}, nil },
	}
}

type memoryFile struct{ *bytes.Reader }

func (memoryFile) Close() error { return nil }

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
