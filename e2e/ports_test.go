//go:build e2e

package e2e_test

import (
	"context"
	"crypto/tls"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

// TestPorts holds what the process listens on to the table of ports in docs/architecture.md.
func TestPorts(t *testing.T) {
	ctx, i := start(t, time.Minute)

	t.Run("nothing else listens", func(t *testing.T) { testListeners(t, i) })
	t.Run("the program is static", func(t *testing.T) { testStatic(t, i.Program()) })
	t.Run("other users are kept out", func(t *testing.T) { testOtherUser(ctx, t, i) })
	t.Run("health", func(t *testing.T) { testHealth(ctx, t, i) })
}

func testListeners(t *testing.T, i *installation.Installation) {
	want := []string{
		"127.0.0.1:8082/tcp",
		"any:4011/udp", "any:51821/udp", "any:6443/tcp", "any:67/udp", "any:69/udp", "any:8081/tcp",
	}

	var got, unix []string

	if err := i.Lab.Inside(func() error {
		for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
			got = append(got, sockets(t, table)...)
		}

		unix = unixListeners(t)

		return nil
	}); err != nil {
		t.Fatal(err)
	}

	slices.Sort(got)

	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("listens on %v, want %v", got, want)
	}

	if len(unix) == 0 {
		t.Error("no unix socket of etcd is found")
	}

	for _, path := range unix {
		if !strings.HasPrefix(path, i.DataDir+"/etcd/") {
			t.Errorf("listens on the unix socket %q, outside of its private directory", path)
		}
	}
}

// sockets are those of this thread's network namespace that take packets or connections from anyone, see proc_net_tcp of
// the kernel's documentation.
func sockets(t *testing.T, table string) []string {
	t.Helper()

	const (
		listening   = "0A" // of TCP
		unconnected = "07" // of UDP
	)

	var found []string

	for line := range strings.Lines(read(t, "/proc/thread-self/net/"+table)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || (fields[3] != listening && fields[3] != unconnected) {
			continue
		}

		address, port, _ := strings.Cut(fields[1], ":")
		number, err := strconv.ParseUint(port, 16, 16)
		found = append(found, fmt.Sprintf("%s:%d/%s", procAddress(t, address), must(t, number, err), strings.TrimSuffix(table, "6")))
	}

	return found
}

// procAddress reads an address that the kernel writes as 32-bit words in its own byte order.
func procAddress(t *testing.T, text string) string {
	t.Helper()

	raw, err := hex.DecodeString(text)
	raw = must(t, raw, err)

	for n := 0; n+4 <= len(raw); n += 4 {
		binary.BigEndian.PutUint32(raw[n:], binary.NativeEndian.Uint32(raw[n:]))
	}

	address, ok := netip.AddrFromSlice(raw)
	if !ok {
		t.Fatalf("address %q", text)
	}

	if address.IsUnspecified() {
		return "any"
	}

	return address.String()
}

// unixListeners are the names of the unix sockets of this thread's network namespace that take connections.
func unixListeners(t *testing.T) []string {
	t.Helper()

	const acceptsConnections = "00010000" // __SO_ACCEPTCON

	var found []string

	for line := range strings.Lines(read(t, "/proc/thread-self/net/unix")) {
		if fields := strings.Fields(line); len(fields) > 3 && fields[3] == acceptsConnections {
			found = append(found, strings.Join(fields[7:], " "))
		}
	}

	return found
}

func testStatic(t *testing.T, program string) {
	file, err := elf.Open(program)
	file = must(t, file, err)
	defer file.Close()

	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("%s has a segment %s", program, segment.Type)
		}
	}
}

// testOtherUser tries as another user what root can do.
func testOtherUser(ctx context.Context, t *testing.T, i *installation.Installation) {
	const nobody = "65534"

	as := func(user string, command ...string) error {
		return i.Lab.Run(i.Lab.Command(ctx, "setpriv", append([]string{"--reuid", user, "--regid", user, "--clear-groups"}, command...)...))
	}

	if err := as(nobody, "ls", filepath.Dir(i.DataDir)); err != nil {
		t.Fatalf("the test itself keeps the user out: %v", err)
	}

	tries := [][]string{
		{"ls", i.DataDir},
		{"cat", i.Kubeconfig()},
		{"cat", filepath.Join(i.DataDir, "pki/ca.key")},
		{"curl", "--silent", "--output", "/dev/null", "--http2-prior-knowledge", "--unix-socket", filepath.Join(i.DataDir, "etcd/client.sock"), "http://etcd/health"},
	}
	for _, try := range tries {
		if err := as("0", try...); err != nil {
			t.Errorf("%q as root: %v", try, err)
		}

		if err := as(nobody, try...); err == nil {
			t.Errorf("another user can %q", try)
		}
	}

	err := filepath.WalkDir(i.DataDir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}

		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}

		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func testHealth(ctx context.Context, t *testing.T, i *installation.Installation) {
	for url, want := range map[string]int{
		"http://127.0.0.1:8082/readyz":                         http.StatusOK,
		"http://127.0.0.1:8082/healthz":                        http.StatusOK,
		"http://127.0.0.1:8082/metrics":                        http.StatusOK,
		"https://" + lab.ApplianceAddress + ":6443/readyz":     http.StatusUnauthorized,
		"https://" + lab.ApplianceAddress + ":6443/metrics":    http.StatusUnauthorized,
		"https://" + lab.ApplianceAddress + ":6443/api":        http.StatusUnauthorized,
		"https://" + lab.ApplianceAddress + ":6443/version":    http.StatusUnauthorized,
		"https://" + lab.ApplianceAddress + ":6443/openapi/v3": http.StatusUnauthorized,
	} {
		status, body := get(ctx, t, i, url)
		if status != want || (strings.HasSuffix(url, "8082/readyz") && body != "ok") {
			t.Errorf("%s: %d %.100s, want %d", url, status, body, want)
		}
	}

	_, report := get(ctx, t, i, "http://127.0.0.1:8082/readyz?verbose")
	for _, part := range []string{"etcd", "apiserver", "controllers", "http-boot", "tftp", "dhcp"} {
		if !strings.Contains(report, "[+]"+part+" ok\n") {
			t.Errorf("/readyz?verbose does not name %s:\n%s", part, report)
		}
	}
}

// get fetches a URL from the appliance without any credentials.
func get(ctx context.Context, t testing.TB, i *installation.Installation, url string) (status int, body string) {
	t.Helper()

	web := &http.Client{Transport: &http.Transport{
		DialContext:     i.Lab.Dial,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // who it is is nothing to this test
	}}
	defer web.CloseIdleConnections()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	response, err := web.Do(must(t, request, err))
	response = must(t, response, err)

	defer response.Body.Close()

	content, err := io.ReadAll(response.Body)

	return response.StatusCode, string(must(t, content, err))
}
