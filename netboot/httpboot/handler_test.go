package httpboot_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidero-appliance/sidero-appliance/netboot/httpboot"
)

const (
	script = "text/plain; charset=utf-8"
	binary = "application/octet-stream"
)

func TestAddresses(t *testing.T) {
	under := start(t, nil)
	for name, test := range map[string]struct {
		method, path string
		status       int
		contentType  string
		body         string
	}{
		"boot script":            {"GET", "/boot.ipxe", 200, script, "#!ipxe\nset appliance " + baseURL + "\n"},
		"autoexec at the root":   {"GET", "/autoexec.ipxe", 200, script, "#!ipxe\n"},
		"autoexec beside iPXE":   {"GET", "/tftp/autoexec.ipxe", 200, script, "#!ipxe\n"},
		"plan":                   {"GET", "/ipxe?uuid=" + unknown + "&mac=52-54-00-01-02-03", 200, script, "sidero.mac=52:54:00:01:02:03 "},
		"plan without anything":  {"GET", "/ipxe", 200, script, "kernel ${appliance}/env/agent-amd64/vmlinuz "},
		"plan for arm64":         {"GET", "/ipxe?arch=arm64", 200, script, "no registration agent for arm64"},
		"plan for an old iPXE":   {"GET", "/ipxe?arch=x86_64&platform=efi&version=1.0.0%2B", 200, script, "too old to start the kernel under UEFI: loading a newer one\nchain --autofree ${appliance}/tftp/snp.efi ||"},
		"plan by HEAD":           {"HEAD", "/ipxe", 200, script, ""},
		"plan below":             {"GET", "/ipxe/", 404, script, "nothing is served"},
		"plan, lookup fails":     {"GET", "/ipxe?uuid=" + broken, 500, script, "internal error: see the log of the appliance\n"},
		"initial RAM disk":       {"GET", "/env/agent-amd64/initramfs.xz", 200, binary, "initial RAM disk"},
		"environment, no file":   {"GET", "/env/agent-amd64/nothing", 404, script, "agent-amd64/nothing: file does not exist"},
		"environment, manifest":  {"GET", "/env/agent-amd64/manifest.json", 404, script, ""},
		"environment, listing":   {"GET", "/env/agent-amd64/", 404, script, ""},
		"environment, escape":    {"GET", "/env/agent-amd64/..%2F..%2Fipxe%2Fipxe.efi", 404, script, ""},
		"no environment":         {"GET", "/env/", 404, script, ""},
		"BIOS file":              {"GET", "/tftp/undionly.kpxe", 200, binary, "iPXE for BIOS"},
		"boot file, two slashes": {"GET", "/tftp//snp.efi", 200, binary, "iPXE on the firmware's driver"},
		"boot file, escape":      {"GET", "/tftp/..%2F..%2Fetc%2Fpasswd", 404, script, ""},
		"boot file, zero byte":   {"GET", "/tftp/snp.efi%00.txt", 404, script, ""},
		"boot file, listing":     {"GET", "/tftp/", 404, script, ""},
		"root":                   {"GET", "/", 404, script, "nothing is served"},
		"elsewhere":              {"GET", "/configdata?uuid=x", 404, script, "nothing is served"},
		"write":                  {"PUT", "/tftp/snp.efi", 405, script, "only GET and HEAD"},
		"post":                   {"POST", "/ipxe", 405, script, "only GET and HEAD"},
		"post elsewhere":         {"POST", "/", 404, script, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := under.do(t, test.method, test.path, nil)
			if got.StatusCode != test.status || got.Header.Get("Content-Type") != test.contentType {
				t.Errorf("status %d, content type %q", got.StatusCode, got.Header.Get("Content-Type"))
			}
			contains(t, got.body, test.body)
			length, err := strconv.Atoi(got.Header.Get("Content-Length"))
			if err != nil || test.method != "HEAD" && length != len(got.body) {
				t.Errorf("content length %q, body has %d bytes", got.Header.Get("Content-Length"), len(got.body))
			}
			if allow := got.Header.Get("Allow"); (allow == "GET, HEAD") != (test.status == 405) {
				t.Errorf("Allow: %q", allow)
			}
		})
	}
}

