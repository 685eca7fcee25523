package httpboot_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sidero-appliance/sidero-appliance/netboot/httpboot"
)

func TestComponent(t *testing.T) {
	under := start(t, nil)
	if under.Name() != "http-boot" {
		t.Errorf("name %q", under.Name())
	}
	under.get(t, "/boot.ipxe")
	if err := under.Ready(t.Context()); err != nil {
		t.Errorf("serves, yet %v", err)
	}
	if err := under.stop(); err != nil {
		t.Fatal(err)
	}
	if under.Ready(t.Context()) == nil {
		t.Error("ready after its end")
	}
}

func TestNotReadyBeforeRun(t *testing.T) {
	under, err := httpboot.New(httpboot.Config{Address: "127.0.0.1:0", BaseURL: baseURL, Files: catalogue(t, 8), Log: discard()})
	if err != nil {
		t.Fatal(err)
	}
	if err := under.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.1:0") {
		t.Errorf("got %v", err)
	}
}

func TestListenNamesTheCure(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for address, want := range map[string]string{
		taken.Addr().String(): "--http-port",
		"192.0.2.77:8081":     "ip address",
	} {
		under, err := httpboot.New(httpboot.Config{Address: address, BaseURL: baseURL, Files: catalogue(t, 8), Log: discard()})
		if err != nil {
			t.Fatal(err)
		}
		err = under.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), address) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", address, err)
		}
	}
}

func TestNewRefusesABaseURL(t *testing.T) {
	if _, err := httpboot.New(httpboot.Config{BaseURL: "192.0.2.1", Files: catalogue(t, 8), Log: discard()}); err == nil {
		t.Error("accepted")
	}
}

// TestGRPCAndHTTPShareThePort uses a gRPC client as agents do, and HTTP/2 without gRPC.
func TestGRPCAndHTTPShareThePort(t *testing.T) {
	service := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(service, health.NewServer())
	under := start(t, func(config *httpboot.Config) { config.GRPC = service })

	conn, err := grpc.NewClient(under.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	response, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || response.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("gRPC: %v, %v", response, err)
	}

	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	got, err := (&http.Client{Transport: transport}).Get(under.url + "/boot.ipxe")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if body, err := io.ReadAll(got.Body); err != nil || got.ProtoMajor != 2 || !strings.HasPrefix(string(body), "#!ipxe\n") {
		t.Errorf("HTTP/2: protocol %s, %q, %v", got.Proto, body, err)
	}
	if seen := under.await(t, httpboot.KindBootScript); seen.Err != nil {
		t.Errorf("observed %+v", seen)
	}
}

// TestGRPCContentTypeOverHTTP1IsRefused: gRPC needs HTTP/2.
func TestGRPCContentTypeOverHTTP1IsRefused(t *testing.T) {
	under := start(t, func(config *httpboot.Config) {
		config.GRPC = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached gRPC") })
	})
	if got := under.do(t, "POST", "/api.Agent/CreateServer", http.Header{"Content-Type": {"application/grpc"}}); got.StatusCode != 404 {
		t.Errorf("status %d", got.StatusCode)
	}
}

const large = 16 << 20

// download starts to fetch a large kernel over a connection whose buffers are small, so that what the client does not read
// is not sent.
func download(t *testing.T, under *server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", under.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /env/agent-amd64/vmlinuz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

func largeKernel(t *testing.T, limits httpboot.Limits) *server {
	t.Helper()
	return start(t, func(config *httpboot.Config) {
		config.Files, config.Limits = catalogue(t, large), limits
	})
}

// TestSlowTransferCompletes: the whole takes longer than a standstill, a header or an idle connection may last.
func TestSlowTransferCompletes(t *testing.T) {
	const stall = time.Second
	under := largeKernel(t, httpboot.Limits{Stall: stall, Header: stall, Idle: stall})
	conn := download(t, under)
	// A link of 8 MB/s.
	link := time.NewTicker(20 * time.Millisecond)
	defer link.Stop()
	read := int64(0)
	for {
		n, err := io.CopyN(io.Discard, conn, 160<<10)
		read += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", read, err)
		}
		<-link.C
	}
	seen := under.await(t, httpboot.KindEnvironment)
	if seen.Err != nil || seen.Bytes != large || seen.Duration <= stall {
		t.Errorf("observed %+v", seen)
	}
}

