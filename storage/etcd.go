package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/datadir"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
)

const (
	memberName = "appliance"

	// maxSocketPath is the longest path of a unix socket that Linux takes (sun_path in unix(7), with its final NUL).
	maxSocketPath = 107

	// memberData is the folder of the database.
	memberData = "member-data"

	// quotaBytes bounds the database. The largest pool that the appliance is built for needs a fraction of it.
	quotaBytes = 2 << 30

	// maxRequestBytes is more than the API server's etcd client sends (2 MiB), so that the API server's own limits, which
	// have better words, are the ones met.
	maxRequestBytes = 3 << 20

	// connectionBuffer is a quarter of gRPC's default, in bytes. The API server makes a connection for each kind of object
	// that it serves, and most of them are idle.
	connectionBuffer = 8 << 10

	// snapshotEvery is after how many writes etcd snapshots its log. The default of 10,000 keeps them in memory until
	// then; the appliance's objects are large (hardware) and its writes few.
	snapshotEvery = 1000

	compactionRetention = "5m"

	// tick and election are in milliseconds. A single member elects itself, so waiting the default second for other
	// candidates would only delay the start. The heartbeat is not sent to anyone.
	tick     = 20
	election = 200

	readyWithin  = 30 * time.Second
	answerWithin = 3 * time.Second
	lockWithin   = 2 * time.Second

	damagedCure = "restore a backup, or move the directory away to start empty"
)

// Config tells where etcd keeps its data.
type Config struct {
	// Dir is the directory of the data and the sockets; it is made if it is missing, readable by its owner only.
	Dir string
	// Logger takes etcd's log lines.
	Logger *zap.Logger
}

// Endpoint is where the database is reached: what an etcd client needs to know.
type Endpoint struct {
	// Servers are the URLs to dial.
	Servers []string
}

// Etcd is the embedded etcd server.
type Etcd struct {
	config Config
	client url.URL
	peer   url.URL
	// serving is true from the moment that the server takes requests until it stops.
	serving atomic.Bool
}

// New checks the configuration. The server starts with Run.
func New(config Config) (*Etcd, error) {
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve directory %s: %w", config.Dir, err)
	}

	config.Dir = dir

	e := &Etcd{
		config: config,
		client: url.URL{Scheme: "unix", Path: filepath.Join(dir, "client.sock")},
		peer:   url.URL{Scheme: "unix", Path: filepath.Join(dir, "peer.sock")},
	}

	if len(e.client.Path) > maxSocketPath {
		return nil, fmt.Errorf("use directory %s: the path of a socket in it is %d bytes long and Linux takes %d: choose a shorter data directory",
			dir, len(e.client.Path), maxSocketPath)
	}

	return e, nil
}

// Name identifies the component.
func (*Etcd) Name() string { return "etcd" }

// Endpoint is where the database is reached once it is ready.
func (e *Etcd) Endpoint() Endpoint {
	return Endpoint{Servers: []string{e.client.String()}}
}

// Ready tells whether the database answers: it asks for a key by a linearised read, which a stopped or stuck server
// does not answer.
func (e *Etcd) Ready(ctx context.Context) error {
	if !e.serving.Load() {
		return errors.New("etcd is not running")
	}

	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()

	client, err := clientv3.New(clientv3.Config{Context: ctx, Endpoints: e.Endpoint().Servers, Logger: zap.NewNop()})
	if err != nil {
		return fmt.Errorf("connect to etcd: %w", err)
	}

	defer client.Close() //nolint:errcheck // nothing was written through it

	if _, err := client.Get(ctx, "health"); err != nil {
		return fmt.Errorf("read from etcd: %w", err)
	}

	return nil
}

// Run serves until ctx ends, then stops cleanly. It returns early when the server fails, with the cause.
func (e *Etcd) Run(ctx context.Context) error {
	if err := os.MkdirAll(e.config.Dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}

	server, err := e.start()
	if err != nil {
		return fmt.Errorf("open database in %s: %w", e.config.Dir, err)
	}

	defer func() {
		if !e.serving.Swap(false) {
			server.Server.Stop() // Close waits for a server that has become ready, or stops
		}

		server.Close()
	}()

	if err := e.await(ctx, server); err != nil {
		return err
	}

	select {
	case <-ctx.Done():
		return nil
	case err := <-server.Err():
		return fmt.Errorf("serve etcd: %w", err)
	case <-server.Server.StopNotify():
		return errors.New("serve etcd: it stopped by itself; its last log lines tell why")
	}
}

func (e *Etcd) await(ctx context.Context, server *embed.Etcd) error {
	late := time.NewTimer(readyWithin)
	defer late.Stop()

	select {
	case <-server.Server.ReadyNotify():
		e.serving.Store(true)

		return nil
	case <-ctx.Done():
		return nil
	case err := <-server.Err():
		return fmt.Errorf("start etcd: %w", err)
	case <-late.C:
		return fmt.Errorf("start etcd: not ready within %s: the disk under %s may be too slow or failing", readyWithin, e.config.Dir)
	}
}

// start turns etcd's panics over a damaged data directory into errors.
func (e *Etcd) start() (server *embed.Etcd, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the data is damaged; %s: %v", damagedCure, cause)
		}
	}()

	config := e.embedConfig()
	if err := discardUnfinished(config.Dir); err != nil {
		return nil, err
	}

	if err := checkDatabase(datadir.ToBackendFileName(config.Dir)); err != nil {
		return nil, err
	}

	return embed.StartEtcd(config)
}

// checkDatabase opens the database file once before etcd does: etcd opens it in a goroutine of its own, where its panic
// over a damaged file cannot be turned into an error.
func checkDatabase(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil // of an empty file, left by a start that was cut off, etcd makes a database
	}

	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockWithin})
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return fmt.Errorf("lock %s: another process has it open: stop that one first", path)
	case err != nil:
		return fmt.Errorf("%s is damaged; %s: %w", path, damagedCure, err)
	}

	return db.Close()
}

func (e *Etcd) embedConfig() *embed.Config {
	c := embed.NewConfig()
	c.Name = memberName
	c.Dir = filepath.Join(e.config.Dir, memberData)
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{e.client}, []url.URL{e.client}
	// A single member listens for no peers: given a unix socket to do so, etcd would open an abstract one, which has no
	// file permissions. The peer's URL is only the member's name.
	c.ListenPeerUrls, c.AdvertisePeerUrls = nil, []url.URL{e.peer}
	c.InitialCluster = c.InitialClusterFromName(memberName)
	c.EnableGRPCGateway = false
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, compactionRetention
	c.QuotaBackendBytes = quotaBytes
	c.MaxRequestBytes = maxRequestBytes
	c.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.ReadBufferSize(connectionBuffer)}
	c.SnapshotCount, c.SnapshotCatchUpEntries = snapshotEvery, snapshotEvery/2
	c.TickMs, c.ElectionMs = tick, election
	// etcd reports a damaged directory by Fatal, which would end the process without a word of advice.
	logger := e.config.Logger.WithOptions(zap.WithFatalHook(zapcore.WriteThenPanic))
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)

	return c
}
