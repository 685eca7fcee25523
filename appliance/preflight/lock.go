package preflight

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockFile is in the data directory; it holds the process id of its holder.
const lockFile = "lock"

// Lock is this process's claim on a data directory. The kernel drops it when the
// process ends, however that happens.
type Lock struct{ file *os.File }

// Claim takes the lock of the data directory, or says who has it.
func Claim(dataDir string) (*Lock, error) {
	path := filepath.Join(dataDir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, explain("write to", dataDir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is in use by another sidero-appliance%s: stop it, or choose another with --data-dir", dataDir, holder(f))
		}
		return nil, fmt.Errorf("lock data directory %s: %w", dataDir, err)
	}
	if err := writePID(f); err != nil {
		return nil, errors.Join(explain("write to", dataDir, err), f.Close())
	}
	return &Lock{f}, nil
}

// Release gives the directory free. The file stays: removing it could take away
// the one that a process starting just now has locked.
func (l *Lock) Release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("release data directory: %w", err)
	}
	return nil
}

// holder is what the lock file says, in words.
func holder(f *os.File) string {
	const longest = 20
	data, err := io.ReadAll(io.LimitReader(f, longest))
	pid := strings.TrimSpace(string(data))
	if err != nil || pid == "" || strings.Trim(pid, "0123456789") != "" {
		return ""
	}
	return fmt.Sprintf(" (process %s)", pid)
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(f, "%d\n", os.Getpid())
	return err
}
