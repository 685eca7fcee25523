package tftp

import (
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Requests as firmware sends them; captured 2026-11-22 with tcpdump on the taps
// of QEMU 7.2 guests.
const (
	ovmfSize   = "\x00\x01snp.efi\x00octet\x00tsize\x000\x00blksize\x001468\x00windowsize\x004\x00" // OVMF 2022.11, aborted after the answer
	ovmfLoad   = "\x00\x01snp.efi\x00octet\x00blksize\x001468\x00windowsize\x004\x00"
	ipxeROM    = "\x00\x01undionly.kpxe\x00octet\x00blksize\x001432\x00tsize\x000\x00" // iPXE 1.0.0, SeaBIOS
	ipxeProbe  = "\x00\x01autoexec.ipxe\x00octet\x00blksize\x001432\x00tsize\x000\x00" // iPXE 1.21.1, OVMF
	plainLoad  = "\x00\x01undionly.kpxe\x00octet\x00"
	romSize    = "\x00\x01undionly.kpxe\x00octet\x00tsize\x000\x00" // PXE 2.1 ROMs, synthetic
	romLoad    = "\x00\x01undionly.kpxe\x00octet\x00blksize\x001456\x00"
	writeBytes = "\x00\x02snp.efi\x00octet\x00"
)

func TestClean(t *testing.T) {
	for name, want := range map[string]string{
		"snp.efi":                  "snp.efi",
		"/snp.efi":                 "snp.efi",
		"//snp.efi":                "snp.efi",
		`\snp.efi`:                 "snp.efi",
		`boot\x64\snp.efi`:         "boot/x64/snp.efi",
		"boot//./x64/snp.efi":      "boot/x64/snp.efi",
		"../../etc/passwd":         "etc/passwd",
		`..\..\etc\passwd`:         "etc/passwd",
		"a/../../../b":             "b",
		"...":                      "...",
		"dir/":                     "dir",
		"undionly.kpxe.0":          "undionly.kpxe.0",
		"snp.efi\xff":              "snp.efi",
		"a\xffb":                   "a\uFFFDb",
		"12345678/start4.elf":      "12345678/start4.elf", // Raspberry Pi
		strings.Repeat("a", 255):   strings.Repeat("a", 255),
		"":                         "",
		"/":                        "",
		".":                        "",
		"..":                       "",
		"\xff":                     "",
		"a\x00b":                   "",
		strings.Repeat("a", 256):   "",
		strings.Repeat("../", 100): "",
	} {
		got, err := Clean(name)
		if got != want || (err != nil) != (want == "") || (err != nil && !errors.Is(err, errName)) {
			t.Errorf("%.40q: got %q, %v, want %q", name, got, err, want)
		}
		if err == nil && !fs.ValidPath(got) {
			t.Errorf("%.40q became %q, which is no path below a root", name, got)
		}
	}
}

func TestParseRequest(t *testing.T) {
	for _, test := range []struct {
		datagram string
		want     Request
	}{
		{ovmfSize, Request{Name: "snp.efi", Mode: "octet", Options: Options{{"tsize", "0"}, {"blksize", "1468"}, {"windowsize", "4"}}}},
		{plainLoad, Request{Name: "undionly.kpxe", Mode: "octet"}},
		{"\x00\x01/A\x00OcTeT\x00BLKSIZE\x00512\x00", Request{Name: "A", Mode: "octet", Options: Options{{"blksize", "512"}}}},
		{"\x00\x01a\x00netascii\x00blksize\x00", Request{Name: "a", Mode: "netascii"}},
		{"\x00\x01a\x00octet\x00\x00\x00\x00\x00\x00", Request{Name: "a", Mode: "octet"}}, // a padded buffer
		{"\x00\x01a\x00octet\x00tsize\x000\x00junk", Request{Name: "a", Mode: "octet", Options: Options{{"tsize", "0"}}}},
		{writeBytes, Request{Name: "snp.efi", Mode: "octet"}},
		{"\x00\x01a\x00octet\x00" + strings.Repeat("o\x00v\x00", 100), Request{Name: "a", Mode: "octet", Options: slices.Repeat(Options{{"o", "v"}}, 16)}},
		{"\x00\x01a\x00octet" + strings.Repeat("\x00", 1500-9), Request{Name: "a", Mode: "octet"}},
	} {
		got, err := parseRequest([]byte(test.datagram))
		if err != nil {
			t.Errorf("%q: %v", test.datagram, err)
		}
		if diff := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q: %s", test.datagram, diff)
		}
	}
	for datagram, want := range map[string]error{
		"":                             errMalformed,
		"\x00":                         errMalformed,
		"\x00\x01":                     errMalformed,
		"\x00\x01\x00\x00":             errName,
		"\x00\x01name without an end":  errMalformed,
		"\x00\x01name\x00":             errMalformed,
		"\x00\x01name\x00octet":        errMalformed,
		"\x00\x01name\x00mail\x00":     errMode,
		"\x00\x01name\x00\x00":         errMode,
		"\x00\x03name\x00octet\x00":    errMalformed,
		"\x00\x01..\x00octet\x00":      errName,
		"\x01\x01snp.efi\x00octet\x00": errMalformed,
		"\x00\x01a\x00octet" + strings.Repeat("\x00", 1501-9): errMalformed,
	} {
		if _, err := parseRequest([]byte(datagram)); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", datagram, err, want)
		}
	}
}