func TestPlanRefusesBadQueries(t *testing.T) {
	under := start(t, nil)
	for name, test := range map[string]struct{ query, reason string }{
		"long query":            {"x=" + strings.Repeat("a", 2048), "2050 bytes are more than 2048"},
		"long uuid":             {"uuid=" + strings.Repeat("a", 257), `"uuid" has 257 bytes`},
		"long host name":        {"hostname=" + strings.Repeat("%61", 257), `"hostname" has 257 bytes`},
		"escape cut":            {"uuid=%2", "invalid URL escape"},
		"uuid with a space":     {"uuid=a%20b", "cannot name a server"},
		"uuid with a new line":  {"uuid=a%0Areboot", "cannot name a server"},
		"uuid with a slash":     {"uuid=..%2Fx", "cannot name a server"},
		"uuid that iPXE left":   {"uuid=$%7Buuid%7D", "cannot name a server"},
		"uuid that is no UTF-8": {"uuid=%ff", "cannot name a server"},
	} {
		t.Run(name, func(t *testing.T) {
			got := under.get(t, "/ipxe?"+test.query)
			if got.StatusCode != http.StatusBadRequest {
				t.Errorf("status %d", got.StatusCode)
			}
			contains(t, got.body, test.reason)
			seen := under.await(t, httpboot.KindPlan)
			if seen.Err == nil || seen.Status != http.StatusBadRequest || len(seen.Path) > 512 {
				t.Errorf("observed %+v", seen)
			}
		})
	}
}

// TestPlanToleratesWhatFirmwareSends: none of this may keep a machine from booting.
func TestPlanToleratesWhatFirmwareSends(t *testing.T) {
	under := start(t, nil)
	for name, test := range map[string]struct{ query, uuid, mac string }{
		// Captured from iPXE 1.0.0 on a machine with the serial number A&B;C%D+F#G.
		"serial number": {"uuid=" + unknown + "&mac=52-54-00-00-00-12&domain=&hostname=&serial=A&B;C%25D+F%23G&arch=i386&platform=pcbios" +
			"&version=1.0.0+git-20190125.36a4c85-5.1", unknown, "52:54:00:00:00:12"},
		"upper case":       {"uuid=" + strings.ToUpper(registered), registered, ""},
		"no uuid":          {"uuid=&mac=525400000012", "", "52:54:00:00:00:12"},
		"no MAC":           {"uuid=" + unknown + "&mac=zz", unknown, ""},
		"more than we ask": {"uuid=" + unknown + "&manufacturer=x", unknown, ""},
		"twice":            {"uuid=" + unknown + "&uuid=" + registered, unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := under.get(t, "/ipxe?"+test.query); got.StatusCode != 200 {
				t.Errorf("status %d: %s", got.StatusCode, got.body)
			}
			if seen := under.await(t, httpboot.KindPlan); seen.UUID != test.uuid || seen.MAC != test.mac || seen.Err != nil {
				t.Errorf("observed %+v", seen)
			}
		})
	}
}

func TestPlanTellsWhatIsKnown(t *testing.T) {
	under := start(t, func(config *httpboot.Config) { config.ExtraAgentArgs = []string{"console=ttyS7"} })
	contains(t, under.get(t, "/ipxe?uuid="+unknown).body, "not registered yet", " sidero.endpoint=192.0.2.1:8081 console=ttyS7 ||")
	contains(t, under.get(t, "/ipxe?uuid="+registered).body, "registered and not allocated")
}

