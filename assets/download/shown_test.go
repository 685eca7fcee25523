package download_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

// TestSecretsInURLsAreToldToNobody: a token is a user to some servers and a query to others. Neither is in the log, nor in what
// a failure says, nor told to the server that another one redirects to.
func TestSecretsInURLsAreToldToNobody(t *testing.T) {
	const signed = "http://objects.test/it?X-Amz-Signature=secret"
	for name, test := range map[string]struct {
		url    string // of the server at host, unless it says otherwise
		reason download.Reason
		says   string
	}{
		"missing":     {url: "http://secret:secret@releases.test/missing?token=secret", reason: download.NotFound, says: "http://releases.test/missing?..."},
		"cut":         {url: "http://secret@releases.test/cut?token=secret", reason: download.Truncated, says: "http://releases.test/cut?..."},
		"empty":       {url: "http://secret@releases.test/empty?token=secret", reason: download.Empty, says: "http://releases.test/empty?..."},
		"unreachable": {url: "http://secret@nobody.test/x?token=secret", reason: download.Unreachable, says: "http://nobody.test/x?..."},
		"signed":      {url: "http://secret:secret@releases.test/signed?token=secret", reason: download.Refused, says: "http://objects.test/it?..."},
		"of a host":   {url: "file://secret:secret@fileserver/x", reason: download.InvalidURL, says: "file://fileserver/x"},
		"no scheme":   {url: "ftp://secret@releases.test/x", reason: download.InvalidURL, says: "ftp://releases.test/x"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(f *fixture) {
				told := make(chan http.Header, 1)
				f.network.serve("objects.test:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					told <- r.Header
					w.WriteHeader(http.StatusForbidden)
				}), nil)
				f.server.set("/kept", "kernel")
				f.server.spoil = func(w http.ResponseWriter, r *http.Request, _ int) bool {
					switch r.URL.Path {
					case "/cut":
						w.Header().Set("Content-Length", "10")
						_, _ = w.Write([]byte("part"))
					case "/empty":
					case "/signed":
						http.Redirect(w, r, signed, http.StatusFound)
					default:
						return false
					}
					return true
				}
				kept, bad := store.Ref{URL: "http://secret@releases.test/kept?token=secret"}, store.Ref{URL: test.url}
				f.Want("a", kept, bad)
				f.ready(kept, time.Second, "kernel")
				state := f.fails(bad, test.reason, test.says)
				if name == "signed" {
					if header := <-told; header.Get("Referer") != "" || header.Get("Authorization") != "" {
						t.Errorf("another server is told %v", header)
					}
				}
				f.stop()
				if log := f.log.String(); !strings.Contains(log, "asset downloaded") || strings.Contains(state.Err.Error()+log, "secret") {
					t.Errorf("tells a secret: %s\n%s", state.Err, log)
				}
			})
		})
	}
}