func TestNegotiate(t *testing.T) {
	for _, test := range []struct {
		name    string
		options Options
		mtu     int
		want    terms
	}{
		{"nothing asked", nil, 1500, terms{512, 1, 0, nil}},
		{"OVMF", Options{{"tsize", "0"}, {"blksize", "1468"}, {"windowsize", "4"}}, 1500,
			terms{1468, 4, 0, Options{{"tsize", "100000"}, {"blksize", "1468"}, {"windowsize", "4"}}}},
		{"more than the MTU", Options{{"blksize", "65464"}}, 1500, terms{1468, 1, 0, Options{{"blksize", "1468"}}}},
		{"an overlay's MTU", Options{{"blksize", "1468"}}, 1450, terms{1418, 1, 0, Options{{"blksize", "1418"}}}},
		{"jumbo frames", Options{{"blksize", "8968"}}, 9000, terms{8968, 1, 0, Options{{"blksize", "8968"}}}},
		{"an absurd MTU", Options{{"blksize", "1468"}}, 68, terms{512, 1, 0, Options{{"blksize", "512"}}}},
		{"small blocks", Options{{"blksize", "8"}}, 1500, terms{8, 1, 0, Options{{"blksize", "8"}}}},
		{"too wide a window", Options{{"windowsize", "65535"}}, 1500, terms{512, maxWindow, 0, Options{{"windowsize", "16"}}}},
		{"U-Boot", Options{{"timeout", "5"}, {"tsize", "0"}, {"blksize", "1468"}}, 1500,
			terms{1468, 1, 5 * time.Second, Options{{"timeout", "5"}, {"tsize", "100000"}, {"blksize", "1468"}}}},
		{"out of range", Options{{"blksize", "7"}, {"windowsize", "0"}, {"timeout", "0"}, {"tsize", "-1"}}, 1500, terms{512, 1, 0, nil}},
		{"out of range above", Options{{"blksize", "65465"}, {"windowsize", "65536"}, {"timeout", "11"}}, 1500, terms{512, 1, 0, nil}},
		{"no numbers", Options{{"blksize", "big"}, {"windowsize", ""}, {"tsize", "99999999999999999999"}}, 1500, terms{512, 1, 0, nil}},
		{"unknown", Options{{"multicast", ""}, {"rollover", "0"}}, 1500, terms{512, 1, 0, nil}},
		{"twice", Options{{"blksize", "600"}, {"blksize", "700"}}, 1500, terms{600, 1, 0, Options{{"blksize", "600"}}}},
	} {
		got := negotiate(test.options, 100000, test.mtu)
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(terms{})); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}
