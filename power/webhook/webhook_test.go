package webhook

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// device keeps what it was sent and answers as told.
type device struct {
	code int
	body string

	mu   sync.Mutex
	sent []string
}

func (d *device) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	defer d.mu.Unlock()
	line := strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), body))
	for _, name := range []string{"Authorization", "X-Key"} {
		if value := r.Header.Get(name); value != "" {
			line += " " + name + "=" + value
		}
	}
	d.sent = append(d.sent, line)
	if d.code != 0 {
		w.WriteHeader(d.code)
	}
	_, _ = w.Write([]byte(d.body))
}

func (d *device) got() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.sent)
}

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func driver(t *testing.T, config Config) *Driver {
	t.Helper()
	driver, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = driver.Close() })
	return driver
}

func matches(err error, want string) bool {
	if want == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), want)
}

func TestRequests(t *testing.T) {
	for name, test := range map[string]struct {
		request Request
		auth    Auth
		want    string
	}{
		"plain":          {Request{URL: "${base}/on"}, Auth{}, "GET /on"},
		"method":         {Request{Method: "PUT", URL: "${base}/on"}, Auth{}, "PUT /on"},
		"path":           {Request{URL: "${base}/${odd}/on"}, Auth{}, "GET /a%20b&c%22%2Fd/on"},
		"query":          {Request{URL: "${base}/?name=${odd}&x=${password}"}, Auth{Password: "p&x=1"}, "GET /?name=a+b%26c%22%2Fd&x=p%26x%3D1"},
		"raw body":       {Request{Method: "POST", URL: "${base}", Body: "${odd}"}, Auth{}, `POST / a b&c"/d`},
		"JSON body":      {Request{Method: "POST", URL: "${base}", Body: `{"on":"${odd}"}`, Headers: map[string]string{"content-type": "application/json"}}, Auth{}, `POST / {"on":"a b\u0026c\"/d"}`},
		"form body":      {Request{Method: "POST", URL: "${base}", Body: "on=${odd}", Headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, Auth{}, "POST / on=a+b%26c%22%2Fd"},
		"header":         {Request{URL: "${base}", Headers: map[string]string{"X-Key": "k ${token}"}}, Auth{Token: "secret"}, "GET / X-Key=k secret"},
		"basic":          {Request{URL: "${base}"}, Auth{Scheme: Basic, User: "u", Password: "p"}, "GET / Authorization=Basic dTpw"},
		"bearer":         {Request{URL: "${base}"}, Auth{Scheme: Bearer, Token: "abc"}, "GET / Authorization=Bearer abc"},
		"braces are not": {Request{Method: "POST", URL: "${base}", Body: `{"a":{"b":"$1"}}`}, Auth{}, `POST / {"a":{"b":"$1"}}`},
	} {
		d := &device{}
		config := Config{On: &test.request, Auth: test.auth, Values: map[string]string{"base": serve(t, d), "odd": `a b&c"/d`}}
		if err := driver(t, config).On(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := d.got(); !slices.Equal(got, []string{test.want}) {
			t.Errorf("%s: sent %q", name, got)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, test := range []struct {
		code             int
		body             string
		success, failure string
		err              string
		class            power.Class
	}{
		{code: 200},
		{code: 204},
		{code: 302, err: "redirects are not followed", class: power.Refused},
		{code: 401, err: "it answers 401 Unauthorized: check auth's scheme", class: power.Denied},
		{code: 403, err: "check auth's scheme", class: power.Denied},
		{code: 404, err: "it answers 404 Not Found: check the URL", class: power.Refused},
		{code: 500, err: "it answers 500"},
		{code: 200, body: `{"POWER":"ON"}`, success: `"ON"`},
		{code: 200, body: `{"POWER":"OFF"}`, success: `"ON"`, err: "not the one of success"},
		{code: 200, body: `{"WARNING":"no"}`, failure: "WARNING", err: "one of failure", class: power.Denied},
		{code: 200, body: strings.Repeat("x", maxAnswer+1), err: "longer than"},
	} {
		request := &Request{URL: serve(t, &device{code: test.code, body: test.body}) + "/secret?key=secret", Success: test.success, Failure: test.failure}
		err := driver(t, Config{On: request}).On(t.Context())
		if !matches(err, test.err) || power.ClassOf(err) != test.class || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%d %.20s: %v", test.code, test.body, err)
		}
	}
}

// TestNothingIsFollowed: secrets would go along.
func TestNothingIsFollowed(t *testing.T) {
	stranger := &device{}
	target := serve(t, stranger)
	for _, code := range []int{301, 302, 303, 307, 308} {
		base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, code) }))
		d := driver(t, Config{On: &Request{URL: base, Headers: map[string]string{"X-Key": "secret"}}})
		if err := d.On(t.Context()); !matches(err, "redirects are not followed") {
			t.Errorf("%d: %v", code, err)
		}
	}
	if got := stranger.got(); got != nil {
		t.Errorf("a stranger was sent %q", got)
	}
}

