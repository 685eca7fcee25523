package nvme

import (
	"encoding/binary"
	"testing"
	"time"
	"unsafe"
)

// TestCommands holds the dwords against the Base Specification's figures.
func TestCommands(t *testing.T) {
	for name, test := range map[string]struct {
		command             Command
		opcode              uint8
		nsid, cdw10, length uint32
	}{
		"identify controller":   {IdentifyController(), 0x06, 0, 1, 4096},
		"identify namespace":    {IdentifyNamespace(7), 0x06, 7, 0, 4096},
		"format":                {Format(1, Namespace{}, false), 0x80, 1, 0x200, 0},
		"format by key":         {Format(1, Namespace{}, true), 0x80, 1, 0x400, 0},
		"format as it was":      {Format(2, Namespace{Format: 0x13, Extended: true, Protection: 1, First: true}, false), 0x80, 2, 0x1000 | 0x200 | 0x100 | 0x20 | 0x10 | 3, 0},
		"sanitize":              {Sanitize(false), 0x84, 0, 2, 0},
		"sanitize by key":       {Sanitize(true), 0x84, 0, 4, 0},
		"how far a sanitize is": {SanitizeLog(), 0x02, 0xFFFFFFFF, 0x00070081, 32},
	} {
		c := test.command
		if c.Opcode != test.opcode || c.NSID != test.nsid || c.CDW10 != test.cdw10 || c.In != int(test.length) {
			t.Errorf("%s is %+v", name, c)
		}
	}
}

func TestParseController(t *testing.T) {
	data := make([]byte, IdentifyLength)
	if got, err := ParseController(data); err != nil || got != (Controller{}) {
		t.Errorf("a controller that can nothing is %+v (%v)", got, err)
	}
	// QEMU 7.2's: OACS 0x10a, one namespace of 256, no sanitize.
	binary.LittleEndian.PutUint16(data[256:], 0x10A)
	binary.LittleEndian.PutUint32(data[516:], 256)
	if got, err := ParseController(data); err != nil || got != (Controller{Format: true, Namespaces: 256}) {
		t.Errorf("QEMU's is %+v (%v)", got, err)
	}
	data[524] = 0x07
	binary.LittleEndian.PutUint32(data[328:], 3)
	want := Controller{Format: true, FormatCrypto: true, FormatAll: true, EraseAll: true, SanitizeBlock: true, SanitizeCrypto: true, Namespaces: 256}
	if got, err := ParseController(data); err != nil || got != want {
		t.Errorf("a controller that can all is %+v (%v)", got, err)
	}
	binary.LittleEndian.PutUint16(data[256:], 0)
	if got, err := ParseController(data); err != nil || got.Format || got.FormatCrypto {
		t.Errorf("a controller without format is %+v (%v)", got, err)
	}
}

func TestParseNamespace(t *testing.T) {
	data := make([]byte, IdentifyLength)
	data[26], data[29] = 1<<5|1<<4|0x02, 1<<3|2
	if got, err := ParseNamespace(data); err != nil || got != (Namespace{Format: 0x12, Extended: true, Protection: 2, First: true}) {
		t.Errorf("the namespace is %+v (%v)", got, err)
	}
}

func TestParseSanitizeLog(t *testing.T) {
	for status, want := range map[uint16]SanitizeState{
		0: {Done: 9}, 1: {Done: 9}, 2: {Done: 9, Running: true}, 3: {Done: 9, Failed: true}, 4: {Done: 9}, 0x102: {Done: 9, Running: true},
	} {
		data := make([]byte, 32)
		data[0] = 9
		binary.LittleEndian.PutUint16(data[2:], status)
		if got, err := ParseSanitizeLog(data); err != nil || got != want {
			t.Errorf("%#x is %+v (%v)", status, got, err)
		}
	}
}

func TestShortAnswers(t *testing.T) {
	short := make([]byte, 31)
	if _, err := ParseController(short); err == nil {
		t.Error("a short controller is taken")
	}
	if _, err := ParseNamespace(short); err == nil {
		t.Error("a short namespace is taken")
	}
	if _, err := ParseSanitizeLog(short); err == nil {
		t.Error("a short log is taken")
	}
}

// TestPassthru holds the layout against linux uapi nvme_ioctl.h.
func TestPassthru(t *testing.T) {
	p := Format(3, Namespace{}, false).request(time.Second)
	for name, test := range map[string][2]uintptr{
		"size": {unsafe.Sizeof(*p), 72}, "size in the request": {unsafe.Sizeof(*p), ioctlAdmin >> 16 & 0x3FFF}, "nsid": {unsafe.Offsetof(p.nsid), 4},
		"addr": {unsafe.Offsetof(p.addr), 24}, "dataLen": {unsafe.Offsetof(p.dataLen), 36}, "cdw10": {unsafe.Offsetof(p.cdw10), 40},
		"timeout": {unsafe.Offsetof(p.timeout), 64}, "result": {unsafe.Offsetof(p.result), 68},
	} {
		if test[0] != test[1] {
			t.Errorf("%s is %d, want %d", name, test[0], test[1])
		}
	}
	if p.opcode != 0x80 || p.nsid != 3 || p.cdw10 != 0x200 || p.timeout != 1000 {
		t.Errorf("the request is %+v", p)
	}
	if far := Sanitize(false).request(2000 * time.Hour); far.timeout != 1<<32-1 {
		t.Errorf("the time limit is %d", far.timeout)
	}
}

// FuzzAnswers: no answer of a disk makes reading it fail.
func FuzzAnswers(f *testing.F) {
	f.Add(make([]byte, IdentifyLength))
	f.Add(make([]byte, 32))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = ParseController(data)
		_, _ = ParseNamespace(data)
		_, _ = ParseSanitizeLog(data)
	})
}
