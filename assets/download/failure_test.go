package download_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"net/http/httptest"

	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

// certificate is one that no authority has signed.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"secure.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// TestEachFailureHasAReason, says what to do, and holds up no other file.
func TestEachFailureHasAReason(t *testing.T) {
	answer := func(status int, header ...string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
		}
	}
	for name, test := range map[string]struct {
		url    string // empty: /it of the server, which answers as follows
		answer func(http.ResponseWriter, *http.Request)
		reason download.Reason
		says   string
	}{
		"404":               {answer: http.NotFound, reason: download.NotFound, says: `"404 Not Found": correct the URL`},
		"410":               {answer: answer(410), reason: download.NotFound, says: "410"},
		"401":               {answer: answer(401), reason: download.Refused, says: "password"},
		"403":               {answer: answer(403), reason: download.Refused, says: "403"},
		"407":               {answer: answer(407), reason: download.ProxyFailed, says: "HTTPS_PROXY"},
		"429":               {answer: answer(429), reason: download.ServerFailed, says: "429"},
		"503":               {answer: answer(503), reason: download.ServerFailed, says: "503"},
		"304 unasked":       {answer: answer(304), reason: download.Refused, says: "304"},
		"206 unasked":       {answer: answer(206, "Content-Range", "bytes 5-9/10"), reason: download.Refused, says: "206"},
		"empty":             {answer: answer(200), reason: download.Empty, says: "empty"},
		"no content":        {answer: answer(204), reason: download.Empty, says: "empty"},
		"compressed":        {answer: answer(200, "Content-Encoding", "gzip"), reason: download.Refused, says: "compresses"},
		"a circle":          {answer: answer(302, "Location", "/it"), reason: download.RedirectLoop, says: "name the address"},
		"a long way":        {answer: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }, reason: download.RedirectLoop, says: "circle"},
		"to another place":  {answer: answer(302, "Location", "file:///etc/passwd"), reason: download.Refused, says: "redirects to a file: URL"},
		"cut header":        {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, reason: download.Truncated, says: "EOF"},
		"no such server":    {url: "http://user:secret@nobody.test/x", reason: download.Unreachable, says: "get http://nobody.test/x: "},
		"no TLS":            {url: "https://releases.test:80/x", reason: download.TLSFailed, says: "HTTP response to HTTPS client"},
		"unknown authority": {url: "https://secure.test/x", reason: download.TLSFailed, says: "SSL_CERT_FILE"},
		"another scheme":    {url: "ftp://releases.test/x", reason: download.InvalidURL, says: "write it as http://"},
		"no scheme":         {url: "releases.test/x", reason: download.InvalidURL, says: "write it as http://"},
		"malformed":         {url: "http://user:secret@a b/%zz", reason: download.InvalidURL, says: "malformed"},
		"no host":           {url: "http:///x", reason: download.InvalidURL, says: "cannot be downloaded from"},
		"outside":           {url: "file:///etc/passwd", reason: download.NotAllowed, says: "--asset-directory"},
		"of a host":         {url: "file://fileserver/x", reason: download.InvalidURL, says: "file:///FOLDER/FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(f *fixture) {
				f.network.serve("secure.test:443", f.server, certificate(t))
				f.server.set("/v1/vmlinuz", "kernel")
				f.server.spoil = func(w http.ResponseWriter, r *http.Request, _ int) bool {
					if !strings.HasPrefix(r.URL.Path, "/it") {
						return false
					}
					test.answer(w, r)
					return true
				}
				bad := store.Ref{URL: host + "/it"}
				if test.url != "" {
					bad.URL = test.url
				}
				f.Want("a", bad, ref)
				f.ready(ref, time.Second, "kernel")
				state := f.fails(bad, test.reason, test.says)
				if strings.Contains(state.Err.Error(), "secret") || strings.Contains(f.log.String(), "secret") {
					t.Errorf("tells a password: %s", state.Err)
				}
			})
		})
	}
}

func TestRedirectsAreFollowed(t *testing.T) {
	run(t, func(f *fixture) {
		f.server.set("/there", "kernel")
		f.server.spoil = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.URL.Path == "/v1/vmlinuz" {
				http.Redirect(w, r, "/there", http.StatusFound)
			}
			return r.URL.Path == "/v1/vmlinuz"
		}
		f.Want("a", ref)
		f.ready(ref, time.Second, "kernel")
	})
}

