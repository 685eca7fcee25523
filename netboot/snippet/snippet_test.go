package snippet

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/sidero-appliance/sidero-appliance/netboot/dhcp"
)

var update = flag.Bool("update", false, "write the snippets into docs/netboot.md instead of comparing them")

const document = "../../docs/netboot.md"

// example is the appliance of docs/netboot.md.
func example() Values { return Values{Address: netip.MustParseAddr("192.168.1.10"), HTTPPort: 8081} }

// text is the snippet for a server whose name begins so.
func text(t *testing.T, server string, v Values) string {
	t.Helper()
	snippets := Texts(v)
	at := slices.IndexFunc(snippets, func(s Snippet) bool { return strings.HasPrefix(s.Server, server) })
	if at < 0 {
		t.Fatalf("there is no snippet for %s", server)
	}
	return snippets[at].Text
}

// TestDocument holds the examples of docs/netboot.md to the code.
func TestDocument(t *testing.T) {
	const begin, end = "<!-- snippets: written by make generate -->\n", "<!-- end of snippets -->\n"
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the snippets", document)
	}
	var blocks strings.Builder
	for _, s := range Texts(example()) {
		fmt.Fprintf(&blocks, "\n**%s**, %s:\n\n```\n%s```\n", s.Server, s.Where, s.Text)
	}
	want := before + begin + blocks.String() + "\n" + end + after
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(content), want); diff != "" {
		t.Errorf("%s is stale, run \"make generate\" (-is +should be):\n%s", document, diff)
	}
}

// TestEveryTextNamesWhatTheProxyOffers holds the texts to the proxy's table, and to nothing but the given values.
func TestEveryTextNamesWhatTheProxyOffers(t *testing.T) {
	v := Values{Address: netip.MustParseAddr("203.0.113.7"), HTTPPort: 9081}
	const http = "http://203.0.113.7:9081"
	for _, s := range Texts(v) {
		t.Run(s.Server, func(t *testing.T) {
			if s.Where == "" || !strings.HasSuffix(s.Text, "\n") || strings.ContainsFunc(s.Text, func(r rune) bool { return r > '~' || r == '\t' }) {
				t.Errorf("not ready to paste: %+v", s)
			}
			for arch, file := range dhcp.DefaultArchitectures() {
				name := file.TFTP
				if name == "" {
					name = http + file.HTTP
				}
				if !strings.Contains(s.Text, name) {
					t.Errorf("architecture %d: no %s", arch, name)
				}
			}
			for _, piece := range []string{http + "/boot.ipxe", "HTTPClient"} {
				if !strings.Contains(s.Text, piece) {
					t.Errorf("no %s", piece)
				}
			}
			for _, address := range regexp.MustCompile(`\d+\.\d+\.\d+\.\d+(:\d+)?|\{[a-z]+\}`).FindAllString(s.Text, -1) {
				if address != "203.0.113.7" && address != "203.0.113.7:9081" {
					t.Errorf("it names %s", address)
				}
			}
		})
	}
}

// TestArchitectures sees that each text tells apart those architectures that the proxy answers, and no others.
func TestArchitectures(t *testing.T) {
	for server, pattern := range map[string]string{
		"dnsmasq":  `option:client-arch,(\d+)`,
		"ISC":      `option sidero-arch = 00:([0-9a-f]{2})`,
		"Kea":      `option\[93\]\.hex == 0x00([0-9a-f]{2})`,
		"MikroTik": `code=93 value=0x00([0-9a-f]{2}) `,
		"OpenWrt":  `option:client-arch,(\d+)'`,
	} {
		base := "%x"
		if strings.Contains(pattern, `\d+`) {
			base = "%d"
		}
		told := map[iana.Arch]bool{}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text(t, server, example()), -1) {
			var arch iana.Arch
			if _, err := fmt.Sscanf(m[1], base, (*uint16)(&arch)); err != nil {
				t.Fatalf("%s: %q: %v", server, m[1], err)
			}
			told[arch] = true
		}
		for arch := range dhcp.DefaultArchitectures() {
			if !told[arch] {
				t.Errorf("%s says nothing of architecture %d", server, arch)
			}
			delete(told, arch)
		}
		if len(told) != 0 {
			t.Errorf("%s tells of architectures that the proxy leaves alone: %v", server, told)
		}
	}
}

