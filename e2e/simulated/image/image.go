// Package image is a file that stands for a machine's disk, of which firmware sees whether there is an operating system to start.
// Whoever clears its first bytes, as every wipe does, removes the system with all that it keeps.
package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// mark begins a disk with an operating system. After it come the length of what the system keeps, and that.
const mark = "an operating system\n"

// most is how much a system may keep, in bytes.
const most = 4 << 20

// Header is the beginning of a disk with an operating system, which keeps this.
func Header(content []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte(mark), uint32(len(content))), content...) //nolint:gosec // see most
}

// Boots tells whether there is an operating system on a disk.
func Boots(path string) bool {
	content, err := Read(path)

	return err == nil && content != nil
}

// Read returns what the operating system keeps, nil if there is none.
func Read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}

	if err != nil {
		return nil, fmt.Errorf("read disk: %w", err)
	}
	defer file.Close()

	head := make([]byte, len(mark)+4)
	if _, err := io.ReadFull(file, head); err != nil || !bytes.HasPrefix(head, []byte(mark)) {
		return nil, nil //nolint:nilerr // a disk that is too small has none
	}

	length := binary.BigEndian.Uint32(head[len(mark):])
	if length > most {
		return nil, fmt.Errorf("read disk %s: it keeps %d bytes, %d are the most", path, length, most)
	}

	content := make([]byte, length)
	if _, err := io.ReadFull(file, content); err != nil {
		return nil, fmt.Errorf("read disk %s: %w", path, err)
	}

	return content, nil
}

// Write puts an operating system on a disk, which is made if it is missing. The rest of the disk stays as it is.
func Write(path string, content []byte) error {
	if len(content) > most {
		return fmt.Errorf("write disk %s: %d bytes are more than %d", path, len(content), most)
	}

	return write(path, Header(content))
}

// Erase removes the operating system.
func Erase(path string) error { return write(path, make([]byte, len(mark)+4)) }

func write(path string, start []byte) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("write disk: %w", err)
	}

	if _, err := file.WriteAt(start, 0); err != nil {
		return errors.Join(fmt.Errorf("write disk: %w", err), file.Close())
	}

	if err := file.Close(); err != nil {
		return fmt.Errorf("write disk: %w", err)
	}

	return nil
}
