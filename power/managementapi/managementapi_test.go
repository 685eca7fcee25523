package managementapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// machine answers with a status code and a body, and keeps what it was asked.
type machine struct {
	code  int
	body  string
	asked chan string
}

func (m *machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.asked <- r.Method + " " + r.URL.Path
	w.Header().Set("Location", "/elsewhere")
	w.WriteHeader(m.code)
	_, _ = w.Write([]byte(m.body))
}

func driver(t *testing.T, handler http.Handler) *Driver {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	driver, err := New(Config{Endpoint: server.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = driver.Close() })
	return driver
}

func actions(d *Driver) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"POST /poweron":  d.On,
		"POST /poweroff": d.Off,
		"POST /reboot":   d.Cycle,
		"POST /pxeboot":  func(ctx context.Context) error { return d.BootFromNetwork(ctx, power.UEFI) },
	}
}

func TestActions(t *testing.T) {
	for code, fails := range map[int]bool{200: false, 204: true, 302: true, 404: true, 500: true} {
		m := &machine{code: code, asked: make(chan string, 8)}
		for want, call := range actions(driver(t, m)) {
			err := call(t.Context())
			if (err != nil) != fails {
				t.Errorf("%s answered %d: %v", want, code, err)
			}
			if asked := <-m.asked; asked != want || len(m.asked) > 0 {
				t.Errorf("asked %s and %d more, not %s", asked, len(m.asked), want)
			}
		}
	}
}

func TestState(t *testing.T) {
	for _, test := range []struct {
		code int
		body string
		want power.State
		err  string
	}{
		{200, `{"PoweredOn":true}`, power.On, ""},
		{200, `{"PoweredOn":false}`, power.Off, ""},
		{200, `{"SomethingElse":1}`, power.Off, ""},
		{500, `{"PoweredOn":true}`, power.On, ""}, // Sidero does not look at the status code
		{200, `<html>`, power.Unknown, "parse status"},
		{200, ``, power.Unknown, "parse status"},
		{200, `{"PoweredOn":"yes"}`, power.Unknown, "parse status"},
		{200, `{"x":"` + strings.Repeat("a", 2*maxStatus) + `"}`, power.Unknown, "parse status"},
	} {
		m := &machine{code: test.code, body: test.body, asked: make(chan string, 1)}
		state, err := driver(t, m).State(t.Context())
		if state != test.want || (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%.40s: %s, %v", test.body, state, err)
		}
		if asked := <-m.asked; asked != "GET /status" {
			t.Errorf("asked %s", asked)
		}
	}
}

func TestHangingMachine(t *testing.T) {
	release := make(chan struct{})
	d := driver(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.State(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("state: %v", err)
	}
	for name, call := range actions(d) {
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAbsentMachine(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	d, err := New(Config{Endpoint: server.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	if err := d.On(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for _, config := range []Config{
		{}, {Endpoint: "http://10.0.0.1"}, {Endpoint: "10.0.0.1:x"}, {Endpoint: "user:secret@10.0.0.1"}, {Endpoint: "10.0.0.1/path"}, {Endpoint: ":80"},
	} {
		if _, err := New(config); err == nil {
			t.Errorf("accepted %+v", config)
		}
	}
	for _, endpoint := range []string{"10.0.0.1:4000", "[fd00::1]:4000", "machine.example:80", "machine"} {
		if _, err := New(Config{Endpoint: endpoint}); err != nil {
			t.Error(err)
		}
	}
}

func FuzzStatus(f *testing.F) {
	for _, seed := range []string{`{"PoweredOn":true}`, `{"PoweredOn":null}`, `[]`, `null`, `"`, `{"poweredon":true}{`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		if on, err := parseStatus(strings.NewReader(answer)); on && (err != nil || !strings.Contains(strings.ToLower(answer), "true")) {
			t.Errorf("%q says on, %v", answer, err)
		}
	})
}
