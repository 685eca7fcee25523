package preflight

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MinFree is the free space, in bytes, below which the appliance does not
// start: the database allocates its log in pieces of 64 MiB ahead of use, and
// stops taking writes when it cannot.
const MinFree = 128 << 20

// DataDir makes the directory if it is missing, and checks that this process
// can work in it.
func DataDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return explain("make", path, err)
	}
	if err := accessEntries(path); err != nil {
		return err
	}
	if err := writeProbe(path); err != nil {
		return explain("write to", path, err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return explain("look at", path, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < MinFree {
		return fmt.Errorf("the file system of data directory %s is full: %d MiB are free, %d MiB are needed: free some, or choose another with --data-dir",
			path, free>>20, MinFree>>20)
	}
	return nil
}

// accessEntries finds what an earlier run by another user, often root, left behind.
func accessEntries(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return explain("read", path, err)
	}
	for _, e := range entries {
		mode := uint32(unix.R_OK | unix.W_OK)
		if e.IsDir() {
			mode |= unix.X_OK
		}
		full := filepath.Join(path, e.Name())
		if err := unix.Faccessat(unix.AT_FDCWD, full, mode, unix.AT_EACCESS); errors.Is(err, unix.EACCES) {
			return fmt.Errorf("cannot use %s: user %d may not: run as root, or give the data directory to that user with: %s", full, os.Geteuid(), giveAway(path))
		}
	}
	return nil
}

// writeProbe writes a little and forces it to the disk.
func writeProbe(path string) error {
	f, err := os.CreateTemp(path, ".preflight-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, writeErr := f.Write(make([]byte, 4096))
	return errors.Join(writeErr, f.Sync(), f.Close())
}

// giveAway is the command that makes a directory this process's own.
func giveAway(path string) string {
	if existing(path) != path {
		return fmt.Sprintf("install -d -m 700 -o %d -g %d %s", os.Geteuid(), os.Getegid(), path)
	}
	return fmt.Sprintf("chown -R %d:%d %s", os.Geteuid(), os.Getegid(), path)
}

// existing is the path, or the nearest directory above it that exists.
func existing(path string) string {
	for ; ; path = filepath.Dir(path) {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) || path == filepath.Dir(path) {
			return path
		}
	}
}

// explain says what to do about an error of the file system.
func explain(verb, path string, err error) error {
	cure := "choose another with --data-dir"
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("cannot %s data directory %s: user %d may not: run as root, or give it to that user with: %s",
			verb, path, os.Geteuid(), giveAway(path))
	case errors.Is(err, unix.EROFS):
		// The unit's ProtectSystem=strict looks the same as a read-only disk.
		return fmt.Errorf("cannot %s data directory %s: its file system is read-only: as a service, add ReadWritePaths=%s below [Service] with: systemctl edit sidero-appliance; else remount it, or %s",
			verb, path, existing(path), cure)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("cannot %s data directory %s: its file system is full: free %d MiB, or %s", verb, path, MinFree>>20, cure)
	case errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("cannot %s data directory %s: there is a file in the way: %s", verb, path, cure)
	}
	return fmt.Errorf("cannot %s data directory %s: %w: %s", verb, path, err, cure)
}
