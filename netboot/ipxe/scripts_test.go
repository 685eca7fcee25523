package ipxe_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidero-appliance/sidero-appliance/netboot/ipxe"
)

// The golden scripts ran in iPXE 1.0.0+git-20190125 (QEMU's network cards, BIOS and UEFI) and in 1.21.1+git20250501
// (Debian 13: undionly.kpxe under BIOS, snponly.efi by TFTP and by HTTP) when they were written, down to a started kernel
// and through the rounds to the restart. Run them there again when you change them.
var update = flag.Bool("update", false, "write the golden scripts anew")

func scripts(t *testing.T) ipxe.Scripts {
	t.Helper()
	scripts, err := ipxe.New("http://192.0.2.1:8081")
	if err != nil {
		t.Fatal(err)
	}
	return scripts
}

func agent() ipxe.Kernel {
	return ipxe.Kernel{
		Environment: "agent-amd64",
		Image:       "vmlinuz",
		Initrds:     []string{"initramfs.xz", "drivers.zst"},
		Args:        []string{"console=tty0", "initrd=initramfs.xz", "initrd=drivers.zst", "sidero.endpoint=192.0.2.1:8081"},
		Why:         "Starting the registration agent",
	}
}

// rendered is one of each script.
func rendered(t *testing.T) map[string]string {
	t.Helper()
	scripts := scripts(t)
	kernel, err := scripts.Kernel(agent())
	if err != nil {
		t.Fatal(err)
	}
	wait, err := scripts.Wait("Nothing to boot for arm64")
	if err != nil {
		t.Fatal(err)
	}
	newer, err := scripts.NewerIPXE("snp.efi", "This iPXE is too old")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"boot": scripts.Boot(), "kernel": kernel, "newer": newer, "wait": wait}
}

func TestScripts(t *testing.T) {
	for name, got := range rendered(t) {
		golden := filepath.Join("testdata", name+".ipxe")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (go test ./netboot/ipxe -update):\n%s", name, diff)
		}
	}
}

// TestScriptsAreWellFormed holds each script to what iPXE does without saying so.
func TestScriptsAreWellFormed(t *testing.T) {
	// What iPXE 1.0.0 has; iflinkwait came in 2021, and its failure is expected.
	commands := strings.Fields("boot chain dhcp echo goto ifclose iflinkwait ifopen ifstat imgfree inc initrd iseq isset kernel " +
		"prompt reboot route set shell sleep")
	// A failure of these is impossible, or the end of the script is what is left.
	safe := strings.Fields("echo goto inc reboot set sleep")
	for name, script := range rendered(t) {
		if !strings.HasPrefix(script, "#!ipxe\n") || !strings.HasSuffix(script, "\nreboot\n") {
			t.Errorf("%s: has no magic first line, or ends in a dead prompt", name)
		}
		labels := labelsOf(script)
		for number, line := range strings.Split(strings.TrimSuffix(script, "\n"), "\n")[1:] {
			words := strings.Fields(line)
			if strings.HasPrefix(line, ":") {
				continue
			}
			if !slices.Contains(commands, words[0]) {
				t.Errorf("%s:%d: command %q is not known to every iPXE", name, number+2, words[0])
			}
			if !slices.Contains(safe, words[0]) && !slices.Contains(words, "||") {
				t.Errorf("%s:%d: a failure would end the script: %s", name, number+2, line)
			}
			for _, target := range regexp.MustCompile(`goto (\S+)`).FindAllStringSubmatch(line, -1) {
				if labels[target[1]] != 1 {
					t.Errorf("%s:%d: label %q is there %d times", name, number+2, target[1], labels[target[1]])
				}
			}
			if len(line) > 1000 {
				t.Errorf("%s:%d: line is too long", name, number+2)
			}
		}
	}
}

func labelsOf(script string) map[string]int {
	labels := map[string]int{}
	for line := range strings.Lines(script) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), ":"); ok {
			labels[name]++
		}
	}
	return labels
}

