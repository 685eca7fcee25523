package machineapi

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
)

// archive is a compressed tar of one file, as talosctl takes a kubeconfig.
func archive(name string, text []byte) ([]byte, error) {
	var packed bytes.Buffer

	compressed := gzip.NewWriter(&packed)
	files := tar.NewWriter(compressed)

	err := files.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg})
	if err == nil {
		_, err = files.Write(text)
	}

	if err = errors.Join(err, files.Close(), compressed.Close()); err != nil {
		return nil, fmt.Errorf("pack %s: %w", name, err)
	}

	return packed.Bytes(), nil
}
