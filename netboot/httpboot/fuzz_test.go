package httpboot_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/netboot/httpboot"
)

// recorder is a response whose client never stalls.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetWriteDeadline(time.Time) error { return nil }

// FuzzRequest sends one request line and header, as a machine would. Whatever it asks for, it gets an error, a file of the
// catalogue, or one of the scripts, in which nothing of the request appears but a valid MAC.
func FuzzRequest(f *testing.F) {
	for _, target := range []string{
		"/boot.ipxe", "/autoexec.ipxe", "/env/agent-amd64/vmlinuz", "/tftp//snp.efi", "/tftp/..%2f..%2fetc%2fpasswd", "/tftp/%00", "//",
		"/ipxe?uuid=" + registered + "&mac=52-54-00-01-02-03&domain=&hostname=&serial=A&B;C%25D&arch=i386&platform=pcbios&version=1.0.0+git",
		"/ipxe?platform=efi&version=1.0.0", "/ipxe?arch=arm64", "/ipxe?uuid=%0a", "/ipxe?mac=52-54-00-01-02-03%0areboot", "*", "http://x/ipxe",
	} {
		f.Add("GET", target, "")
	}
	f.Add("HEAD", "/tftp/snp.efi", "Range: bytes=0-3\r\n")
	f.Add("GET", "/tftp/snp.efi", "Range: bytes=5-,1-2,-1\r\nIf-Range: \"x\"\r\n")
	f.Add("GET", "/tftp/snp.efi", "If-None-Match: *\r\n")
	f.Add("GET", "/tftp/snp.efi", "If-Match: \"x\"\r\n")
	f.Add("POST", "/ipxe", "Content-Type: application/grpc\r\n")

	under, err := httpboot.New(httpboot.Config{
		BaseURL: baseURL, Files: catalogue(f, 64), Machines: machines{}, GRPC: http.NotFoundHandler(), Log: discard(),
	})
	if err != nil {
		f.Fatal(err)
	}
	scripts, files := contents(f, under.Handler())
	f.Fuzz(func(t *testing.T, method, target, header string) {
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + header + "\r\n")))
		if err != nil {
			return
		}
		got := serve(under.Handler(), request)
		// net/http's server adds the length of its own short answers: see TestConditionalAndRangeRequests.
		own := []int{http.StatusNotModified, http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable}
		if got.Header().Get("Content-Length") == "" && !slices.Contains(own, got.Code) {
			t.Errorf("status %d without a length", got.Code)
		}
		if length, err := strconv.Atoi(got.Header().Get("Content-Length")); err == nil && request.Method != "HEAD" && length != got.Body.Len() {
			t.Errorf("content length %d, body %d", length, got.Body.Len())
		}
		body := got.Body.String()
		switch got.Code {
		case 200:
			if request.Method != "HEAD" && !slices.Contains(files, body) && !slices.Contains(scripts, withoutMAC(body)) {
				t.Errorf("served what is not in the catalogue: %q", body)
			}
		case 206, 304, 400, 404, 405, 412, 416, 500:
		default:
			t.Errorf("status %d", got.Code)
		}
	})
}

// contents are all scripts and files there are to serve.
func contents(f *testing.F, handler http.Handler) (scripts, files []string) {
	get := func(path string) string {
		got := serve(handler, httptest.NewRequest("GET", path, nil))
		if got.Code != 200 {
			f.Fatalf("%s: status %d", path, got.Code)
		}
		return got.Body.String()
	}
	for _, query := range []string{"", "uuid=" + registered, "arch=arm64", "platform=efi&version=1.0.0"} {
		scripts = append(scripts, get("/ipxe?"+query))
	}
	for _, path := range []string{
		"/boot.ipxe", "/env/agent-amd64/vmlinuz", "/env/agent-amd64/initramfs.xz", "/tftp/undionly.kpxe", "/tftp/snp.efi", "/tftp/ipxe.efi",
		"/tftp/snp-arm64.efi",
	} {
		files = append(files, get(path))
	}
	return scripts, files
}

func serve(handler http.Handler, request *http.Request) *httptest.ResponseRecorder {
	response := httptest.NewRecorder()
	handler.ServeHTTP(recorder{response}, request)
	return response
}

func withoutMAC(script string) string {
	return regexp.MustCompile(` sidero\.mac=[0-9a-f]{2}(:[0-9a-f]{2})+ `).ReplaceAllString(script, " ")
}
