package assets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// maxName bounds a name that a machine asks for, in bytes. TFTP clients cannot send more than 512 (RFC 2347 section 2),
// and Linux refuses a path component above 255.
const maxName = 255

// overlay is the operator's directory. Symbolic links that lead out of it are refused by os.Root.
type overlay struct {
	root *os.Root
}

func openOverlay(directory string) (*overlay, error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, fmt.Errorf("create boot file directory: %w", err)
	}
	root, err := os.OpenRoot(directory)
	if err != nil {
		return nil, fmt.Errorf("open boot file directory: %w", err)
	}
	return &overlay{root: root}, nil
}

// find describes a regular file. Opening anything else could block (a FIFO) or tell what is no file (a directory).
func (o *overlay) find(name string) (File, error) {
	info, err := o.root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return File{}, notExist(name)
	case err != nil:
		return File{}, fmt.Errorf("find boot file %s: %w", name, err)
	case !info.Mode().IsRegular():
		return File{}, notExist(name)
	}
	return File{
		Name:     name,
		Size:     info.Size(),
		Modified: info.ModTime(),
		open:     func() (io.ReadSeekCloser, error) { return o.root.Open(name) },
	}, nil
}

// cleanName turns what a machine asked for into a relative path without "..": firmware writes the same file as "f",
// "/f" and "//f".
func cleanName(name string) (string, error) {
	cleaned := strings.TrimPrefix(path.Clean("/"+name), "/")
	if cleaned == "" || len(cleaned) > maxName || !fs.ValidPath(cleaned) || strings.ContainsRune(cleaned, 0) {
		return "", notExist(name)
	}
	return cleaned, nil
}

func notExist(name string) error {
	return &fs.PathError{Op: "find boot file", Path: name, Err: fs.ErrNotExist}
}
