package debian

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseEntry(t *testing.T) {
	const kernel = `Package: linux-image-6.1.0-56-amd64
Source: linux-signed-amd64 (6.1.192+2)
Version: 6.1.192-2
Architecture: amd64
Depends: kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool
Description: Linux 6.1 for 64-bit PCs (signed)
 The Linux kernel 6.1 and modules.
Built-Using: linux (= 6.1.192-2)
SHA256: A86E2049

Package: another
Version: 1
`
	entry, err := parseEntry([]byte(kernel))
	if err != nil {
		t.Fatal(err)
	}
	want := Entry{
		Name: "linux-image-6.1.0-56-amd64", Version: "6.1.192-2", Architecture: "amd64",
		Source: "linux-signed-amd64", SourceVersion: "6.1.192+2", BuiltUsing: "linux (= 6.1.192-2)",
		Depends: []string{"kmod", "linux-base", "initramfs-tools"}, SHA256: "a86e2049",
	}
	if !reflect.DeepEqual(entry, want) {
		t.Errorf("got  %+v\nwant %+v", entry, want)
	}

	own, err := parseEntry([]byte("Package: ipxe\nVersion: 1.2-3\nArchitecture: all\nSHA256: 00\n"))
	if err != nil || own.Source != "ipxe" || own.SourceVersion != "1.2-3" {
		t.Errorf("source without a field is %s %s, %v", own.Source, own.SourceVersion, err)
	}
	for _, text := range []string{"", "\n\n", "Package: a\nVersion: 1\nArchitecture: all\n", " continued\n"} {
		if entry, err := parseEntry([]byte(text)); err == nil {
			t.Errorf("%q was accepted as %+v", text, entry)
		}
	}
}

func TestMirrorFor(t *testing.T) {
	const indexes = `http://mirror/debian/ bookworm main Debian
http://mirror/debian/ bookworm contrib Debian
http://mirror/debian/ bookworm-updates main Debian
http://mirror/security/ bookworm-security main Debian
http://elsewhere/ bookworm main Elsewhere Corp
http://elsewhere/ trixie main Elsewhere
`
	for name, test := range map[string]struct{ suite, indexes, want, err string }{
		"served":             {suite: "bookworm", indexes: indexes, want: "http://mirror/debian/"},
		"another suite":      {suite: "trixie", indexes: indexes, want: "http://mirror/debian/"},
		"security":           {suite: "bookworm-security", indexes: indexes, want: "http://mirror/security/"},
		"another's security": {suite: "trixie-security", indexes: indexes, want: "http://mirror/security/"},
		"no indexes":         {suite: "trixie", err: "run apt-get update"},
		"only of others":     {suite: "trixie", indexes: "http://elsewhere/ trixie main Elsewhere\n", err: "trixie"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mirrorFor(test.suite, "bookworm", test.indexes)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
			} else if err != nil || got != test.want {
				t.Fatalf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestCodename(t *testing.T) {
	got, err := codename("NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=\"bookworm\"\nID=debian\n")
	if err != nil || got != "bookworm" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := codename("ID=debian\n"); err == nil {
		t.Error("no error without a codename")
	}
}
