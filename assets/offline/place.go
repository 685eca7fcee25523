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
	written, err := f.write(source)
	if err != nil {
		return Placed{}, fmt.Errorf("copy %s: %w", file, err)
	}
	if err := f.name(&written, address, filepath.Base(file), wanted); err != nil {
		return Placed{}, errors.Join(err, os.Remove(written.Path))
	}
	return written, nil
}

// name gives a file that was written the name that it is found by.
func (f *Folder) name(written *Placed, address, base, wanted string) error {
	if wanted = strings.ToLower(wanted); wanted != "" && wanted != written.SHA512 {
		return fmt.Errorf("%s has the SHA-512 %s, not %s: get it again, or correct the digest", base, written.SHA512, wanted)
	}
	target := filepath.Join(f.dir, written.SHA512[:16]+"-"+strings.TrimLeft(base, "."))
	if address != "" {
		var err error
		if target, err = f.Path(address); err != nil {
			return err
		}
	}
	if err := makeFolder(filepath.Dir(target)); err != nil {
		return err
	}
	if err := os.Rename(written.Path, target); err != nil {
		return err
	}
	written.Path = target
	return nil
}

// write copies to a hidden file.
func (f *Folder) write(source io.Reader) (Placed, error) {
	path := filepath.Join(f.dir, ".incoming-"+rand.Text())
	target, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Placed{}, err
	}
	sum := sha512.New()
	size, err := io.Copy(io.MultiWriter(target, sum), source)
	if err == nil {
		err = inherit(path)
	}
	if err == nil {
		err = target.Sync()
	}
	if err := errors.Join(err, target.Close()); err != nil {
		return Placed{}, errors.Join(err, os.Remove(path))
	}
	if size == 0 {
		return Placed{}, errors.Join(errors.New("it is empty"), os.Remove(path))
	}
	return Placed{Path: path, SHA512: hex.EncodeToString(sum.Sum(nil)), Size: size}, nil
}

// makeFolder makes a folder and those above it that are missing.
func makeFolder(path string) error {
	err := os.Mkdir(path, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeFolder(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o755)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return inherit(path)
}

// inherit makes the owner of the folder that something is in its owner, if that is another user and this one may do so.
func inherit(path string) error {
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}
	return os.Lchown(path, int(owner.Uid), int(owner.Gid))
}
