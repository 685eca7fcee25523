package offline

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// Placed is a file that was put into the folder.
type Placed struct {
	Path string
	// SHA512 of its content in lower-case hexadecimal.
	SHA512 string
	// Size in bytes.
	Size int64
}

// Place copies a file into the folder, as that of a URL; without a URL it is found by its digest only. A wanted digest that
// it does not have is an error. The appliance sees it when it is complete. It belongs to the folder's owner, so that the
// appliance can take it, whoever runs this.
func (f *Folder) Place(file, address, wanted string) (Placed, error) {
	source, err := os.Open(file)
	if err != nil {
		return Placed{}, err
	}
	defer source.Close()
	if info, err := source.Stat(); err != nil || !info.Mode().IsRegular() {
		return Placed{}, errors.Join(err, fmt.Errorf("%s is no regular file", file))
	}
	root, err := f.root()
	if err != nil {
		return Placed{}, err
	}
	defer root.Close()
	written, err := write(root, source)
	if err != nil {
		return Placed{}, fmt.Errorf("copy %s: %w", file, err)
	}
	target, err := f.target(written, address, filepath.Base(file), wanted)
	if err == nil {
		err = move(root, written.Path, target)
	}
	if err != nil {
		return Placed{}, errors.Join(err, root.Remove(written.Path))
	}
	written.Path = filepath.Join(f.dir, filepath.FromSlash(target))
	return written, nil
}

// target is the name in the folder that a file is found by.
func (f *Folder) target(written Placed, address, base, wanted string) (string, error) {
	if wanted = strings.ToLower(wanted); wanted != "" && wanted != written.SHA512 {
		return "", fmt.Errorf("%s has the SHA-512 %s, not %s: get it again, or correct the digest", base, written.SHA512, wanted)
	}
	if address != "" {
		return nameOf(address)
	}
	return written.SHA512[:16] + "-" + strings.TrimLeft(base, "."), nil
}

// move renames a file in the folder, and makes the folders that its new name needs.
func move(root *os.Root, from, to string) error {
	if err := makeFolder(root, path.Dir(to)); err != nil {
		return fmt.Errorf("make folders for %s: %w", to, err)
	}
	return root.Rename(from, to)
}

// write copies to a hidden file, whose path is that in the folder.
func write(root *os.Root, source io.Reader) (Placed, error) {
	name := ".incoming-" + rand.Text()
	target, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Placed{}, err
	}
	sum := sha512.New()
	size, err := io.Copy(io.MultiWriter(target, sum), source)
	if err == nil {
		err = inherit(root, name)
	}
	if err == nil {
		err = target.Sync()
	}
	if err := errors.Join(err, target.Close()); err != nil {
		return Placed{}, errors.Join(err, root.Remove(name))
	}
	if size == 0 {
		return Placed{}, errors.Join(errors.New("it is empty"), root.Remove(name))
	}
	return Placed{Path: name, SHA512: hex.EncodeToString(sum.Sum(nil)), Size: size}, nil
}

// makeFolder makes a folder and those above it that are missing. What is there already must be a folder within the root, or a link to one.
func makeFolder(root *os.Root, name string) error {
	if info, err := root.Stat(name); err == nil && info.IsDir() {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeFolder(root, path.Dir(name)); err != nil {
		return err
	}
	if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	} else if err != nil {
		return nil // somebody else has just made it, or it is none: then what comes next says so
	}
	return inherit(root, name)
}

// inherit makes the owner of the folder that something is in its owner, if that is another user and this one may do so.
func inherit(root *os.Root, name string) error {
	info, err := root.Stat(path.Dir(name))
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}
	return root.Lchown(name, int(owner.Uid), int(owner.Gid))
}
