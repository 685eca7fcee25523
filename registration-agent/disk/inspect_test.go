package disk

import (
	"context"
	"testing"
	"time"
)

// TestHangingDisk has a disk that does not answer beside one that does.
func TestHangingDisk(t *testing.T) {
	asked, released := make(chan string, 64), make(chan struct{})
	inspector := NewInspector()
	inspector.ask = func(disk Disk) Disk {
		asked <- disk.Serial
		if disk.Name == "sda" {
			<-released
		}
		disk.Contents = []Content{{Label: disk.Serial}}
		return disk
	}
	disks := []Disk{{Name: "sda", Path: "/dev/sda", Serial: "HANGS"}, {Name: "sdb", Path: "/dev/sdb", Serial: "B"}}
	inspect := func(patience time.Duration) []Disk {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return inspector.Inspect(ctx, disks)
	}
	questions := func() map[string]int {
		count := map[string]int{}
		for len(asked) > 0 {
			count[<-asked]++
		}
		return count
	}

	for range 3 {
		got := inspect(50 * time.Millisecond)
		if got[0].Unreadable == "" || got[0].Name != "sda" || got[1].Unreadable != "" || len(got[1].Contents) != 1 {
			t.Fatalf("got %+v", got)
		}
	}
	if got := questions(); got["HANGS"] != 1 || got["B"] != 3 {
		t.Errorf("the disks were asked %v", got)
	}

	// Another disk in its place is no reason to wait for the first.
	disks[0].Serial = "NEXT"
	inspect(50 * time.Millisecond)
	if got := questions(); got["NEXT"] != 1 {
		t.Errorf("the next disk was asked %v", got)
	}

	// One that wakes up is asked anew.
	close(released)
	disks[0].Serial = "HANGS"
	if got := inspect(20 * time.Second); got[0].Unreadable != "" || len(got[0].Contents) != 1 {
		t.Errorf("got %+v", got[0])
	}
	if got := questions(); got["HANGS"] != 1 {
		t.Errorf("the disk that woke up was asked %v", got)
	}
}
