package assets

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"io"
)

// SHA512 reads to the end and returns the digest in lower-case hexadecimal. It stops when ctx ends: some files take a small
// machine longer than it has to stop.
func SHA512(ctx context.Context, content io.Reader) (string, error) {
	sum := sha512.New()
	if _, err := io.Copy(sum, interruptible{ctx, content}); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

type interruptible struct {
	ctx context.Context //nolint:containedctx // of one call
	io.Reader
}

// Read implements io.Reader.
func (i interruptible) Read(piece []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.Reader.Read(piece)
}
