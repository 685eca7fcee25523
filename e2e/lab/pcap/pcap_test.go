package pcap

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// frame is "hi" from 172.30.0.50:68 to 172.30.0.1:67, with its Ethernet padding.
const frame = "ffffffffffff 525400000001 0800" +
	"45 00 001e 0000 0000 40 11 0000 ac1e0032 ac1e0001" +
	"0044 0043 000a 0000 6869" + "000000000000"

func capture(t *testing.T, frames ...string) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := WriteHeader(&file); err != nil {
		t.Fatal(err)
	}
	for _, text := range frames {
		raw, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteFrame(&file, time.Unix(1700000000, 123456000), raw); err != nil {
			t.Fatal(err)
		}
	}
	return file.Bytes()
}

func TestReadWhatWasWritten(t *testing.T) {
	datagrams, err := Read(bytes.NewReader(capture(t, frame, frame)))
	if err != nil || len(datagrams) != 2 {
		t.Fatalf("got %v, %v", datagrams, err)
	}
	got := datagrams[1]
	if got.Source.String() != "172.30.0.50:68" || got.Destination.String() != "172.30.0.1:67" || string(got.Payload) != "hi" ||
		got.FromMAC.String() != "52:54:00:00:00:01" || got.ToMAC.String() != "ff:ff:ff:ff:ff:ff" || !got.Time.Equal(time.Unix(1700000000, 123456000)) {
		t.Errorf("got %+v", got)
	}
}

func TestTcpdumpReadsWhatWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcap")
	if err := os.WriteFile(path, capture(t, frame), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("tcpdump", "-n", "-r", path).Output()
	if err != nil {
		t.Fatalf("%v: is the Debian package tcpdump installed?", err)
	}
	if !strings.Contains(string(out), "IP 172.30.0.50.68 > 172.30.0.1.67") {
		t.Errorf("tcpdump reads %q", out)
	}
}

func TestPacketsThatAreNoDatagram(t *testing.T) {
	for name, text := range map[string]string{
		"empty":              "",
		"cut in Ethernet":    "ffffffffffff 5254",
		"ARP":                "ffffffffffff 525400000001 0806 0001080006040001525400000001ac1e003200000000000000000000",
		"IPv6":               "ffffffffffff 525400000001 86dd " + strings.Repeat("60", 40),
		"version 6 inside":   strings.Replace(frame, "45 00", "65 00", 1),
		"TCP":                strings.Replace(frame, "40 11", "40 06", 1),
		"fragment":           strings.Replace(frame, "0000 40", "2000 40", 1),
		"header too short":   strings.Replace(frame, "45 00", "42 00", 1),
		"options over end":   strings.Replace(frame, "45 00", "4f 00", 1),
		"longer than packet": strings.Replace(frame, "001e", "ffff", 1),
		"UDP longer than IP": strings.Replace(frame, "000a", "00ff", 1),
		"UDP below header":   strings.Replace(frame, "000a", "0007", 1),
	} {
		datagrams, err := Read(bytes.NewReader(capture(t, text, frame)))
		if err != nil || len(datagrams) != 1 {
			t.Errorf("%s: got %v, %v, want only the good one", name, datagrams, err)
		}
	}
}

func TestReadRefusesOtherFiles(t *testing.T) {
	good := capture(t, frame)
	for name, file := range map[string][]byte{
		"empty":       nil,
		"other magic": append([]byte("PK\x03\x04"), good[4:]...),
		"Wi-Fi":       append(bytes.Clone(good[:20]), 105, 0, 0, 0),
		"huge packet": append(bytes.Clone(good[:24]), bytes.Repeat([]byte{0xff}, 16)...),
	} {
		if _, err := Read(bytes.NewReader(file)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := WriteFrame(io.Discard, time.Now(), make([]byte, MaxFrame+1)); err == nil {
		t.Error("a frame that Read refuses was written")
	}
}

func TestCutCaptureIsReadUpToTheCut(t *testing.T) {
	whole := capture(t, frame, frame)
	datagrams, err := Read(bytes.NewReader(whole[:len(whole)-3]))
	if err != nil || len(datagrams) != 1 {
		t.Errorf("got %v, %v, want the first datagram", datagrams, err)
	}
}

func FuzzRead(f *testing.F) {
	var header bytes.Buffer
	_ = WriteHeader(&header)
	raw, _ := hex.DecodeString(strings.ReplaceAll(frame, " ", ""))
	_ = WriteFrame(&header, time.Unix(0, 0), raw)
	f.Add(header.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		datagrams, err := Read(bytes.NewReader(file))
		if err != nil && datagrams != nil {
			t.Error("datagrams beside an error")
		}
	})
}
