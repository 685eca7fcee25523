package storage

import (
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/storage/datadir"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.uber.org/zap"
)

// inUse is a size of the database file, in bytes, that only one reaches in which something is stored.
const inUse = 1 << 20

// discardUnfinished removes what is left of a first start that was cut off between the making of the log and its first
// entries. Those name the cluster's only member: without them etcd never elects itself, at this and every later start.
// There is nothing to lose: what has no entry was never acknowledged.
func discardUnfinished(dir string) error {
	if database, err := os.Stat(datadir.ToBackendFileName(dir)); err == nil && database.Size() >= inUse {
		return nil // reading the log takes its time, and a large one more
	}

	if !wal.Exist(datadir.ToWALDir(dir)) || !neverCommitted(dir) {
		return nil
	}

	if err := os.RemoveAll(datadir.ToMemberDir(dir)); err != nil {
		return fmt.Errorf("remove what an unfinished first start left: %w", err)
	}

	return nil
}

// neverCommitted is false where that cannot be told, of a damaged log for one.
func neverCommitted(dir string) bool {
	snapshots, err := filepath.Glob(filepath.Join(datadir.ToSnapDir(dir), "*.snap"))
	if err != nil || len(snapshots) > 0 {
		return false
	}

	log, err := wal.OpenForRead(zap.NewNop(), datadir.ToWALDir(dir), &walpb.Snapshot{})
	if err != nil {
		return false
	}

	defer log.Close() //nolint:errcheck // opened for reading

	_, state, entries, err := log.ReadAll()

	return err == nil && len(entries) == 0 && state.GetCommit() == 0
}
