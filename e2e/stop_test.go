//go:build e2e

package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

const (
	stopsWithin = 10 * time.Second
	kernelPath  = "/env/agent-amd64/vmlinuz"
)

// TestStop tells a busy appliance to stop: a machine gets the rest of its kernel, watches end, nothing is said to be
// wrong.
func TestStop(t *testing.T) {
	ctx, i := start(t, time.Minute)
	whole := download(ctx, t, i)

	watching, err := admin(t, i).Watch(ctx, &v1alpha2.ServerList{})
	watching = must(t, watching, err)
	t.Cleanup(watching.Stop)

	work := &load{agents: connect(t, i), admin: admin(t, i)}
	work.begin(ctx, t)
	work.waitProgress(ctx, t)

	slow := request(ctx, t, i)
	defer slow.Body.Close()

	stopped := time.Now()
	i.Process.Signal(syscall.SIGTERM)

	if _, err := i.Log.Wait(ctx, "component has stopped. component=tftp"); err != nil {
		t.Fatal(err)
	}

	// The one that is slow goes on, and nobody else is let in.
	refused := &http.Client{Transport: &http.Transport{DialContext: i.Lab.Dial}}
	eventually(ctx, t, func() error {
		response, err := refused.Get("http://" + installation.Endpoint + kernelPath)
		if err == nil {
			response.Body.Close()

			return errors.New("a new download began although the appliance stops")
		}

		return nil
	})

	if logged(i, "component has stopped", "component", "http-boot") {
		t.Error("the server has stopped while a machine was loading its kernel")
	}

	digest := sha256.New()
	if n, err := io.Copy(digest, slow.Body); err != nil || n != slow.ContentLength || !bytes.Equal(digest.Sum(nil), whole) {
		t.Errorf("%d of %d bytes arrived: %v", n, slow.ContentLength, err)
	}

	finished := time.Now()

	if err := i.Process.Wait(ctx); err != nil {
		t.Errorf("the appliance ended with %v", err)
	}

	t.Logf("transfer finished %s after SIGTERM, and the process %s later", finished.Sub(stopped).Round(time.Millisecond), time.Since(finished).Round(time.Millisecond))

	if late := time.Since(finished); late > stopsWithin {
		t.Errorf("the appliance needed %s to stop", late)
	}

	work.end()

	for range watching.ResultChan() { // ends, because the connection did
	}

	for _, entry := range i.Entries() {
		if entry.Fields["level"] == "ERROR" || entry.Fields["reason"] == "error" {
			t.Errorf("an appliance that starts, works and stops says: %v", entry.Fields)
		}
	}
}

// TestStopWhileStarting tells the appliance to stop at different moments of its start.
func TestStopWhileStarting(t *testing.T) {
	ctx, i := start(t, 2*time.Minute)

	for _, moment := range []string{"starting", "component is ready. component=health", "component is ready. component=etcd", "component is ready. component=bootstrap"} {
		if err := i.Process.Stop(); err != nil {
			t.Fatal(err)
		}

		if err := i.Launch(); err != nil {
			t.Fatal(err)
		}

		if _, err := i.Log.Wait(ctx, moment); err != nil {
			t.Fatal(err)
		}

		told := time.Now()

		if err := i.Process.Stop(); err != nil {
			t.Errorf("at %q: %v", moment, err)
		}

		if took := time.Since(told); took > stopsWithin {
			t.Errorf("at %q: it needed %s to stop", moment, took)
		}

		for _, entry := range i.Entries() {
			if entry.Fields["level"] == "ERROR" {
				t.Errorf("at %q: %v", moment, entry.Fields)
			}
		}

		if err := i.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// request begins to load the kernel as a machine that cannot take it: what it has asked for stays in the appliance.
func request(ctx context.Context, t *testing.T, i *installation.Installation) *http.Response {
	t.Helper()

	const smallWindow = 16 << 10

	dialer := &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, smallWindow)
		})

		return errors.Join(err, failed)
	}}

	var conn net.Conn

	err := i.Lab.Inside(func() (err error) {
		conn, err = dialer.DialContext(ctx, "tcp", installation.Endpoint)

		return err
	})
	conn = must(t, conn, err)
	t.Cleanup(func() { _ = conn.Close() })

	get, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+installation.Endpoint+kernelPath, nil)
	if err := must(t, get, err).Write(conn); err != nil {
		t.Fatal(err)
	}

	response, err := http.ReadResponse(bufio.NewReaderSize(conn, smallWindow), get)
	response = must(t, response, err)

	if response.StatusCode != http.StatusOK {
		t.Fatalf("kernel: %s", response.Status)
	}

	return response
}

