package httpboot_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/netboot/httpboot"
)

// TestConfigurations: /configdata is another's to answer, whatever the method, and only it.
func TestConfigurations(t *testing.T) {
	under := start(t, func(config *httpboot.Config) {
		config.Configurations = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("uuid") == "stranger" {
				http.Error(w, "not for you", http.StatusForbidden)
				return
			}
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "21")
			_, _ = io.WriteString(w, "version: v1alpha1\n"+r.Method[:2]+"\n")
		})
	})
	for name, test := range map[string]struct {
		method, path string
		status       int
		body         string
		kind         httpboot.Kind
	}{
		"get":      {"GET", "/configdata?uuid=a", 200, "version: v1alpha1\nGE\n", httpboot.KindConfiguration},
		"post":     {"POST", "/configdata?uuid=a", 200, "version: v1alpha1\nPO\n", httpboot.KindConfiguration},
		"put":      {"PUT", "/configdata", 200, "version: v1alpha1\nPU\n", httpboot.KindConfiguration},
		"refused":  {"GET", "/configdata?uuid=stranger", 403, "not for you\n", httpboot.KindConfiguration},
		"below":    {"GET", "/configdata/", 404, "nothing is served at this address\n", httpboot.KindUnknown},
		"in a way": {"GET", "//configdata", 404, "nothing is served at this address\n", httpboot.KindUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			got := under.do(t, test.method, test.path, nil)
			if got.StatusCode != test.status || got.body != test.body {
				t.Errorf("status %d: %q", got.StatusCode, got.body)
			}
			seen := under.await(t, test.kind)
			if seen.Status != test.status || seen.Bytes != int64(len(test.body)) || (seen.Err != nil) != (test.status >= 400) || seen.Remote == "" {
				t.Errorf("observed %+v", seen)
			}
		})
	}
}

// TestTokensAreNotTold: whatever becomes of a request, neither the log nor what is observed holds its token.
func TestTokensAreNotTold(t *testing.T) {
	const token = "1-abcdefghijklmnopqrstuvwxyz"
	log := &lockedBuffer{}
	under := start(t, func(config *httpboot.Config) {
		config.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		config.Configurations = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Query().Get("uuid") {
			case "stranger":
				http.Error(w, "not for you", http.StatusForbidden)
			case "broken":
				http.Error(w, "it failed", http.StatusInternalServerError)
			}
		})
	})
	for path, kind := range map[string]httpboot.Kind{
		"/configdata?uuid=a&token=" + token:                 httpboot.KindConfiguration,
		"/configdata?token=" + token + "&uuid=stranger":     httpboot.KindConfiguration,
		"/configdata?uuid=broken&t%6Fken=" + token:          httpboot.KindConfiguration,
		"/configdata/?uuid=a&token=" + token:                httpboot.KindUnknown,
		"/ipxe?uuid=" + unknown + "&token=" + token:         httpboot.KindPlan,
		"/ipxe?uuid=%20&token=" + token:                     httpboot.KindPlan,
		"/tftp/none?token=" + token:                         httpboot.KindBootFile,
		"/env/agent-amd64/none?x=%3ftoken%3d" + token:       httpboot.KindEnvironment,
		"http://192.0.2.1:8081/configdata?token=" + token:   httpboot.KindConfiguration,
		"/configdata?x=" + strings.Repeat("a", 500) + token: httpboot.KindConfiguration,
	} {
		if !strings.HasPrefix(path, "/") {
			raw(t, under, "GET "+path+" HTTP/1.0\r\nHost: x\r\n\r\n")
		} else {
			under.get(t, path)
		}
		if seen := under.await(t, kind); strings.Contains(fmt.Sprintf("%+v", seen), token) {
			t.Errorf("%s: observed %+v", path, seen)
		}
	}
	for _, malformed := range []string{" HTTP/9.9\r\n\r\n", " HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "\r\n\r\n", " x y HTTP/1.1\r\n\r\n"} {
		raw(t, under, "GET /configdata?uuid=a&token="+token+malformed)
		if seen := under.await(t, httpboot.KindMalformed); strings.Contains(fmt.Sprintf("%+v", seen), token) {
			t.Errorf("%q: observed %+v", malformed, seen)
		}
	}
	if err := under.stop(); err != nil {
		t.Fatal(err)
	}
	if told := log.String(); strings.Contains(told, token) || !strings.Contains(told, "token=REDACTED") {
		t.Errorf("the log tells the token, or nothing: %s", told)
	}
}

// raw sends bytes, and reads what comes back to its end.
func raw(t *testing.T, under *server, text string) {
	t.Helper()
	connection, err := net.Dial("tcp", under.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, text); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, connection); err != nil {
		t.Logf("%q: %v", text, err)
	}
}
