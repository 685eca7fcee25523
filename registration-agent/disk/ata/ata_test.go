package ata

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"unsafe"
)

// TestCDB has what hdparm 9.65 sent for the same commands (-I, --sanitize-status, …,
// --security-disable), to a library that stood between it and the ioctl SG_IO.
func TestCDB(t *testing.T) {
	for name, test := range map[string]struct {
		command Command
		want    string
	}{
		"identify":         {Identify(), "85 08 0e 00 00 00 01 00 00 00 00 00 00 40 ec 00"},
		"sanitize status":  {SanitizeStatus(), "85 07 20 00 00 00 00 00 00 00 00 00 00 40 b4 00"},
		"sanitize block":   {SanitizeBlock(), "85 07 20 00 12 00 00 42 72 00 45 00 6b 40 b4 00"},
		"sanitize crypto":  {SanitizeCrypto(), "85 07 20 00 11 00 00 43 70 00 79 00 72 40 b4 00"},
		"set password":     {SetPassword(), "85 0a 06 00 00 00 01 00 00 00 00 00 00 40 f1 00"},
		"erase prepare":    {ErasePrepare(), "85 06 20 00 00 00 00 00 00 00 00 00 00 40 f3 00"},
		"erase unit":       {EraseUnit(true), "85 0a 06 00 00 00 01 00 00 00 00 00 00 40 f4 00"},
		"disable password": {DisablePassword(), "85 0a 06 00 00 00 01 00 00 00 00 00 00 40 f6 00"},
	} {
		cdb := test.command.CDB()
		if got, want := hex.EncodeToString(cdb[:]), strings.ReplaceAll(test.want, " ", ""); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// TestPassword checks the control words, which were hdparm's too, and the password.
func TestPassword(t *testing.T) {
	for _, test := range []struct {
		data    []byte
		control uint16
	}{{SetPassword().Out, 0}, {EraseUnit(false).Out, 0}, {EraseUnit(true).Out, 2}, {DisablePassword().Out, 0}} {
		if len(test.data) != 512 || binary.LittleEndian.Uint16(test.data) != test.control || !strings.HasPrefix(string(test.data[2:]), Password+"\x00") {
			t.Errorf("the data is %x", test.data[:40])
		}
	}
	if len(Password) > 32 {
		t.Error("the password does not fit")
	}
}

// identity makes IDENTIFY DEVICE data.
func identity(words map[int]uint16) []byte {
	data := make([]byte, IdentifyLength)
	for n, word := range words {
		binary.LittleEndian.PutUint16(data[2*n:], word)
	}
	return data
}

func TestParseIdentity(t *testing.T) {
	for name, test := range map[string]struct {
		words map[int]uint16
		want  Identity
	}{
		"nothing":             {nil, Identity{}},
		"names":               {map[int]uint16{10: 'S'<<8 | '1', 27: 'M'<<8 | ' ', 28: 'x'<<8 | ' '}, Identity{Serial: "S1", Model: "M x"}},
		"no letters":          {map[int]uint16{10: 0xFFFF}, Identity{}},
		"wwn":                 {map[int]uint16{87: 0x4100, 108: 0x5000, 109: 0xC500, 110: 1, 111: 2}, Identity{WWN: 0x5000C50000010002}},
		"wwn not valid":       {map[int]uint16{87: 0xC100, 108: 0x5000}, Identity{}},
		"sanitize":            {map[int]uint16{59: 1<<12 | 1<<13 | 1<<15}, Identity{SanitizeBlock: true, SanitizeCrypto: true}},
		"overwrite only":      {map[int]uint16{59: 1<<12 | 1<<14}, Identity{}},
		"sanitize not there":  {map[int]uint16{59: 1<<13 | 1<<15}, Identity{}},
		"security":            {map[int]uint16{128: 0x21, 89: 60, 90: 1}, Identity{Security: true, Enhanced: true, EraseMinutes: 120, EnhancedMinutes: 2}},
		"security, long":      {map[int]uint16{128: 1, 89: 0x8000 | 400}, Identity{Security: true, EraseMinutes: 800}},
		"security, all":       {map[int]uint16{128: 0x1F}, Identity{Security: true, Enabled: true, Locked: true, Frozen: true, Expired: true}},
		"security, not there": {map[int]uint16{128: 0x08, 89: 60}, Identity{}},
	} {
		if got, err := ParseIdentity(identity(test.words)); err != nil || got != test.want {
			t.Errorf("%s is %+v (%v), want %+v", name, got, err, test.want)
		}
	}
	if _, err := ParseIdentity(make([]byte, 511)); err == nil {
		t.Error("a short answer is taken")
	}
}

func TestParseSense(t *testing.T) {
	// As a Linux SATA disk answers SANITIZE STATUS EXT in progress: 0x4000 in the count,
	// the share done in the LBA's low word.
	const running = "72 01 00 1d 00 00 00 0e  09 0c 00 00 40 00 00 34 00 12 00 00 00 50"
	for name, test := range map[string]struct {
		sense string
		want  Registers
		ok    bool
	}{
		"running":          {running, Registers{Status: 0x50, Count: 0x4000, LBA: 0x1234}, true},
		"refused":          {"72 0b 00 00 00 00 00 0e 09 0c 00 04 00 00 00 00 00 00 00 00 00 51", Registers{Status: 0x51, Error: 0x04}, true},
		"a long LBA":       {"72 0b 00 00 00 00 00 0e 09 0c 01 00 00 00 44 11 55 22 66 33 00 50", Registers{Status: 0x50, LBA: 0x665544332211}, true},
		"behind another":   {"72 0b 00 00 00 00 00 12 02 02 00 00 09 0c 00 00 00 00 00 00 00 00 00 00 00 50", Registers{Status: 0x50}, true},
		"fixed format":     {"70 00 05 00 00 00 00 0a 00 00 00 00 20 00 00 00 00 00", Registers{}, false},
		"nothing":          {"", Registers{}, false},
		"cut off":          {running[:40], Registers{}, false},
		"length too great": {"72 00 00 00 00 00 00 ff 09 ff 00 00", Registers{}, false},
	} {
		sense, err := hex.DecodeString(strings.ReplaceAll(test.sense, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, ok := ParseSense(sense); got != test.want || ok != test.ok {
			t.Errorf("%s is %+v, %v, want %+v", name, got, ok, test.want)
		}
	}
}

func TestParseSanitize(t *testing.T) {
	if got := ParseSanitize(Registers{Count: 0x4000, LBA: 0x8000}); got != (SanitizeState{Running: true, Done: 0x8000}) {
		t.Errorf("running is %+v", got)
	}
	if got := ParseSanitize(Registers{Count: 0x8000, LBA: 0xFFFF}); got != (SanitizeState{Succeeded: true, Done: 0xFFFF}) {
		t.Errorf("done is %+v", got)
	}
}

// TestOutcome has what a controller may return.
func TestOutcome(t *testing.T) {
	for name, test := range map[string]struct {
		command   Command
		header    sgHeader
		registers Registers
		ok        bool
		wrong     string
	}{
		"well":                {Identify(), sgHeader{}, Registers{}, false, ""},
		"well, with status":   {SanitizeStatus(), sgHeader{status: 2, driverStatus: 8}, Registers{Status: 0x50}, true, ""},
		"refused":             {ErasePrepare(), sgHeader{status: 2, driverStatus: 8}, Registers{Status: 0x51, Error: 4}, true, "the disk refused (status 0x51, error 0x04)"},
		"fault":               {ErasePrepare(), sgHeader{status: 2}, Registers{Status: 0x70}, true, "the disk refused"},
		"no pass-through":     {Identify(), sgHeader{status: 2, driverStatus: 8}, Registers{}, false, "does not pass ATA commands on"},
		"no answer on status": {SanitizeStatus(), sgHeader{}, Registers{}, false, "no answer about its outcome"},
		"timed out":           {EraseUnit(false), sgHeader{hostStatus: 3}, Registers{}, false, "the controller gave up (host status 0x3)"},
	} {
		err := outcome(test.command, &test.header, test.registers, test.ok)
		if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v, want %q", name, err, test.wrong)
		}
	}
}

// TestHeader holds the layout against linux uapi scsi/sg.h on 64-bit machines.
func TestHeader(t *testing.T) {
	var h sgHeader
	for name, test := range map[string][2]uintptr{
		"size": {unsafe.Sizeof(h), 88}, "data": {unsafe.Offsetof(h.data), 16}, "cmd": {unsafe.Offsetof(h.cmd), 24}, "sense": {unsafe.Offsetof(h.sense), 32},
		"timeout": {unsafe.Offsetof(h.timeout), 40}, "user data": {unsafe.Offsetof(h.userData), 56}, "status": {unsafe.Offsetof(h.status), 64},
		"sense written": {unsafe.Offsetof(h.senseWritten), 67}, "host status": {unsafe.Offsetof(h.hostStatus), 68}, "info": {unsafe.Offsetof(h.info), 80},
	} {
		if test[0] != test[1] {
			t.Errorf("%s is at %d, want %d", name, test[0], test[1])
		}
	}
}

// FuzzAnswers: no answer of a disk makes reading it fail.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte("\x72\x0b\x00\x00\x00\x00\x00\x12\x02\x02\x00\x00\x09\x0c"))
	f.Add(make([]byte, IdentifyLength))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = ParseIdentity(data)
		_, _ = ParseSense(data)
	})
}
