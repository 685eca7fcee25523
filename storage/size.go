package storage

import (
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/storage/datadir"
)

// Size is that of the database's file in a directory, in bytes: 0 if there is none.
func Size(dir string) int64 {
	file, err := os.Stat(datadir.ToBackendFileName(filepath.Join(dir, memberData)))
	if err != nil {
		return 0
	}

	return file.Size()
}