// TestSteadilyReadingClientIsNotCut: what leaves in the time that a response may stand still is a small part of the kernel's
// buffers.
func TestSteadilyReadingClientIsNotCut(t *testing.T) {
	const stall = time.Second
	under := largeKernel(t, httpboot.Limits{Stall: stall})
	conn := download(t, under)
	link := time.NewTicker(100 * time.Millisecond)
	defer link.Stop()
	for began := time.Now(); time.Since(began) < 4*stall; <-link.C { // 320 kB/s
		if _, err := io.CopyN(io.Discard, conn, 32<<10); err != nil {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
	}
	select {
	case seen := <-under.seen:
		t.Errorf("cut: %+v", seen)
	default:
	}
}

func TestStalledTransferIsCut(t *testing.T) {
	under := largeKernel(t, httpboot.Limits{Stall: 200 * time.Millisecond})
	download(t, under)
	seen := under.await(t, httpboot.KindEnvironment)
	if !errors.Is(seen.Err, os.ErrDeadlineExceeded) || seen.Bytes >= large {
		t.Errorf("observed %+v", seen)
	}
}

func TestStalledHTTP2TransferIsCut(t *testing.T) {
	under := largeKernel(t, httpboot.Limits{Stall: 200 * time.Millisecond})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	got, err := (&http.Client{Transport: transport}).Get(under.url + "/env/agent-amd64/vmlinuz")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if seen := under.await(t, httpboot.KindEnvironment); seen.Err == nil || seen.Bytes >= large {
		t.Errorf("observed %+v", seen)
	}
}

// TestConnectionOutlivesItsDeadlines: the write deadline of one request must not end the next one, which may have no body.
func TestConnectionOutlivesItsDeadlines(t *testing.T) {
	const stall = 100 * time.Millisecond
	under := start(t, func(config *httpboot.Config) { config.Limits = httpboot.Limits{Stall: stall} })
	conn, err := net.Dial("tcp", under.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buffer := make([]byte, 4096)
	for range 2 {
		if _, err := io.WriteString(conn, "HEAD /tftp/snp.efi HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buffer)
		if err != nil || !strings.HasPrefix(string(buffer[:n]), "HTTP/1.1 200 OK") {
			t.Fatalf("got %q, %v", buffer[:n], err)
		}
		// The time between two requests of a machine.
		<-time.After(2 * stall)
	}
}

func TestMalformedRequestsAreSeen(t *testing.T) {
	for name, test := range map[string]struct {
		sent, answer string
		patience     time.Duration
		reason       string
	}{
		"garbage":        {"\x16\x03\x01 not HTTP\r\n\r\n", "HTTP/1.1 400 ", 0, "400 Bad Request"},
		"no version":     {"GET /boot.ipxe\r\n\r\n", "HTTP/1.1 400 ", 0, "400 Bad Request"},
		"no host":        {"GET /boot.ipxe HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", 0, "400 Bad Request: missing required Host header"},
		"huge header":    {"GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "HTTP/1.1 431 ", 0, "431 Request Header Fields Too Large"},
		"slow header":    {"GET /boot.ipxe HTT", "", 100 * time.Millisecond, "the request did not arrive in time"},
		"bad URL escape": {"GET /tftp/%zz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ", 0, "400 Bad Request"},
	} {
		for kind, before := range map[string]string{"first": "", "later": "HEAD /boot.ipxe HTTP/1.1\r\nHost: x\r\n\r\n"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				under := start(t, func(config *httpboot.Config) { config.Limits.Header = test.patience })
				conn, err := net.Dial("tcp", under.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if before != "" {
					_, _ = io.WriteString(conn, before)
					if n, err := conn.Read(make([]byte, 4096)); n == 0 {
						t.Fatal(err)
					}
				}
				// The server may hang up before it has read all.
				_, _ = io.WriteString(conn, test.sent)
				answer, _ := io.ReadAll(conn)
				if !strings.HasPrefix(string(answer), test.answer) {
					t.Errorf("answered %q", answer)
				}
				seen := under.await(t, httpboot.KindMalformed)
				if seen.Err == nil || seen.Err.Error() != test.reason || seen.Remote != conn.LocalAddr().String() {
					t.Errorf("observed %+v", seen)
				}
			})
		}
	}
}

// exchanged sends bytes over a connection of its own and returns what was answered until its end.
func exchanged(t *testing.T, under *server, sent string) string {
	t.Helper()
	conn, err := net.Dial("tcp", under.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("the connection is kept, after %q: %v", answer, err)
	}
	return string(answer)
}

// TestGarbageAfterARequestInOnePacket: nothing more is read before it is refused.
func TestGarbageAfterARequestInOnePacket(t *testing.T) {
	under := start(t, nil)
	exchanged(t, under, "HEAD /boot.ipxe HTTP/1.1\r\nHost: x\r\n\r\nrubbish here\r\n\r\n")
	if seen := under.await(t, httpboot.KindMalformed); seen.Err.Error() != "400 Bad Request" {
		t.Errorf("observed %+v", seen)
	}
}

// TestWholeConnectionsAreNotMalformed: neither an HTTP/1 nor an HTTP/2 connection that ends between requests, nor one whose
// request was refused.
func TestWholeConnectionsAreNotMalformed(t *testing.T) {
	under := start(t, nil)
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetUnencryptedHTTP2(http2)
		transport.Protocols.SetHTTP1(!http2)
		for _, path := range []string{"/boot.ipxe", "/nothing", "/boot.ipxe"} {
			got, err := (&http.Client{Transport: transport}).Get(under.url + path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, got.Body); err != nil {
				t.Error(err)
			}
			got.Body.Close()
		}
		transport.CloseIdleConnections()
	}
	// What HTTP/2 sends between requests: its settings, and a ping.
	conn, err := net.Dial("tcp", under.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, frames := range []string{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + "12345678",
	} {
		if _, err := io.WriteString(conn, frames); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	if err := under.stop(); err != nil {
		t.Error(err)
	}
	close(under.seen)
	for seen := range under.seen {
		if seen.Kind == httpboot.KindMalformed {
			t.Errorf("observed %+v", seen)
		}
	}
}

// TestUnreadBodiesDoNotKeepConnections: nothing that is served reads a body, but net/http does, to keep the connection.
func TestUnreadBodiesDoNotKeepConnections(t *testing.T) {
	under := start(t, func(config *httpboot.Config) { config.Limits.Stall = 200 * time.Millisecond })
	for _, header := range []string{"Content-Length: 100", "Content-Length: 100000000", "Transfer-Encoding: chunked"} {
		for _, request := range []string{"GET /boot.ipxe", "POST /ipxe"} {
			answer := exchanged(t, under, request+" HTTP/1.1\r\nHost: x\r\n"+header+"\r\n\r\n")
			if !strings.HasPrefix(answer, "HTTP/1.1 ") || !strings.Contains(answer, "\r\nConnection: close\r\n") {
				t.Errorf("%s with %s: answered %q", request, header, answer)
			}
		}
	}
}

// TestUnreadBodiesDoNotKeepCalls: a gRPC call whose message does not come ends.
func TestUnreadBodiesDoNotKeepCalls(t *testing.T) {
	ended := make(chan error, 1)
	under := start(t, func(config *httpboot.Config) {
		config.Limits.Stall = 200 * time.Millisecond
		config.GRPC = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			ended <- err
		})
	})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	body, never := io.Pipe()
	defer never.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, under.url+"/x", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc")
	go func() {
		if response, err := transport.RoundTrip(request); err == nil {
			response.Body.Close()
		}
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the call is kept")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	for name, limits := range map[string]httpboot.Limits{
		"too many connections from this address": {ConnectionsPerAddress: 3, Connections: 6},
		"too many connections":                   {Connections: 3},
	} {
		t.Run(name, func(t *testing.T) {
			log := &lockedBuffer{}
			under := start(t, func(config *httpboot.Config) {
				config.Limits, config.Log = limits, slog.New(slog.NewTextHandler(log, nil))
			})
			var held []net.Conn
			for range 3 {
				conn, err := net.Dial("tcp", under.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				held = append(held, conn)
			}
			for range 5 {
				if answer := exchanged(t, under, ""); answer != "" {
					t.Errorf("one too many was answered %q", answer)
				}
			}
			if n := strings.Count(log.String(), name); n != 1 {
				t.Errorf("%d lines about it, want 1:\n%s", n, log.String())
			}
			// The others are served, and one that ends makes room.
			if _, err := io.WriteString(held[0], "HEAD /boot.ipxe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if answer, err := io.ReadAll(held[0]); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
				t.Errorf("answered %q, %v", answer, err)
			}
			if got := under.get(t, "/boot.ipxe"); got.StatusCode != 200 {
				t.Errorf("status %d", got.StatusCode)
			}
		})
	}
}

// TestOneClientDoesNotFillTheLog: and every request is observed.
func TestOneClientDoesNotFillTheLog(t *testing.T) {
	log := &lockedBuffer{}
	under := start(t, func(config *httpboot.Config) { config.Log = slog.New(slog.NewTextHandler(log, nil)) })
	const times = 30
	for range times {
		under.get(t, "/ipxe?uuid="+unknown)
		under.get(t, "/ipxe?uuid=%2")
	}
	for range 2 * times {
		under.await(t, httpboot.KindPlan)
	}
	for _, line := range []string{"http request served", "http request refused"} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("%d times %q, want 1:\n%s", n, line, log.String())
		}
	}
}

// TestFailuresAreToldToTheLogAlone: what went wrong in here does not reach the network.
func TestFailuresAreToldToTheLogAlone(t *testing.T) {
	under := start(t, nil)
	got := under.get(t, "/ipxe?uuid="+broken)
	if got.StatusCode != 500 || strings.Contains(got.body, "cache") {
		t.Errorf("status %d, %q", got.StatusCode, got.body)
	}
	if seen := under.await(t, httpboot.KindPlan); seen.Err == nil || !strings.Contains(seen.Err.Error(), "cache not synced") {
		t.Errorf("observed %+v", seen)
	}
}

func TestStopLetsTransfersFinish(t *testing.T) {
	under := largeKernel(t, httpboot.Limits{})
	conn := download(t, under)
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- under.stop() }()
	for look := time.Tick(time.Millisecond); under.Ready(t.Context()) == nil; {
		<-look
	}
	rest, err := io.Copy(io.Discard, conn)
	if err != nil || rest < large {
		t.Errorf("got %d bytes: %v", rest, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", under.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("still takes connections")
	}
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	under := largeKernel(t, httpboot.Limits{Drain: 100 * time.Millisecond})
	conn := download(t, under)
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- under.stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Error("still waits for a transfer that stands still")
	}
}
