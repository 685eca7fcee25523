package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHandler(t *testing.T) {
	good, bad := Check{Name: "etcd"}, Check{Name: "api", Err: errors.New("no\nluck")}
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "go_goroutines 1") })
	tests := []struct {
		method, path string
		checks       []Check
		status       int
		body         string
	}{
		{"GET", "/healthz", []Check{bad}, 200, "ok"},
		{"GET", "/readyz", []Check{good}, 200, "ok"},
		{"GET", "/readyz?verbose", []Check{good}, 200, "[+]etcd ok\nreadyz check passed\n"},
		{"GET", "/readyz", []Check{good, bad}, 503, "[+]etcd ok\n[-]api failed: no; luck\nreadyz check failed\n"},
		{"HEAD", "/readyz", []Check{bad}, 503, ""},
		{"GET", "/metrics", nil, 200, "go_goroutines 1"},
		{"POST", "/readyz", nil, 405, "Method Not Allowed\n"},
		{"GET", "/etc/passwd", nil, 404, "404 page not found\n"},
	}
	for _, test := range tests {
		s := New(Config{Checks: func(context.Context) []Check { return test.checks }, Metrics: metrics})
		server := httptest.NewServer(s.Handler())
		status, body := ask(t, test.method, server.URL+test.path)
		server.Close()
		if status != test.status || body != test.body {
			t.Errorf("%s %s: got %d %q, want %d %q", test.method, test.path, status, body, test.status, test.body)
		}
	}
}

func ask(t *testing.T, method, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestRun(t *testing.T) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := probe.Addr().String()
	s := New(Config{
		Address: address,
		Checks:  func(context.Context) []Check { return nil },
		Log:     slog.New(slog.DiscardHandler),
	})
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("on a busy port: %v, want that it is in use", err)
	}
	probe.Close()
	if s.Ready(t.Context()) == nil {
		t.Error("ready before it runs")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	for s.Ready(t.Context()) != nil {
		time.Sleep(time.Millisecond)
	}
	if status, body := ask(t, "GET", "http://"+address+"/readyz"); status != 200 || body != "ok" {
		t.Errorf("got %d %q, want 200 ok", status, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s.Ready(t.Context()) == nil {
		t.Error("ready after it stopped")
	}
}
