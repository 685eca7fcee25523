package download_test

import (
	"context"
	"crypto/sha512"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/offline"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

const (
	host    = "http://releases.test"
	address = host + "/v1/vmlinuz"
)

// large is more than one overlap, and than what is needed for an attempt to count as having come further.
func large() string { return strings.Repeat("0123456789abcdef", 200<<10) }

func digest(text string) string {
	sum := sha512.Sum512([]byte(text))
	return hex.EncodeToString(sum[:])
}

// network connects Go's HTTP client to Go's HTTP servers without sockets, so that the clock of synctest runs.
type network struct {
	t       *testing.T
	mu      sync.Mutex
	servers map[string]*listener // by host:port
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l, ok := n.servers[address]
	n.mu.Unlock()
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// serve answers at a host and port until the test ends.
func (n *network) serve(address string, handler http.Handler, secure *tls.Config) {
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	n.servers[address] = l
	n.mu.Unlock()
	server := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() {
		if secure != nil {
			_ = server.Serve(tls.NewListener(l, secure))
			return
		}
		_ = server.Serve(l)
	}()
	n.t.Cleanup(func() { _ = server.Close() })
}

type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

// files is a server that serves texts by path, and notes what it is asked.
type files struct {
	mu    sync.Mutex
	texts map[string]string
	asked []*http.Request
	// spoil answers in place of the server, if it says so; n counts the requests from 1.
	spoil func(w http.ResponseWriter, r *http.Request, n int) bool
}

func (f *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, r)
	n, spoil := len(f.asked), f.spoil
	text, ok := f.texts[r.URL.Path]
	f.mu.Unlock()
	if spoil != nil && spoil(w, r, n) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"`+digest(text)[:16]+`"`)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}

func (f *files) set(path, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texts[path] = text
}

func (f *files) requests() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// fixture is downloads that run in a bubble of synctest.
type fixture struct {
	*download.Downloads
	t       *testing.T
	network *network
	server  *files
	store   *store.Store
	dir     string
	changed map[string]int
	log     *strings.Builder
	mu      sync.Mutex
	stop    func()
}

// run runs a test with downloads whose one server is at host. What is on the disk is in a directory of its own.
func run(t *testing.T, test func(f *fixture), change ...func(*download.Config)) {
	t.Helper()
	runIn(t, t.TempDir(), test, change...)
}

func runIn(t *testing.T, dir string, test func(f *fixture), change ...func(*download.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{
			t: t, dir: dir, server: &files{texts: map[string]string{}}, changed: map[string]int{}, log: &strings.Builder{},
			network: &network{t: t, servers: map[string]*listener{}},
		}
		f.network.serve("releases.test:80", f.server, nil)
		f.start(change...)
		defer func() { f.stop() }()
		test(f)
	})
}

// start makes downloads and runs them.
func (f *fixture) start(change ...func(*download.Config)) {
	f.t.Helper()
	var err error
	f.store, err = store.Open(f.dir)
	must(f.t, err)
	folder, err := offline.Open(filepath.Join(f.dir, "import"))
	must(f.t, err)
	transport := download.Transport()
	transport.DialContext, transport.Proxy = f.network.dial, nil
	config := download.Config{
		Store: f.store, Offline: folder, Folders: []string{filepath.Join(f.dir, "files")}, Transport: transport,
		Log: slog.New(slog.NewTextHandler(lockedWriter{&f.mu, f.log}, nil)),
		Changed: func(owner string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.changed[owner]++
		},
	}
	for _, c := range change {
		c(&config)
	}
	f.Downloads = download.New(config)
	ctx, cancel := context.WithCancel(f.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	f.stop = func() {
		cancel()
		must(f.t, <-ended)
		transport.CloseIdleConnections()
		f.stop = func() {}
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	to io.Writer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits, by the bubble's clock, until the state of a file holds.
func (f *fixture) await(ref store.Ref, within time.Duration, holds func(download.State) bool) download.State {
	f.t.Helper()
	until := time.Now().Add(within)
	for {
		synctest.Wait()
		state := f.State(ref)
		if holds(state) {
			return state
		}
		if time.Now().After(until) {
			f.t.Fatalf("after %s: %+v", within, state)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// ready waits until a file is there and checks its content.
func (f *fixture) ready(ref store.Ref, within time.Duration, want string) {
	f.t.Helper()
	f.await(ref, within, func(s download.State) bool { return s.Blob != nil })
	file, err := f.store.File(ref, "x")
	must(f.t, err)
	reader, err := file.Open()
	must(f.t, err)
	defer reader.Close()
	text, err := io.ReadAll(reader)
	must(f.t, err)
	if string(text) != want {
		f.t.Errorf("got %d bytes, want %d: not the same", len(text), len(want))
	}
}

// fails waits until a file cannot be had and checks why.
func (f *fixture) fails(ref store.Ref, reason download.Reason, texts ...string) download.State {
	f.t.Helper()
	state := f.await(ref, 5*time.Minute, func(s download.State) bool { return s.Err != nil && s.Reason == reason || s.Blob != nil })
	if state.Blob != nil {
		f.t.Fatal("it is there")
	}
	for _, text := range texts {
		if !strings.Contains(state.Err.Error(), text) {
			f.t.Errorf("%q does not say %q", state.Err, text)
		}
	}
	return state
}

func (f *fixture) write(name, text string) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	must(f.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(f.t, os.WriteFile(path, []byte(text), 0o644))
	return path
}