func TestCycle(t *testing.T) {
	request := func(base, path string) *Request { return &Request{URL: base + path} }
	for name, test := range map[string]struct {
		off, cycle bool
		want       []string
	}{
		"its own":    {true, true, []string{"GET /cycle"}},
		"off and on": {true, false, []string{"GET /off", "GET /on"}},
		"a person":   {false, false, nil},
	} {
		d := &device{}
		base := serve(t, d)
		config := Config{On: request(base, "/on"), Pause: time.Millisecond}
		if test.off {
			config.Off = request(base, "/off")
		}
		if test.cycle {
			config.Cycle = request(base, "/cycle")
		}
		err := driver(t, config).Cycle(t.Context())
		var person *power.NeedsPersonError
		if (err != nil) != (test.want == nil) || err != nil && !errors.As(err, &person) {
			t.Errorf("%s: %v", name, err)
		}
		if got := d.got(); !slices.Equal(got, test.want) {
			t.Errorf("%s: sent %q", name, got)
		}
	}
}

// TestCycleThatCannotEnd: a machine must not be left without power because there was no time to give it back.
func TestCycleThatCannotEnd(t *testing.T) {
	d := &device{}
	base := serve(t, d)
	config := Config{On: &Request{URL: base + "/on"}, Off: &Request{URL: base + "/off"}, Pause: time.Hour}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := driver(t, config).Cycle(ctx); !errors.Is(err, context.DeadlineExceeded) || !matches(err, "nothing was done") {
		t.Error(err)
	}
	if got := d.got(); got != nil {
		t.Errorf("sent %q", got)
	}
	// Cut short in the pause, it says how it left the machine.
	stop, cancel := context.WithCancel(t.Context())
	config.Off.URL = serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.AfterFunc(time.Millisecond, cancel) }))
	if err := driver(t, config).Cycle(stop); err == nil {
		t.Error("no error")
	}
	config.Pause = time.Millisecond
	config.Off.URL, config.On.URL = base+"/off", serve(t, &device{code: 500})
	if err := driver(t, config).Cycle(t.Context()); !matches(err, "the machine is off now") {
		t.Error(err)
	}
}

