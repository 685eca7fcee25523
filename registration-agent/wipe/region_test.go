package wipe_test

import (
	"math"
	"reflect"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

func TestRegions(t *testing.T) {
	for name, test := range map[string]struct {
		size    int64
		extents []disk.Extent
		want    []wipe.Region
	}{
		"no size":        {0, nil, nil},
		"negative":       {-1, nil, nil},
		"a sector":       {512, nil, []wipe.Region{{Offset: 0, Length: 512}}},
		"all is an end":  {10 * mib, nil, []wipe.Region{{Offset: 0, Length: 10 * mib}}},
		"ends apart":     {11 * mib, nil, []wipe.Region{{Offset: 0, Length: 8 * mib}, {Offset: 9 * mib, Length: 2 * mib}}},
		"cut far region": {64*mib + 512, nil, []wipe.Region{{Offset: 0, Length: 8 * mib}, {Offset: 62*mib + 512, Length: 2 * mib}}},
		"a disk of 4 GiB": {4 * gib, nil, []wipe.Region{
			{Offset: 0, Length: 8 * mib}, {Offset: 64 * mib, Length: 64 * kib}, {Offset: gib, Length: 64 * kib}, {Offset: 4*gib - 2*mib, Length: 2 * mib},
		}},
		"a partition": {512 * mib, []disk.Extent{{Start: 256 * mib, Length: 32 * mib}}, []wipe.Region{
			{Offset: 0, Length: 8 * mib}, {Offset: 64 * mib, Length: 64 * kib}, {Offset: 256 * mib, Length: 8 * mib},
			{Offset: 286 * mib, Length: 2 * mib}, {Offset: 510 * mib, Length: 2 * mib},
		}},
		"a partition beyond": {16 * mib, []disk.Extent{{Start: 32 * mib, Length: mib}, {Start: -5, Length: -5}}, []wipe.Region{
			{Offset: 0, Length: 8 * mib}, {Offset: 14 * mib, Length: 2 * mib},
		}},
	} {
		if got := wipe.Regions(test.size, test.extents); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// FuzzRegions: whatever a table says, what is cleared is in order and on the disk, and
// both ends are.
func FuzzRegions(f *testing.F) {
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64-5), int64(math.MaxInt64), int64(1), int64(2))
	f.Add(int64(1<<40), int64(1<<39), int64(1<<39), int64(0), int64(0))
	f.Fuzz(func(t *testing.T, size, start, length, start2, length2 int64) {
		regions := wipe.Regions(size, []disk.Extent{{Start: start, Length: length}, {Start: start2, Length: length2}})
		if size <= 0 {
			if len(regions) > 0 {
				t.Fatalf("a disk of %d bytes has %v", size, regions)
			}
			return
		}
		var end int64 = -1
		for _, region := range regions {
			if region.Offset <= end || region.Length <= 0 || region.Offset > size-region.Length {
				t.Fatalf("%v on a disk of %d bytes", regions, size)
			}
			end = region.Offset + region.Length
		}
		if regions[0].Offset != 0 || end != size {
			t.Fatalf("%v leaves an end of a disk of %d bytes", regions, size)
		}
	})
}