func TestAServerIsLeftAloneAsLongAsItAsks(t *testing.T) {
	run(t, func(f *fixture) {
		f.server.set("/v1/vmlinuz", "kernel")
		f.server.spoil = func(w http.ResponseWriter, _ *http.Request, n int) bool {
			if n == 1 {
				w.Header().Set("Retry-After", "600")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return n == 1
		}
		f.Want("a", ref)
		time.Sleep(599 * time.Second)
		if n := len(f.server.requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
		f.ready(ref, 2*time.Second, "kernel")
	})
}

// TestAFullDisk is one with a little less room than the file needs, beside what the database has to keep.
func TestAFullDisk(t *testing.T) {
	const reserve = 512 << 20
	for name, length := range map[string]bool{"the server says how much comes": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat(large(), 8)
			size := int64(reserve + len(text) - 1)
			var f *fixture
			run(t, func(running *fixture) {
				f = running
				f.server.set("/v1/vmlinuz", text)
				f.server.set("/small", "small")
				f.server.spoil = func(w http.ResponseWriter, r *http.Request, _ int) bool {
					if r.URL.Path == "/v1/vmlinuz" && !length {
						_ = http.NewResponseController(w).Flush()
						_, _ = w.Write([]byte(text))
						return true
					}
					return false
				}
				small := store.Ref{URL: host + "/small"}
				f.Want("a", ref, small)
				f.ready(small, time.Second, "small")
				f.fails(ref, download.DiskFull, "make room", "512 MiB stay free")
				if used := f.partialBytes(); used > 1<<10 {
					t.Errorf("%d bytes keep the disk full", used)
				}
				size = 1 << 40
				f.ready(ref, time.Hour, text)
			}, func(c *download.Config) { c.Free = func() (int64, error) { return size - f.partialBytes(), nil } })
		})
	}
}

// partialBytes is what partial downloads take of the disk.
func (f *fixture) partialBytes() (size int64) {
	files, err := os.ReadDir(f.dir + "/partial")
	must(f.t, err)
	for _, file := range files {
		if info, err := file.Info(); err == nil { // else it is gone
			size += info.Size()
		}
	}
	return size
}

func TestADiskThatFails(t *testing.T) {
	run(t, func(f *fixture) {
		f.server.set("/v1/vmlinuz", "kernel")
		must(t, os.RemoveAll(f.dir+"/partial"))
		f.Want("a", ref)
		f.fails(ref, download.StoreFailed, "check the disk")
		must(t, os.Mkdir(f.dir+"/partial", 0o700))
		f.ready(ref, time.Hour, "kernel")
	})
}

func TestErrorsOfTheDiskAreClassified(t *testing.T) {
	for err, want := range map[error]download.Reason{
		syscall.ENOSPC: download.DiskFull, syscall.EDQUOT: download.DiskFull, syscall.ECONNRESET: download.Truncated, syscall.EHOSTUNREACH: download.Unreachable,
	} {
		if got := download.ReasonOf(fmt.Errorf("write: %w", err)); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
}

// TestProxiesOfTheEnvironmentAreUsed runs in a process of its own, because Go reads the variables once.
func TestProxiesOfTheEnvironmentAreUsed(t *testing.T) {
	if os.Getenv("HTTP_PROXY") == "" {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodConnect {
				http.Error(w, "no", http.StatusForbidden)
				return
			}
			_, _ = w.Write([]byte(r.URL.String()))
		}))
		defer proxy.Close()
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
		command.Env = append(os.Environ(), "HTTP_PROXY="+proxy.URL, "HTTPS_PROXY="+proxy.URL, "NO_PROXY=direct.test")
		if output, err := command.CombinedOutput(); err != nil || !strings.Contains(string(output), "PASS") {
			t.Errorf("%v\n%s", err, output)
		}
		return
	}
	f := &fixture{t: t, dir: t.TempDir(), changed: map[string]int{}, log: &strings.Builder{}, network: &network{}}
	f.start(func(c *download.Config) { c.Transport = nil })
	defer f.stop()
	secure, direct := store.Ref{URL: "https://releases.test/x"}, store.Ref{URL: "http://direct.test/x"}
	f.Want("a", ref, secure, direct)
	for until := time.Now().Add(20 * time.Second); f.State(ref).Blob == nil || f.State(secure).Err == nil || f.State(direct).Err == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%+v, %+v, %+v", f.State(ref), f.State(secure), f.State(direct))
		}
	}
	if blob, want := f.State(ref).Blob, digest(address); blob.Digest != want {
		t.Errorf("got %s, want what the proxy says, %s", blob.Digest, want)
	}
	if got := f.State(secure); got.Reason != download.ProxyFailed || !strings.Contains(got.Err.Error(), "403 Forbidden") {
		t.Errorf("a proxy that refuses: %s: %v", got.Reason, got.Err)
	}
	if got := f.State(direct); got.Reason != download.Unreachable {
		t.Errorf("without the proxy: %s: %v", got.Reason, got.Err)
	}
}
