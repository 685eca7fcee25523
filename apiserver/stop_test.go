package apiserver_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const stopsWithin = 10 * time.Second

// TestStopUnderLoad stops a control plane, in the appliance's order, while clients write and watch.
func TestStopUnderLoad(t *testing.T) {
	plane, err := apitest.New(t.TempDir())
	must(t, err)

	etcd, err := apitest.Begin(plane.Etcd)
	must(t, err)

	running, err := apitest.Begin(plane.Server)
	must(t, err)

	written, idle := load(t, plane)
	eventually(t, "write", func(context.Context) (bool, error) { return written.Load() > 50, nil })

	db := (api{Plane: plane}).database(t)
	eventually(t, "the server's entry among its peers, which it takes away again", func(ctx context.Context) (bool, error) {
		entries, err := db.Get(ctx, "/registry/peerserverleases/", clientv3.WithPrefix(), clientv3.WithCountOnly())

		return err == nil && entries.Count > 0, err
	})

	mark := libraries.Mark()
	begin := time.Now()

	must(t, running.Stop())
	must(t, etcd.Stop())

	if took := time.Since(begin); took > stopsWithin {
		t.Errorf("stopping took %s", took)
	}

	idle()

	if errors := libraries.Errors(mark); errors != nil {
		t.Errorf("logged while stopping:\n%s", strings.Join(errors, "\n"))
	}

	t.Logf("stopped in %s after %d writes", time.Since(begin), written.Load())
}

// load writes until the server is gone. The count of writes grows; idle waits for the end.
func load(t *testing.T, plane *apitest.Plane) (written *atomic.Int64, idle func()) {
	t.Helper()

	c := newClient(t, plane)
	written = &atomic.Int64{}

	var writing sync.WaitGroup

	watcher, err := c.Watch(context.Background(), &v1alpha2.ServerList{})
	must(t, err)
	writing.Go(func() {
		for range watcher.ResultChan() {
		}
	})

	for writer := range writers {
		writing.Go(func() {
			for i := 0; c.Create(context.Background(), server(fmt.Sprintf("load-%d-%d", writer, i))) == nil; i++ {
				written.Add(1)
			}
		})
	}

	return written, writing.Wait
}

// TestReadyNamesTheDatabase takes the database from a running API server and gives it back.
func TestReadyNamesTheDatabase(t *testing.T) {
	plane, err := apitest.New(t.TempDir())
	must(t, err)

	etcd, err := apitest.Begin(plane.Etcd)
	must(t, err)

	running, err := apitest.Begin(plane.Server)
	must(t, err)
	must(t, plane.Server.Ready(t.Context()))
	must(t, etcd.Stop())

	eventually(t, "be unready for the database's sake", func(ctx context.Context) (bool, error) {
		err := plane.Server.Ready(ctx)

		return err != nil && strings.Contains(err.Error(), "etcd"), nil
	})

	etcd, err = apitest.Begin(plane.Etcd)
	must(t, err)
	eventually(t, "be ready again", func(ctx context.Context) (bool, error) { return plane.Server.Ready(ctx) == nil, nil })
	must(t, newClient(t, plane).Create(t.Context(), server("after-the-database-came-back")))
	must(t, running.Stop())
	must(t, etcd.Stop())
}
