package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sidero-appliance/sidero-appliance/assets/offline"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

// folders are those of this machine that file:// URLs may name files in. Whoever may write Environments could have the
// appliance serve its own keys otherwise.
type folders []string

// open finds the file of a URL. Symbolic links that lead out of the folder are refused.
func (f folders) open(address string) (*os.File, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, &Failure{Reason: InvalidURL, Err: errMalformed}
	}
	if parsed.Host != "" && parsed.Host != "localhost" || !filepath.IsAbs(parsed.Path) {
		return nil, &Failure{Reason: InvalidURL, Err: fmt.Errorf("%s names no file of this machine, as file:///FOLDER/FILE does", shown(address))}
	}
	for _, folder := range f {
		name, err := filepath.Rel(folder, filepath.Clean(parsed.Path))
		if err != nil || !filepath.IsLocal(name) {
			continue
		}
		return openRegular(folder, name)
	}
	return nil, &Failure{Reason: NotAllowed, Err: fmt.Errorf("%s is in none of the folders that files may come from: put it into %s, or name its folder with --asset-directory",
		parsed.Path, strings.Join(f, " or "))}
}

// openRegular opens no FIFO, which would wait for a writer.
func openRegular(folder, name string) (*os.File, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fileFailure(err)
	}
	defer root.Close()
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fileFailure(err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: filepath.Join(folder, name), Err: errors.New("it is no regular file")}
	}
	if err != nil {
		return nil, errors.Join(fileFailure(err), file.Close())
	}
	return file, nil
}

// version tells two contents of a file of this machine apart; "" when it cannot be read.
func (f folders) version(address string) string {
	file, err := f.open(address)
	if err != nil {
		return ""
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	return fileVersion(info)
}

func fileVersion(info fs.FileInfo) string {
	inode := uint64(0)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = stat.Ino
	}
	return fmt.Sprintf("%d-%d-%d", inode, info.Size(), info.ModTime().UnixNano())
}

// local completes the Partial from a file of this machine.
func (t *transfer) local(ctx context.Context, from folders) error {
	file, err := from.open(t.url)
	if err != nil {
		return err
	}
	defer file.Close()
	return t.take(ctx, file)
}

// hand completes the Partial from a file that a person brought.
func (t *transfer) hand(ctx context.Context, from offline.File) error {
	file, err := from.Open()
	if err != nil {
		return fileFailure(err)
	}
	defer file.Close()
	return t.take(ctx, file)
}

// take copies all of a file.
func (t *transfer) take(ctx context.Context, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return stored(err)
	}
	if err := t.expect(0, info.Size()); err != nil {
		return err
	}
	if err := t.partial.Restart(store.Source{Version: fileVersion(info), Size: info.Size()}); err != nil {
		return stored(err)
	}
	piece := make([]byte, pieceSize)
	for ctx.Err() == nil {
		n, err := file.Read(piece)
		if writeErr := t.write(piece[:n]); writeErr != nil {
			return writeErr
		}
		if errors.Is(err, io.EOF) {
			return t.complete()
		}
		if err != nil {
			return stored(err)
		}
	}
	return ctx.Err()
}