// download is the digest of the kernel, loaded as fast as can be.
func download(ctx context.Context, t *testing.T, i *installation.Installation) []byte {
	t.Helper()

	web := &http.Client{Transport: &http.Transport{DialContext: i.Lab.Dial}}
	defer web.CloseIdleConnections()

	get, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+installation.Endpoint+kernelPath, nil)
	response, err := web.Do(must(t, get, err))
	response = must(t, response, err)

	defer response.Body.Close()

	digest := sha256.New()
	if _, err := io.Copy(digest, response.Body); err != nil {
		t.Fatal(err)
	}

	return digest.Sum(nil)
}

// TestSecondInstance starts what cannot work beside a running appliance: it says why in one line for each reason, and
// the running one is not disturbed.
func TestSecondInstance(t *testing.T) {
	ctx, i := start(t, time.Minute)

	complaints := refusal(ctx, t, i, i.DataDir)
	if len(complaints) != 1 || !strings.Contains(complaints[0], i.DataDir) {
		t.Errorf("a second instance on the same data says %q, want one line that names the directory", complaints)
	}

	elsewhere := filepath.Join(folder(t), "data")

	complaints = refusal(ctx, t, i, elsewhere)
	for _, port := range []string{"6443", "8081", "8082", "67", "4011", "69", "51821"} {
		said := 0

		for _, line := range complaints {
			if strings.Contains(line, "port "+port+" ") || strings.Contains(line, ":"+port+" ") || strings.Contains(line, port+"/") {
				said++
			}
		}

		if said != 1 {
			t.Errorf("%d lines say that port %s is in use: %q", said, port, complaints)
		}
	}

	if len(complaints) != 7 {
		t.Errorf("seven ports are in use, it says %q", complaints)
	}

	if err := admin(t, i).List(ctx, &v1alpha2.ServerList{}); err != nil {
		t.Errorf("the running appliance: %v", err)
	}

	if err := i.Process.Stop(); err != nil {
		t.Fatal(err)
	}

	listener, err := i.Lab.Listen(ctx, "tcp", lab.ApplianceAddress+":8081")
	listener = must(t, listener, err)

	complaints = refusal(ctx, t, i, i.DataDir)
	if len(complaints) != 1 || !strings.Contains(complaints[0], "8081") || !strings.Contains(complaints[0], "--http-port") {
		t.Errorf("with port 8081 in use it says %q, want one line that names the port and the flag", complaints)
	}

	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}

	if err := i.Start(ctx); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
}

// refusal starts an appliance that cannot work, and returns its complaints.
func refusal(ctx context.Context, t *testing.T, i *installation.Installation, dataDir string) []string {
	t.Helper()

	var out bytes.Buffer

	cmd := i.Command(ctx, dataDir)
	cmd.Stdout, cmd.Stderr = &out, &out

	var exit *exec.ExitError
	if err := i.Lab.Run(cmd); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit status 1", err)
	}

	var complaints []string

	for line := range strings.Lines(out.String()) {
		switch {
		case strings.HasPrefix(line, "error: "):
			complaints = append(complaints, strings.TrimSpace(line))
		case !strings.Contains(line, "level=INFO"):
			t.Errorf("besides its reason it says: %s", line)
		}
	}

	return complaints
}
