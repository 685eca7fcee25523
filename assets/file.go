package assets

import (
	"fmt"
	"io"
	"time"
)

// File is one thing a machine can load. It is a description: nothing is open until Open is called.
type File struct {
	// Name it is served under.
	Name string
	// Size in bytes.
	Size int64
	// Digest of the content in hexadecimal, taken when it came: SHA-256 of what is embedded, SHA-512 of what was
	// downloaded; empty for files that an operator dropped in, which may change at any moment.
	Digest string
	// Modified is when the content last changed; zero for what is embedded in the binary.
	Modified time.Time

	open func() (io.ReadSeekCloser, error)
}

// Opened returns the description with a function that opens its content.
func (f File) Opened(by func() (io.ReadSeekCloser, error)) File {
	f.open = by
	return f
}

// Open returns the content from its first byte. The caller closes it.
func (f File) Open() (io.ReadSeekCloser, error) {
	content, err := f.open()
	if err != nil {
		return nil, fmt.Errorf("open boot file %s: %w", f.Name, err)
	}
	return content, nil
}