func TestState(t *testing.T) {
	for _, test := range []struct {
		state StateRequest
		body  string
		want  power.State
		err   string
	}{
		{StateRequest{JSONPath: "ison"}, `{"ison":true}`, power.On, ""},
		{StateRequest{JSONPath: "$.ison"}, `{"ison":false}`, power.Off, ""},
		{StateRequest{JSONPath: "a[1].b"}, `{"a":[0,{"b":"On"}]}`, power.On, ""},
		{StateRequest{JSONPath: "[0]"}, `[0]`, power.Off, ""},
		{StateRequest{JSONPath: `$`}, `"off"`, power.Off, ""},
		{StateRequest{JSONPath: `["switch:0"].output`}, `{"switch:0":{"output":1}}`, power.On, ""},
		{StateRequest{JSONPath: "w", On: []string{"run"}, Off: []string{"stop", "Idle"}}, `{"w":"idle"}`, power.Off, ""},
		{StateRequest{JSONPath: "ison"}, `{"ison":"unavailable"}`, power.Unknown, `it is "unavailable", which is neither on (on, true, 1) nor off`},
		{StateRequest{JSONPath: "ison"}, `{"ison":null}`, power.Unknown, "leads to null"},
		{StateRequest{JSONPath: "a.b"}, `{"a":{"c":1}}`, power.Unknown, `there is nothing at [["a"] ["b"]]`},
		{StateRequest{JSONPath: "a[3]"}, `{"a":[1]}`, power.Unknown, "there is nothing at"},
		{StateRequest{JSONPath: "a[0]"}, `{"a":{"0":1}}`, power.Unknown, "there is nothing at"},
		{StateRequest{JSONPath: "ison"}, `<html>`, power.Unknown, "not JSON"},
		{StateRequest{JSONPath: "ison"}, `{"ison":true}{"ison":false}`, power.Unknown, "not JSON alone"},
		{StateRequest{JSONPath: "ison"}, ``, power.Unknown, "not JSON"},
		{StateRequest{Regexp: "POWER=(ON|OFF)"}, "x\nPOWER=ON\n", power.On, ""},
		{StateRequest{Regexp: "on|off"}, "it is off", power.Off, ""},
		{StateRequest{Regexp: "POWER=(ON|OFF)"}, "nothing", power.Unknown, "nothing in its 7 bytes matches"},
		{StateRequest{JSONPath: "s"}, `{"s":"` + strings.Repeat("x", 100) + `"}`, power.Unknown, `xxx"…`},
		{StateRequest{JSONPath: "s"}, `{"s":"a hunter2 b"}`, power.Unknown, `"a (redacted) b"`},
	} {
		test.state.URL = serve(t, &device{body: test.body})
		state, err := driver(t, Config{On: &Request{URL: "http://x"}, State: &test.state, Auth: Auth{Password: "hunter2"}}).State(t.Context())
		if state != test.want || !matches(err, test.err) {
			t.Errorf("%.40s: %s, %v", test.body, state, err)
		}
	}
	if state, err := driver(t, Config{On: &Request{URL: "http://x"}}).State(t.Context()); state != power.Unknown || err != nil {
		t.Errorf("without a request: %s, %v", state, err)
	}
}

func TestHang(t *testing.T) {
	release := make(chan struct{})
	base := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer close(release)
	request := &Request{URL: base + "/secret"}
	d := driver(t, Config{On: request, Off: request, State: &StateRequest{Request: *request, JSONPath: "x"}})
	for name, call := range map[string]func(context.Context) error{
		"on": d.On, "off": d.Off, "state": func(ctx context.Context) error { _, err := d.State(ctx); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestNobodyThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	d := driver(t, Config{On: &Request{URL: server.URL + "/${token}?t=${token}"}, Auth: Auth{Token: "hunter2"}})
	err := d.On(t.Context())
	if !matches(err, "turn on by webhook at "+server.URL+": dial tcp") || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(&device{})
	defer server.Close()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	seen := ""
	for _, test := range []struct {
		trust TLS
		err   string
	}{
		{TLS{}, "certificate"},
		{TLS{Insecure: true}, ""},
		{TLS{Authorities: certificate}, ""},
		{TLS{Fingerprint: strings.Repeat("00", 32)}, "set tls.fingerprint to it"},
		{TLS{Fingerprint: "seen"}, ""}, // as the error before said
	} {
		if test.trust.Fingerprint == "seen" {
			test.trust.Fingerprint = seen
		}
		err := driver(t, Config{On: &Request{URL: server.URL}, TLS: test.trust}).On(t.Context())
		if !matches(err, test.err) {
			t.Error(err)
		}
		if _, after, found := strings.Cut(fmt.Sprint(err), "fingerprint "); found {
			seen, _, _ = strings.Cut(after, ":")
		}
	}
}

func TestBootNeedsAPerson(t *testing.T) {
	var person *power.NeedsPersonError
	d := driver(t, Config{On: &Request{URL: "http://x"}})
	if err := d.BootFromNetwork(t.Context(), power.UEFI); !errors.As(err, &person) {
		t.Error(err)
	}
	if err := d.Off(t.Context()); !errors.As(err, &person) {
		t.Error(err)
	}
}