// TestDnsmasqTakesItsText asks dnsmasq. What it answers to machines is seen in the lab (e2e, TestBootOff).
func TestDnsmasqTakesItsText(t *testing.T) {
	program, err := exec.LookPath("dnsmasq")
	if err != nil {
		t.Fatalf("%v: install Debian's dnsmasq-base", err)
	}
	for name, config := range map[string]string{"as it is": text(t, "dnsmasq", example()), "broken": "dhcp-boots=undionly.kpxe\n"} {
		path := filepath.Join(t.TempDir(), "dnsmasq.conf")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		said, err := exec.CommandContext(t.Context(), program, "--test", "--conf-file="+path).CombinedOutput()
		var refused *exec.ExitError
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		if (err == nil) != (name == "as it is") {
			t.Errorf("%s: dnsmasq says %s", name, said)
		}
	}
}

// TestOpenWrtSaysTheSameAsDnsmasq makes dnsmasq's lines of OpenWrt's sections as its /etc/init.d/dnsmasq does.
func TestOpenWrtSaysTheSameAsDnsmasq(t *testing.T) {
	var order []string
	sections := map[string]map[string]string{}
	assignment := regexp.MustCompile(`(?m)^(?:set|add_list) dhcp\.(\w+)(?:\.(\w+))?='?([^'\n]*)'?$`)
	for _, m := range assignment.FindAllStringSubmatch(text(t, "OpenWrt", example()), -1) {
		if m[2] == "" {
			order = append(order, m[1])
			sections[m[1]] = map[string]string{"type": m[3]}
			continue
		}
		sections[m[1]][m[2]] = m[3]
	}
	var lines []string
	for _, name := range order {
		switch s := sections[name]; s["type"] {
		case "match":
			lines = append(lines, "dhcp-match=set:"+s["networkid"]+","+s["match"])
		case "userclass":
			lines = append(lines, "dhcp-userclass=set:"+s["networkid"]+","+s["userclass"])
		case "boot":
			lines = append(lines, "dhcp-boot="+s["filename"]+","+s["servername"]+","+s["serveraddress"])
		case "tag":
			if s["force"] != "1" {
				t.Errorf("a client that does not ask for %s is not told", s["dhcp_option"])
			}
			lines = append(lines, "dhcp-option-force=tag:"+name+","+s["dhcp_option"])
		default:
			t.Errorf("section %s is of the type %q", name, s["type"])
		}
	}
	if diff := cmp.Diff(text(t, "dnsmasq", example()), strings.Join(lines, "\n")+"\n"); diff != "" {
		t.Errorf("-dnsmasq +OpenWrt:\n%s", diff)
	}
}

// TestKeaIsJSON reads the text as a part of Kea's configuration.
func TestKeaIsJSON(t *testing.T) {
	var config struct {
		Classes []struct {
			Name, Test string
			File       string `json:"boot-file-name"`
			Server     string `json:"next-server"`
		} `json:"client-classes"`
	}
	if err := json.Unmarshal([]byte("{"+text(t, "Kea", example())+"}"), &config); err != nil {
		t.Fatal(err)
	}
	const ipxe = "sidero-ipxe"
	for n, class := range config.Classes {
		if class.Server != example().Address.String() || class.File == "" {
			t.Errorf("class %s leads nowhere: %+v", class.Name, class)
		}
		// A class may refer to those before it only.
		if n == 0 && class.Name != ipxe || n > 0 && !strings.HasPrefix(class.Test, "not member('"+ipxe+"') and ") {
			t.Errorf("class %s is for iPXE as well: %s", class.Name, class.Test)
		}
	}
}
