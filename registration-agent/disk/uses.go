package disk

import (
	"io/fs"
	"path"
	"strings"
)

// uses says where block devices are mounted, by device number, and which are swap, by
// name.
type uses struct {
	mounts map[string][]string
	swaps  map[string]bool
}

func readUses(proc fs.FS) uses {
	if proc == nil {
		return uses{}
	}
	// Without procfs nothing is known of mounts; opening a mounted disk fails later.
	mountinfo, _ := fs.ReadFile(proc, "self/mountinfo")
	swaps, _ := fs.ReadFile(proc, "swaps")
	return uses{mounts: parseMounts(string(mountinfo)), swaps: parseSwaps(string(swaps))}
}

// parseMounts reads mountinfo (proc_pid_mountinfo(5)): the third field is the device's
// number, the fifth the place.
func parseMounts(mountinfo string) map[string][]string {
	mounts := map[string][]string{}
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) > 4 {
			mounts[fields[2]] = append(mounts[fields[2]], fields[4])
		}
	}
	return mounts
}

// parseSwaps reads /proc/swaps (proc_swaps(5)).
func parseSwaps(text string) map[string]bool {
	swaps := map[string]bool{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[1] == "partition" {
			swaps[path.Base(fields[0])] = true
		}
	}
	return swaps
}

func (u uses) of(n node, disk Disk) []string {
	places := u.place(disk.Name, disk.Number)
	for _, partition := range disk.Partitions {
		places = append(places, u.place(partition.Name, n.first(partition.Name+"/dev"))...)
	}
	return places
}

func (u uses) place(name, number string) []string {
	places := append([]string(nil), u.mounts[number]...)
	if u.swaps[name] {
		places = append(places, "swap")
	}
	return places
}
