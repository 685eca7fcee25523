package initramfs

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Compress makes a zstd frame. One thread, because the frame's bytes depend on how
// the work is divided.
func Compress(content []byte) ([]byte, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20))
	if err != nil {
		return nil, fmt.Errorf("compress initramfs: %w", err)
	}
	compressed := encoder.EncodeAll(content, nil)
	return compressed, errors.Join(encoder.Close())
}
