package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// pollInterval is how often a log that is followed is looked at, by another process than the one that writes it.
const pollInterval = 200 * time.Millisecond

// ErrNone tells that nothing was logged.
var ErrNone = errors.New("nothing has been logged")

// Print writes all that is kept of a server, oldest first. ErrNone if there is nothing.
func (f *Files) Print(server string, to io.Writer) error {
	last, err := f.print(server, to)
	if last != nil {
		err = errors.Join(err, last.Close())
	}

	return err
}

// Follow is Print, and then writes what comes until the context ends. It waits for a log that does not exist yet.
func (f *Files) Follow(ctx context.Context, server string, to io.Writer) error {
	path, err := f.Path(server)
	if err != nil {
		return err
	}

	file, err := f.print(server, to)
	if err != nil && !errors.Is(err, ErrNone) {
		return err
	}

	defer func() {
		if file != nil {
			_ = file.Close() // only read
		}
	}()

	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}

		if file, err = next(file, path, to); err != nil {
			return err
		}
	}
}

// next writes what was added to the file that is read, and goes on to the one that has taken its place.
func next(file *os.File, path string, to io.Writer) (*os.File, error) {
	current, err := os.Stat(path) // before the rest is read: nothing is added to a file that was put aside
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return file, fmt.Errorf("follow log: %w", err)
	}

	if file != nil {
		if _, err := io.Copy(to, file); err != nil {
			return file, fmt.Errorf("follow log: %w", err)
		}
	}

	if current == nil {
		return file, nil
	}

	if file != nil {
		if read, err := file.Stat(); err == nil && os.SameFile(read, current) {
			return file, nil
		}

		_ = file.Close() // only read
	}

	return printFile(path, to)
}

// print returns the current file, open at what was not written yet.
func (f *Files) print(server string, to io.Writer) (*os.File, error) {
	path, err := f.Path(server)
	if err != nil {
		return nil, err
	}

	found := false

	for n := f.Old; n > 0; n-- {
		file, err := printFile(old(path, n), to)
		if err != nil {
			return nil, err
		}

		if file != nil {
			found = true
			_ = file.Close() // only read
		}
	}

	file, err := printFile(path, to)
	if err == nil && file == nil && !found {
		return nil, fmt.Errorf("read log of %s: %w", server, ErrNone)
	}

	return file, err
}

// printFile returns the file open at its end, nil if there is none.
func printFile(path string, to io.Writer) (*os.File, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no file is not an error here, and there is nothing to return
	}

	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}

	if _, err := io.Copy(to, file); err != nil {
		return nil, errors.Join(fmt.Errorf("read log: %w", err), file.Close())
	}

	return file, nil
}