func TestBootNeverNeedsTheNextServer(t *testing.T) {
	for name, script := range rendered(t) {
		for _, word := range []string{"next-server", "filename", "tftp://"} {
			if strings.Contains(script, word) {
				t.Errorf("%s uses %s", name, word)
			}
		}
		if name != "boot" && strings.Count(script, "http") != 1 {
			t.Errorf("%s: the address is there more than once", name)
		}
	}
}

func TestNewRefusesWhatIsNoAddress(t *testing.T) {
	for _, good := range []string{"http://192.0.2.1:8081", "http://[2001:db8::1]:8081", "http://sidero.example.org:80"} {
		if scripts, err := ipxe.New(good); err != nil || scripts.Endpoint() != strings.TrimPrefix(good, "http://") {
			t.Errorf("%s: %q, %v", good, scripts.Endpoint(), err)
		}
	}
	for _, bad := range []string{
		"", "192.0.2.1:8081", "http://", "http://:8081", "http://192.0.2.1", "http://192.0.2.1:8081/", "https://192.0.2.1:8081",
		"http://192.0.2.1:8081/x", "http://u@192.0.2.1:8081", "http://a b:1", "http://a\nb:1", "http://${x}:1", "http://192.0.2.1:8081?x",
	} {
		if _, err := ipxe.New(bad); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestKernelRefusesWhatAScriptCannotHold(t *testing.T) {
	for name, arg := range map[string]string{
		"newline":         "a=1\nreboot",
		"carriage return": "a=1\rreboot",
		"zero":            "a=\x00",
		"not ASCII":       "a=ü",
		"and":             "a=1 && reboot",
		"or":              "a=1 || reboot",
		"semicolon":       "a=1 ; reboot",
		"comment":         "#a=1",
		"continuation":    `a=1\`,
		"too long":        "a=" + strings.Repeat("x", 2048),
	} {
		t.Run(name, func(t *testing.T) {
			kernel := agent()
			kernel.Args = append(kernel.Args, arg)
			if script, err := scripts(t).Kernel(kernel); err == nil {
				t.Errorf("accepted:\n%s", script)
			}
		})
	}
}

func TestKernelKeepsWhatIsHarmless(t *testing.T) {
	kernel := agent()
	kernel.Args = []string{`dyndbg="file a.c +p"`, "a=1&&2", "b=c;d", "e=$f", "g=#h", "  two  words ", "ip=${net0/ip}::${net0/gateway}"}
	script, err := scripts(t).Kernel(kernel)
	if err != nil {
		t.Fatal(err)
	}
	if want := ` dyndbg="file a.c +p" a=1&&2 b=c;d e=$f g=#h two words ip=${net0/ip}::${net0/gateway} || goto failed`; !strings.Contains(script, want+"\n") {
		t.Errorf("got %s", script)
	}
}

func TestMessagesCannotHoldCommands(t *testing.T) {
	if _, err := scripts(t).Wait("a\nreboot"); err == nil {
		t.Error("Wait accepted a second line")
	}
	if _, err := scripts(t).NewerIPXE("snp.efi", "${version}"); err == nil {
		t.Error("NewerIPXE accepted an expansion")
	}
	kernel := agent()
	kernel.Why = "${version}"
	if _, err := scripts(t).Kernel(kernel); err == nil {
		t.Error("Kernel accepted an expansion in its message")
	}
	kernel.Why = "x || reboot"
	if _, err := scripts(t).Kernel(kernel); err == nil {
		t.Error("Kernel accepted a command in its message")
	}
}

func TestNamesAreEscaped(t *testing.T) {
	kernel := agent()
	kernel.Environment = "../a b${c}"
	script, err := scripts(t).Kernel(kernel)
	if err != nil {
		t.Fatal(err)
	}
	if want := "/env/..%2Fa%20b$%7Bc%7D/vmlinuz "; !strings.Contains(script, want) {
		t.Errorf("got %s", script)
	}
}