// TestOwnBootFileReplacesOurs also for an iPXE that is too old, so that the operator's has to be new enough.
func TestOwnBootFileReplacesOurs(t *testing.T) {
	own := t.TempDir()
	if err := os.WriteFile(filepath.Join(own, "snp.efi"), []byte("the operator's iPXE"), 0o644); err != nil {
		t.Fatal(err)
	}
	under := start(t, func(config *httpboot.Config) { config.Files = catalogueWith(t, 8, own) })
	contains(t, under.get(t, "/ipxe?platform=efi&version=1.0.0").body, "\nchain --autofree ${appliance}/tftp/snp.efi ||\n")
	if got := under.get(t, "/tftp/snp.efi"); got.body != "the operator's iPXE" {
		t.Errorf("served %q", got.body)
	}
}

func TestObservation(t *testing.T) {
	under := start(t, nil)
	under.get(t, "/env/agent-amd64/initramfs.xz")
	seen := under.await(t, httpboot.KindEnvironment)
	if seen.Duration <= 0 || !strings.HasPrefix(seen.Remote, "127.0.0.1:") {
		t.Errorf("observed %+v", seen)
	}
	seen.Duration, seen.Remote = 0, ""
	want := httpboot.Observation{
		Kind: httpboot.KindEnvironment, Path: "/env/agent-amd64/initramfs.xz", Status: 200, Bytes: int64(len("initial RAM disk")),
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

func TestConditionalAndRangeRequests(t *testing.T) {
	under := start(t, nil)
	const path = "/tftp/ipxe.efi"
	const content = "iPXE on its own drivers"
	tag := `"` + digest([]byte(content)) + `"`
	for name, test := range map[string]struct {
		header http.Header
		status int
		body   string
		length string
	}{
		"whole":           {nil, 200, content, "23"},
		"known":           {http.Header{"If-None-Match": {tag}}, 304, "", ""},
		"known otherwise": {http.Header{"If-None-Match": {`"x"`}}, 200, content, "23"},
		"another wanted":  {http.Header{"If-Match": {`"x"`}}, 412, "", "0"},
		"range":           {http.Header{"Range": {"bytes=0-3"}}, 206, "iPXE", "4"},
		"rest":            {http.Header{"Range": {"bytes=16-"}}, 206, "drivers", "7"},
		"rest, same file": {http.Header{"Range": {"bytes=16-"}, "If-Range": {tag}}, 206, "drivers", "7"},
		"rest, new file":  {http.Header{"Range": {"bytes=16-"}, "If-Range": {`"x"`}}, 200, content, "23"},
		"beyond":          {http.Header{"Range": {"bytes=23-"}}, 416, "invalid range", "33"},
	} {
		t.Run(name, func(t *testing.T) {
			got := under.do(t, "GET", path, test.header)
			if got.StatusCode != test.status || got.Header.Get("Content-Length") != test.length {
				t.Errorf("status %d, content length %s", got.StatusCode, got.Header.Get("Content-Length"))
			}
			if contains(t, got.body, test.body); test.status < 400 && got.body != test.body {
				t.Errorf("body %q", got.body)
			}
			if test.status < 400 && got.Header.Get("ETag") != tag {
				t.Errorf("ETag %s", got.Header.Get("ETag"))
			}
		})
	}
}

// TestRunningBootProgramGetsTheScript: on a LAN that names the program's address for everybody, it would load itself for
// ever. An older iPXE, in a network card, loads it.
func TestRunningBootProgramGetsTheScript(t *testing.T) {
	under := start(t, func(config *httpboot.Config) { config.Programs = []string{"undionly.kpxe"} })
	const running, older = "iPXE/1.21.1+git20250501.dad20602+dfsg-1", "iPXE/1.0.0+git-20190125.36a4c85-5.1"
	for _, test := range []struct{ path, client, body string }{
		{"/tftp/undionly.kpxe", running, "#!ipxe\n"},
		{"/tftp//undionly.kpxe", running, "#!ipxe\n"},
		{"/tftp/undionly.kpxe", older, "iPXE for BIOS"},
		{"/tftp/undionly.kpxe", "curl/7.88.1", "iPXE for BIOS"},
		{"/tftp/snp.efi", running, "iPXE on the firmware's driver"},
	} {
		got := under.do(t, "GET", test.path, http.Header{"User-Agent": {test.client}})
		if got.StatusCode != 200 || !strings.HasPrefix(got.body, test.body) {
			t.Errorf("%s for %s: status %d, %.20q", test.path, test.client, got.StatusCode, got.body)
		}
	}
}

// TestCurl is how Sidero's guide checks a boot file.
func TestCurl(t *testing.T) {
	under := start(t, nil)
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("curl is missing: install the Debian package curl")
	}
	got, err := exec.CommandContext(t.Context(), curl, "--silent", "--show-error", "--noproxy", "*", "--head", under.url+"/tftp/snp.efi").Output()
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(got), "HTTP/1.1 200 OK\r\n", "\r\nAccept-Ranges: bytes\r\n", "\r\nContent-Length: 29\r\n",
		"\r\nContent-Type: application/octet-stream\r\n", "\r\nEtag: \"")
}

