package httpboot_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets"
	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
	"github.com/sidero-appliance/sidero-appliance/netboot/httpboot"
	"github.com/sidero-appliance/sidero-appliance/netboot/ipxe"
)

const (
	baseURL    = "http://192.0.2.1:8081"
	registered = "52895372-7ef3-4ba4-9d6a-6f1c0e2d3b4a"
	unknown    = "00000000-7ef3-4ba4-9d6a-6f1c0e2d3b4a"
	broken     = "ffffffff-7ef3-4ba4-9d6a-6f1c0e2d3b4a"
)

// machines knows one server and fails for another.
type machines struct{}

func (machines) Server(_ context.Context, asks bootplan.Request) (bootplan.Server, error) {
	switch asks.UUID {
	case registered:
		return bootplan.Server{Registered: true}, nil
	case broken:
		return bootplan.Server{}, errors.New("cache not synced")
	default:
		return bootplan.Server{}, nil
	}
}

// catalogue holds small fixture images, and a kernel of the given size in bytes.
func catalogue(t testing.TB, kernelSize int) *assets.Catalogue {
	t.Helper()
	return catalogueWith(t, kernelSize, t.TempDir())
}

// catalogueWith has the operator's own files in a directory.
func catalogueWith(t testing.TB, kernelSize int, overlay string) *assets.Catalogue {
	t.Helper()
	images := fstest.MapFS{}
	add := func(folder string, files map[string][]byte) {
		var entries []map[string]any
		for name, data := range files {
			images[folder+"/"+name] = &fstest.MapFile{Data: data}
			entries = append(entries, map[string]any{"name": name, "size": len(data), "sha256": digest(data)})
		}
		manifest, err := json.Marshal(map[string]any{"files": entries})
		if err != nil {
			t.Fatal(err)
		}
		images[folder+"/manifest.json"] = &fstest.MapFile{Data: manifest}
	}
	add("agent-amd64", map[string][]byte{
		"vmlinuz":      bytes.Repeat([]byte("kernel\x00\xff"), kernelSize/8),
		"initramfs.xz": []byte("initial RAM disk"),
		"drivers.zst":  []byte("drivers and firmware"),
	})
	add("ipxe", map[string][]byte{
		"undionly.kpxe":  []byte("iPXE for BIOS"),
		"snponly.efi":    []byte("iPXE on the firmware's driver"),
		"ipxe.efi":       []byte("iPXE on its own drivers"),
		"ipxe-arm64.efi": []byte("iPXE for arm64"),
	})
	scripts, err := ipxe.New(baseURL)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := assets.Open(assets.Config{Images: images, Overlay: overlay, BootScript: []byte(scripts.Boot())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// server is a running server under test.
type server struct {
	*httpboot.Server
	url string
	// seen gets what the server observes.
	seen chan httpboot.Observation
	// stop ends Run and returns its error.
	stop func() error
}

// start runs a server on loopback until the test ends. change adapts its configuration.
func start(t *testing.T, change func(*httpboot.Config)) *server {
	t.Helper()
	seen := make(chan httpboot.Observation, 100)
	config := httpboot.Config{
		Address:  "127.0.0.1:0",
		BaseURL:  baseURL,
		Files:    catalogue(t, 1<<10),
		Machines: machines{},
		GRPC:     http.NotFoundHandler(),
		Observe:  func(o httpboot.Observation) { seen <- o },
		Log:      slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&config)
	}
	under, err := httpboot.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := under.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- under.Run(ctx) }()
	stop := func() error { cancel(); return <-ended }
	stopped := false
	t.Cleanup(func() {
		if stopped {
			return
		}
		if err := stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return &server{
		Server: under, url: "http://" + under.Addr().String(), seen: seen,
		stop: func() error { stopped = true; return stop() },
	}
}

// await waits for what the server observes next of a kind.
func (s *server) await(t *testing.T, kind httpboot.Kind) httpboot.Observation {
	t.Helper()
	for {
		select {
		case seen := <-s.seen:
			if seen.Kind == kind {
				return seen
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no observation of kind %s", kind)
		}
	}
}

// answer is a response read to its end.
type answer struct {
	*http.Response
	body string
}

func (s *server) do(t *testing.T, method, path string, header http.Header) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, string(body)}
}

func (s *server) get(t *testing.T, path string) answer {
	t.Helper()
	return s.do(t, http.MethodGet, path, nil)
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
}

// startBench runs a server on loopback for a benchmark, and returns its URL.
func startBench(b *testing.B, files httpboot.Files) string {
	b.Helper()
	under, err := httpboot.New(httpboot.Config{
		Address: "127.0.0.1:0", BaseURL: baseURL, Files: files, Machines: machines{}, GRPC: http.NotFoundHandler(), Log: discard(),
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := under.Listen(); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- under.Run(ctx) }()
	b.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return "http://" + under.Addr().String()
}
