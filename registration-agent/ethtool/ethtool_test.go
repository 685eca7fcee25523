package ethtool

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// driver answers as kernels do.
func driver(speed uint32, mask ...uint32) func([]byte) error {
	return func(message []byte) error {
		if binary.NativeEndian.Uint32(message) != unix.ETHTOOL_GLINKSETTINGS {
			return unix.EINVAL
		}
		if int(message[wordsOffset]) != len(mask) {
			message[wordsOffset] = byte(-len(mask))
			return nil
		}
		binary.NativeEndian.PutUint32(message[speedOffset:], speed)
		for n, word := range mask {
			binary.NativeEndian.PutUint32(message[header+4*n:], word)
		}
		// What is advertised, and what the other side does, is none of the adapter's own.
		binary.NativeEndian.PutUint32(message[header+4*len(mask):], 1<<12)
		return nil
	}
}

func TestAsk(t *testing.T) {
	for name, test := range map[string]struct {
		driver func([]byte) error
		want   Link
	}{
		"a gigabit adapter (its port and autonegotiation are no modes)": {driver(1000, 0x62ef, 0, 0), Link{1000, 1000}},
		"10 Gb/s on a slower switch":                                    {driver(1000, 1<<12|1<<5, 0, 0), Link{1000, 10_000}},
		"no link":                                                       {driver(speedUnknown, 1<<5, 1<<15|1<<16, 0), Link{0, 5000}},
		"25 Gb/s":                                                       {driver(25_000, 1<<31, 0, 0), Link{25_000, 25_000}},
		"a bit of the last word":                                        {driver(0, 0, 0, 1<<25, 0), Link{0, 400_000}},
		"a virtual adapter":                                             {driver(speedUnknown, 0, 0, 0), Link{}},
		"modes of a later kernel":                                       {driver(10, 1, 0, 0, 0xffffffff&^0x3f, 0xffffffff), Link{10, 10}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ask(test.driver); err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestAskWithoutAnswer(t *testing.T) {
	for name, driver := range map[string]func([]byte) error{
		"not supported":      func([]byte) error { return unix.EOPNOTSUPP },
		"no handshake":       func([]byte) error { return nil },
		"changes its length": func(message []byte) error { message[wordsOffset]--; return nil },
	} {
		if got, err := ask(driver); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if _, err := Ask("no such interface"); err == nil {
		t.Error("an interface with a name that is too long answers")
	}
	if _, err := Ask("none"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("an interface that is not there: %v", err)
	}
}

// TestModes holds the table against the kernel's header.
func TestModes(t *testing.T) {
	text, err := os.ReadFile("/usr/include/linux/ethtool.h")
	if err != nil {
		t.Fatalf("%v: install the Debian package linux-libc-dev", err)
	}
	modes := regexp.MustCompile(`ETHTOOL_LINK_MODE_(\d+)base\w+_BIT\s*=\s*(\d+)`).FindAllSubmatch(text, -1)
	if len(modes) < 70 {
		t.Fatalf("the header has %d modes", len(modes))
	}
	for _, mode := range modes {
		speed, _ := strconv.Atoi(string(mode[1]))
		bit, _ := strconv.Atoi(string(mode[2]))
		mask := make([]uint32, bit/32+1)
		mask[bit/32] = 1 << (bit % 32)
		if got := fastest(mask); got != speed {
			t.Errorf("%s is of %d, want %d", mode[0], got, speed)
		}
	}
	for _, other := range regexp.MustCompile(`ETHTOOL_LINK_MODE_[A-Z]\w+_BIT\s*=\s*(\d+)`).FindAllSubmatch(text, -1) {
		bit, _ := strconv.Atoi(string(other[1]))
		mask := make([]uint32, bit/32+1)
		mask[bit/32] = 1 << (bit % 32)
		if got := fastest(mask); got != 0 {
			t.Errorf("%s has the speed %d", other[0], got)
		}
	}
}

// TestPeer compares with the program of that name, on every interface there is.
func TestPeer(t *testing.T) {
	if _, err := exec.LookPath("ethtool"); err != nil {
		t.Fatalf("%v: install the Debian package ethtool", err)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range interfaces {
		got, err := Ask(one.Name)
		said, _ := exec.CommandContext(t.Context(), "ethtool", one.Name).Output()
		want := 0
		if speed := regexp.MustCompile(`Speed: (\d+)Mb/s`).FindSubmatch(said); speed != nil {
			want, _ = strconv.Atoi(string(speed[1]))
		}
		if err != nil && !errors.Is(err, ErrNotTold) || got.Speed != want {
			t.Errorf("%s: got %+v, %v; ethtool says %s", one.Name, got, err, said)
		}
	}
}
