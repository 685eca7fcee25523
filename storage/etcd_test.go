package storage_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/sidero-appliance/sidero-appliance/storage"
)

// serve runs etcd in dir until the returned function is called, which reports how Run ended.
func serve(t *testing.T, dir string) (*storage.Etcd, func() error) {
	t.Helper()

	etcd, err := storage.New(storage.Config{Dir: dir, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)

	go func() { done <- etcd.Run(ctx) }()

	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)

	defer tick.Stop()

	for etcd.Ready(ctx) != nil {
		select {
		case err := <-done:
			cancel()
			t.Fatalf("ended before it was ready: %v", err)
		case <-deadline:
			cancel()
			t.Fatal("not ready in time")
		case <-tick.C:
		}
	}

	return etcd, func() error { cancel(); return <-done }
}

func client(t *testing.T, etcd *storage.Etcd) *clientv3.Client {
	t.Helper()

	c, err := clientv3.New(clientv3.Config{Endpoints: etcd.Endpoint().Servers, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { c.Close() }) //nolint:errcheck // the server may be gone

	return c
}

func TestDataSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()

	etcd, stop := serve(t, dir)
	if _, err := client(t, etcd).Put(ctx, "key", "value"); err != nil {
		t.Fatal(err)
	}

	if err := stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}

	if err := etcd.Ready(ctx); err == nil {
		t.Error("a stopped server says it is ready")
	}

	again, stop := serve(t, dir)

	got, err := client(t, again).Get(ctx, "key")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "value" {
		t.Errorf("got %v, %v", got, err)
	}

	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestOthersCannotConnect(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	_, stop := serve(t, dir)

	defer stop() //nolint:errcheck // told by other tests

	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}

	if mode := info.Mode().Perm(); mode != 0o700 {
		t.Errorf("directory of the sockets is %o, want 700", mode)
	}
}

func TestDamagedDataIsAnError(t *testing.T) {
	for _, file := range []string{"member-data/member/snap/db", "member-data/member/wal/*.wal"} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			dir := t.TempDir()
			_, stop := serve(t, dir)

			if err := stop(); err != nil {
				t.Fatal(err)
			}

			damage(t, filepath.Join(dir, file))

			etcd, err := storage.New(storage.Config{Dir: dir, Logger: zap.NewNop()})
			if err != nil {
				t.Fatal(err)
			}

			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()

			if err := etcd.Run(ctx); err == nil || !strings.Contains(err.Error(), "restore a backup") {
				t.Errorf("got %v, want an error that names the cure", err)
			}
		})
	}
}

// TestFirstStartCutOff: what a kill in the first milliseconds leaves behind is no reason not to start.
func TestFirstStartCutOff(t *testing.T) {
	for name, leave := range map[string]func(*testing.T, string){
		"after the log was made":         func(t *testing.T, dir string) { makeLog(t, dir) },
		"before the database had a page": func(t *testing.T, dir string) { writeEmpty(t, filepath.Join(dir, "member/snap/db")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			leave(t, filepath.Join(dir, "member-data"))

			_, stop := serve(t, dir)
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStopBeforeReady: a server that never elects itself, because its log names no member, still stops.
func TestStopBeforeReady(t *testing.T) {
	dir := t.TempDir()
	makeLog(t, filepath.Join(dir, "member-data"), &raftpb.Entry{Term: new(uint64(1)), Index: new(uint64(1))})

	etcd, err := storage.New(storage.Config{Dir: dir, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()

	done := make(chan error, 1)

	go func() { done <- etcd.Run(ctx) }()

	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not stop")
	}

	if ctx.Err() == nil {
		t.Error("it ended by itself: this test does not test what it says")
	}
}

// makeLog makes etcd's log with its metadata and some entries.
func makeLog(t *testing.T, dir string, entries ...*raftpb.Entry) {
	t.Helper()

	metadata, err := proto.Marshal(&etcdserverpb.Metadata{NodeID: new(uint64(1)), ClusterID: new(uint64(2))})
	if err != nil {
		t.Fatal(err)
	}

	if err := os.MkdirAll(filepath.Join(dir, "member/snap"), 0o700); err != nil {
		t.Fatal(err)
	}

	log, err := wal.Create(zap.NewNop(), filepath.Join(dir, "member/wal"), metadata)
	if err != nil {
		t.Fatal(err)
	}

	if len(entries) > 0 {
		err = log.Save(&raftpb.HardState{Term: new(uint64(1)), Commit: new(uint64(len(entries)))}, entries)
	}

	if err := errors.Join(err, log.Close()); err != nil {
		t.Fatal(err)
	}
}

func writeEmpty(t *testing.T, path string) {
	t.Helper()

	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func damage(t *testing.T, pattern string) {
	t.Helper()

	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file %s: %v", pattern, err)
	}

	for _, file := range files {
		if err := os.WriteFile(file, []byte(strings.Repeat("damage", 4096)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTooLongPathIsRefused(t *testing.T) {
	_, err := storage.New(storage.Config{Dir: "/" + strings.Repeat("d", 120), Logger: zap.NewNop()})
	if err == nil || !strings.Contains(err.Error(), "shorter data directory") {
		t.Errorf("got %v", err)
	}
}
