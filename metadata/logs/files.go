package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
)

const (
	// fileMode lets others than the owner read nothing: kernels log command lines.
	fileMode = 0o600
	dirMode  = 0o700

	// unknownName is the file of senders that no server is known for. No object can have the name.
	unknownName = "_unknown"

	suffix = ".log"
)

// Files keeps the lines of each server in files of bounded size: NAME.log, and older ones as NAME.log.1 and so on.
type Files struct {
	// Dir is where they are. It is made when the first line comes.
	Dir string
	// MaxBytes is the size at which a file is put aside, and the size of the largest write.
	MaxBytes int64
	// Old is how many files that were put aside are kept of a server.
	Old int

	mutex sync.Mutex
}

// nameAllowed is what names of API objects are made of. It keeps file names inside the directory.
var nameAllowed = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?$`)

// Path is the file that a server's newest lines are in. The error tells that no server can have the name.
func (f *Files) Path(server string) (string, error) {
	if server == "" {
		return filepath.Join(f.Dir, unknownName+suffix), nil
	}

	if !nameAllowed.MatchString(server) {
		return "", fmt.Errorf("find log of %q: no Server can have this name", server)
	}

	return filepath.Join(f.Dir, server+suffix), nil
}

// Append adds whole lines to a server's file, or to that of unknown senders if there is no name.
func (f *Files) Append(server string, lines []byte) error {
	path, err := f.Path(server)
	if err != nil {
		return err
	}

	f.mutex.Lock()
	defer f.mutex.Unlock()

	if err := os.MkdirAll(f.Dir, dirMode); err != nil {
		return fmt.Errorf("make directory of logs: %w", err)
	}

	if at, err := os.Stat(path); err == nil && at.Size() > 0 && at.Size()+int64(len(lines)) > f.MaxBytes {
		if err := f.putAside(path); err != nil {
			return err
		}
	}

	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, fileMode)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}

	_, err = file.Write(lines)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write log: %w", err)
	}

	return nil
}

// putAside renames a file to the first of the old ones, those to the next, and drops the oldest.
func (f *Files) putAside(path string) error {
	for n := f.Old; n > 0; n-- {
		if err := os.Rename(old(path, n-1), old(path, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("put log aside: %w", err)
		}
	}

	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop old log: %w", err)
	}

	return nil
}

// old is the name of the nth file that was put aside; the 0th is the current one.
func old(path string, n int) string {
	if n == 0 {
		return path
	}

	return path + "." + strconv.Itoa(n)
}
