package debian

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// ManifestName is the file beside built images that says what they are made of. It is
// written last: where it is, the other files are complete.
const ManifestName = "manifest.json"

// Origin names the Debian package that files were taken from, with what a licence
// notice must say about its source.
type Origin struct {
	Package       string `json:"package"`
	Version       string `json:"version"`
	SHA256        string `json:"sha256"`
	Source        string `json:"source"`
	SourceVersion string `json:"sourceVersion"`
	BuiltUsing    string `json:"builtUsing,omitempty"`
}

// Origin of the files of the package.
func (e Entry) Origin() Origin {
	return Origin{
		Package: e.Name, Version: e.Version, SHA256: e.SHA256,
		Source: e.Source, SourceVersion: e.SourceVersion, BuiltUsing: e.BuiltUsing,
	}
}

// File is a built file; Size in bytes, SHA256 in hexadecimal.
type File struct {
	Name   string `json:"name"`
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
}

// Content is a file to be written.
type Content struct {
	Name string
	Data []byte
}

// WriteImages writes files into a directory and, last, the manifest that describe
// makes of them.
func WriteImages(dir string, files []Content, describe func([]File) any) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write images: %w", err)
	}
	if err := os.Remove(filepath.Join(dir, ManifestName)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("write images: %w", err)
	}
	var described []File
	for _, file := range files {
		if err := replace(filepath.Join(dir, file.Name), file.Data); err != nil {
			return fmt.Errorf("write images: %w", err)
		}
		sum := sha256.Sum256(file.Data)
		described = append(described, File{Name: file.Name, Size: len(file.Data), SHA256: hex.EncodeToString(sum[:])})
	}
	manifest, err := json.MarshalIndent(describe(described), "", "  ")
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if err := replace(filepath.Join(dir, ManifestName), append(manifest, '\n')); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// replace writes a file whole, so that a reader never sees half of it.
func replace(path string, data []byte) error {
	partial := path + ".partial"
	if err := os.WriteFile(partial, data, 0o644); err != nil {
		return err
	}
	return os.Rename(partial, path)
}
