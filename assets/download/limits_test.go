package download_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

// TestAnswersThatAreTooLarge are ended, leave nothing behind, and are not asked for often.
func TestAnswersThatAreTooLarge(t *testing.T) {
	const most = 1 << 20
	piece := []byte(strings.Repeat("x", 64<<10))
	for name, answer := range map[string]func(http.ResponseWriter){
		"endless": func(w http.ResponseWriter) {
			for range 1 << 10 { // or nearly so: a mistake must not fill the disk of who runs this
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		},
		"it says so": func(w http.ResponseWriter) { w.Header().Set("Content-Length", "1048577") },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(f *fixture) {
				f.server.set("/small", "small")
				f.server.spoil = func(w http.ResponseWriter, r *http.Request, _ int) bool {
					if r.URL.Path == "/v1/vmlinuz" {
						answer(w)
					}
					return r.URL.Path == "/v1/vmlinuz"
				}
				small := store.Ref{URL: host + "/small"}
				f.Want("a", ref, small)
				f.ready(small, time.Second, "small")
				f.fails(ref, download.TooLarge, "more than 1 MiB")
				time.Sleep(6 * time.Hour)
				if used := f.partialBytes(); used > 1<<10 {
					t.Errorf("%d bytes are left", used)
				}
				if asked := len(f.server.requests()); asked > 20 {
					t.Errorf("asked for %d times in six hours", asked)
				}
			}, func(c *download.Config) { c.Largest = most })
		})
	}
}

// TestAFileOfTheLargestSize is taken, however it comes.
func TestAFileOfTheLargestSize(t *testing.T) {
	run(t, func(f *fixture) {
		f.server.set("/v1/vmlinuz", "kernel")
		local := store.Ref{URL: "file://" + f.write("files/local", "kernel")}
		longer := store.Ref{URL: "file://" + f.write("files/longer", "kernels")}
		f.Want("a", ref, local, longer)
		f.ready(ref, time.Second, "kernel")
		f.ready(local, time.Second, "kernel")
		f.fails(longer, download.TooLarge)
	}, func(c *download.Config) { c.Largest = int64(len("kernel")) })
}

// TestDownloadsShareTheRoom: one that there is no room for beside another does not fail that other.
func TestDownloadsShareTheRoom(t *testing.T) {
	const reserve = 512 << 20
	text := large()
	var size atomic.Int64
	size.Store(reserve + int64(len(text))*3/2)
	var f *fixture
	run(t, func(running *fixture) {
		f = running
		f.server.set("/v1/vmlinuz", text)
		f.server.set("/second", text)
		sent, goOn := make(chan struct{}), make(chan struct{})
		f.server.spoil = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.URL.Path != "/v1/vmlinuz" {
				return false
			}
			w.Header().Set("Content-Length", "3276800")
			_, _ = w.Write([]byte(text[:len(text)/2]))
			_ = http.NewResponseController(w).Flush()
			close(sent)
			<-goOn
			_, _ = w.Write([]byte(text[len(text)/2:]))
			return true
		}
		second := store.Ref{URL: host + "/second"}
		f.Want("a", ref)
		<-sent
		f.Want("b", second)
		f.fails(second, download.DiskFull, "1 MiB are for other downloads")
		close(goOn)
		f.ready(ref, time.Minute, text)
		size.Add(reserve)
		f.ready(second, time.Hour, text)
	}, func(c *download.Config) {
		c.Free = func() (int64, error) { return size.Load() - f.partialBytes(), nil }
	})
}

// TestADiskThatOthersFill while a download runs that had room at first.
func TestADiskThatOthersFill(t *testing.T) {
	text := strings.Repeat(large(), 8)
	var free atomic.Int64
	free.Store(1 << 40)
	run(t, func(f *fixture) {
		f.server.set("/v1/vmlinuz", text)
		f.server.spoil = func(w http.ResponseWriter, _ *http.Request, n int) bool {
			if n > 1 {
				return false
			}
			w.Header().Set("Content-Length", "26214400")
			_, _ = w.Write([]byte(text[:1<<20]))
			free.Store(516 << 20)
			_, _ = w.Write([]byte(text[1<<20:]))
			return true
		}
		f.Want("a", ref)
		f.fails(ref, download.DiskFull, "9 MiB are needed and 516 MiB are free")
		free.Store(1 << 40)
		f.ready(ref, time.Hour, text)
	}, func(c *download.Config) { c.Free = func() (int64, error) { return free.Load(), nil } })
}

// TestAWebPageIsNoKernel: portals of networks, and servers that want a person to log in, answer with one and say 200.
func TestAWebPageIsNoKernel(t *testing.T) {
	const page = "\n<!DOCTYPE html><html><body>Log in first</body></html>"
	run(t, func(f *fixture) {
		f.server.set("/v1/vmlinuz", page)
		f.server.set("/wanted", page)
		digested, wanted := store.Ref{URL: address, SHA512: digest("kernel")}, store.Ref{URL: host + "/wanted", SHA512: digest(page)}
		f.Want("a", ref)
		f.Want("b", digested)
		f.Want("c", wanted)
		f.fails(ref, download.Refused, "web page", "password")
		f.fails(digested, download.Refused, "web page")
		f.ready(wanted, time.Second, page) // whoever knows its digest wants it
		f.server.set("/v1/vmlinuz", "kernel")
		f.ready(ref, time.Hour, "kernel")

		brought := store.Ref{URL: "http://nobody.test/v1/vmlinuz"}
		path := f.write("import/v1/vmlinuz", page)
		f.Want("d", brought)
		f.fails(brought, download.Refused, path, "web page")
		f.fails(brought, download.Unreachable, path, "web page")
	})
}
