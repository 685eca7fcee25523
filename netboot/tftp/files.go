package tftp

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
)

// Files is where files come from. Open is called once per request with a clean
// name; an error that is fs.ErrNotExist becomes TFTP's "file not found". It is
// called on the goroutine that serves everybody, so it must not wait.
type Files interface {
	Open(Request) (File, error)
}

// File is an open file. ReadAt must not wait either; it is called again for
// what has to be retransmitted.
type File interface {
	io.ReaderAt
	io.Closer
	Size() int64 // bytes, unchanging
}

// Memory is a file held in memory.
func Memory(content []byte) File { return memory{bytes.NewReader(content)} }

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// Map serves files from memory by their clean names.
type Map map[string][]byte

// Open implements Files.
func (m Map) Open(request Request) (File, error) {
	content, ok := m[request.Name]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", request.Name, fs.ErrNotExist)
	}
	return Memory(content), nil
}

// maxNetascii bounds what is converted in memory, once per transfer: the mode is
// for text, which here means scripts.
const maxNetascii = 64 << 10

// netascii converts a file to the line ends of RFC 764 and closes it.
func netascii(file File) (File, error) {
	defer func() { _ = file.Close() }()
	if file.Size() > maxNetascii {
		return nil, fmt.Errorf("convert to netascii: %d bytes are too many: ask in octet mode (tftp: \"mode binary\")", file.Size())
	}
	content, err := io.ReadAll(io.NewSectionReader(file, 0, file.Size()))
	if err != nil {
		return nil, fmt.Errorf("convert to netascii: %w", err)
	}
	content = bytes.ReplaceAll(content, []byte("\r"), []byte("\r\x00"))
	return Memory(bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n"))), nil
}
