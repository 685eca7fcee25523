package appliance

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMappings(t *testing.T) {
	const maps = `00400000-02ff0000 r-xp 00000000 fe:00 1234 /usr/local/bin/sidero appliance
02ff0000-07000000 r--p 02bf0000 fe:00 1234 /usr/local/bin/sidero appliance
07000000-07200000 rw-p 06c00000 fe:00 1234 /usr/local/bin/sidero appliance
7f0000000000-7f0001000000 r--s 00000000 fe:00 99 /var/lib/etcd/member/snap/db
7f0001000000-7f0002000000 r--p 00000000 fe:00 99 /usr/local/bin/sidero appliance
c000000000-c008000000 rw-p 00000000 00:00 0
7ffd0000-7ffd2000 r-xp 00000000 00:00 0                  [vdso]
zz-01 r-xp 0 fe:00 1 /damaged
`
	want := []mapping{{0x400000, 0x2bf0000}, {0x2ff0000, 0x4010000}}
	if diff := cmp.Diff(want, unwritten(maps, "/usr/local/bin/sidero appliance"), cmp.AllowUnexported(mapping{})); diff != "" {
		t.Error(diff)
	}
	want = []mapping{{0x7f0000000000, 0x1000000}}
	if diff := cmp.Diff(want, databases(maps), cmp.AllowUnexported(mapping{})); diff != "" {
		t.Error(diff)
	}
	own, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if len(unwritten(string(own), program)) == 0 {
		t.Error("this program has no code")
	}
	giveBack() // and runs on
}

func TestBurden(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		now, before, least usage
		want               bool
	}{
		"nothing to gain":          {usage{allocated: 10 * mib, free: 90 * mib, file: 80 * mib, all: 300 * mib}, usage{}, usage{file: 80 * mib}, false},
		"after a burst":            {usage{allocated: 10 * mib, free: 200 * mib, file: 80 * mib, all: 900 * mib}, usage{}, usage{file: 80 * mib}, true},
		"in a burst":               {usage{allocated: 900 * mib, free: 200 * mib, file: 80 * mib, all: 900 * mib}, usage{allocated: mib}, usage{file: 80 * mib}, false},
		"files that were read":     {usage{free: mib, file: 280 * mib, all: 900 * mib}, usage{}, usage{file: 80 * mib}, true},
		"little for its size":      {usage{free: 70 * mib, file: 80 * mib, all: 900 * mib}, usage{}, usage{file: 80 * mib}, false},
		"fewer files than before":  {usage{free: mib, file: 10 * mib, all: 300 * mib}, usage{}, usage{file: 80 * mib}, false},
		"both together are enough": {usage{free: 60 * mib, file: 140 * mib, all: 900 * mib}, usage{}, usage{file: 80 * mib}, true},
	} {
		if got := c.now.burden(c.before, c.least); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFilesIdle(t *testing.T) {
	const mib = 1 << 20
	least := usage{file: 80 * mib}
	for name, c := range map[string]struct {
		now  usage
		want bool
	}{
		"as few as ever":  {usage{allocated: 11 * mib, file: 80 * mib}, false},
		"a little more":   {usage{allocated: 11 * mib, file: 100 * mib}, false},
		"much more":       {usage{allocated: 11 * mib, file: 120 * mib}, true},
		"used by a burst": {usage{allocated: 900 * mib, file: 120 * mib}, false},
	} {
		if got := c.now.filesIdle(usage{allocated: 10 * mib}, least); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestGarbage(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		usage usage
		want  int
	}{
		"little":                      {usage{all: 230 * mib, alive: 90 * mib, room: 9000 * mib}, 50},
		"much":                        {usage{all: 590 * mib, alive: 240 * mib, room: 9000 * mib}, 40},
		"very much, and much room":    {usage{all: 900 * mib, alive: 500 * mib, room: 20000 * mib}, 150},
		"very much, and some room":    {usage{all: 900 * mib, alive: 500 * mib, room: 6400 * mib}, 80},
		"very much on a full machine": {usage{all: 900 * mib, alive: 500 * mib, room: 500 * mib}, 40},
		"nothing is known of room":    {usage{all: 900 * mib, alive: 500 * mib}, 40},
	} {
		if got := c.usage.garbage(); got != c.want {
			t.Errorf("%s: %d %%, not %d", name, got, c.want)
		}
	}
}

func TestUsed(t *testing.T) {
	if file, all := resident("Name:\tx\nVmRSS:\t    2048 kB\nRssFile:\t 1024 kB\n"); file != 1<<20 || all != 2<<20 {
		t.Errorf("%d of %d", file, all)
	}
	if u := used(); u.allocated == 0 || u.file == 0 || u.all <= u.file || u.alive == 0 {
		t.Errorf("this process uses %+v", u)
	}
}