// TestBootContract follows every address that a script names, and every boot file name that is advertised, to its bytes.
func TestBootContract(t *testing.T) {
	under := start(t, nil)
	files := catalogue(t, 1<<10)
	for _, name := range files.BootFiles() {
		file, err := files.BootFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := under.get(t, "/tftp/"+name); got.StatusCode != 200 || digest([]byte(got.body)) != file.Digest {
			t.Errorf("/tftp/%s: status %d, other bytes", name, got.StatusCode)
		}
	}
	fetched := map[string]bool{}
	follow(t, under, "/boot.ipxe", fetched)
	for _, query := range []string{"arch=arm64", "arch=x86_64&platform=efi&version=1.0.0", "arch=i386&platform=pcbios&version=1.0.0"} {
		follow(t, under, "/ipxe?"+query, fetched)
	}
	for _, path := range []string{"/env/agent-amd64/vmlinuz", "/env/agent-amd64/initramfs.xz", "/env/agent-amd64/drivers.zst", "/tftp/snp.efi"} {
		if !fetched[path] {
			t.Errorf("no script leads to %s", path)
		}
	}
}

// follow fetches an address and, when it is a script, all addresses in it, with iPXE's settings filled in.
func follow(t *testing.T, under *server, path string, fetched map[string]bool) {
	t.Helper()
	if fetched[path] {
		return
	}
	fetched[path] = true
	got := under.get(t, path)
	if got.StatusCode != 200 || got.body == "" {
		t.Errorf("%s: status %d", path, got.StatusCode)
	}
	if !strings.HasPrefix(got.body, "#!ipxe\n") {
		return
	}
	if strings.Count(got.body, "\nset appliance "+baseURL+"\n") != 1 {
		t.Errorf("%s: does not name the appliance once", path)
	}
	addresses := regexp.MustCompile(`(?m)^(?:chain|kernel|initrd) (?:--\w+ (?:initramfs.xz |drivers.zst )?)*\$\{appliance\}(\S+)`)
	found := addresses.FindAllStringSubmatch(got.body, -1)
	if len(found) == 0 {
		t.Errorf("%s: leads nowhere", path)
	}
	for _, address := range found {
		follow(t, under, settings().Replace(address[1]), fetched)
	}
}

// settings are those of a machine in iPXE.
func settings() *strings.Replacer {
	return strings.NewReplacer("${uuid}", unknown, "${netX/mac:hexhyp}", "52-54-00-01-02-03", "${net${nic}/mac:hexhyp}", "52-54-00-01-02-03",
		"${domain:uristring}", "example.org", "${hostname:uristring}", "", "${serial:uristring}", "SN%201", "${buildarch}", "x86_64",
		"${platform}", "efi", "${version:uristring}", "1.21.1%2Bgit")
}
