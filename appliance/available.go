package appliance

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// available is how many bytes of memory could still be had: what the machine has available, or
// what is left of the limits of the control groups that this process is in. Root is where
// /proc and /sys are. What cannot be read has no room.
func available(root string) uint64 {
	memory, err := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return 0
	}
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	left := kibibytes(string(memory), "MemAvailable")
	for _, group := range memoryGroups(string(groups)) {
		left = min(left, group.room(filepath.Join(root, "sys/fs/cgroup")))
	}
	return left
}

// memoryGroup is a control group of one of both versions, and the names of its files.
type memoryGroup struct {
	path string
	// taken counts also files that are in memory only until somebody needs it, whose number
	// idle is in memory.stat.
	taken, idle string
	limits      []string
}

// memoryGroups are those that a process is in, by the text of /proc/PID/cgroup
// (cgroups(7)), and those that these are in.
func memoryGroups(text string) []memoryGroup {
	var groups []memoryGroup
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		for path := filepath.Join("/", fields[2]); ; path = filepath.Dir(path) {
			switch {
			case fields[1] == "":
				groups = append(groups, memoryGroup{path, "memory.current", "inactive_file", []string{"memory.max", "memory.high"}})
			case slices.Contains(strings.Split(fields[1], ","), "memory"):
				groups = append(groups, memoryGroup{"memory" + path, "memory.usage_in_bytes", "total_inactive_file", []string{"memory.limit_in_bytes"}})
			}
			if path == "/" {
				break
			}
		}
	}
	return groups
}

// room is what is left of a group's limits, in bytes, no limit when the group does not
// say. Root is where the groups are.
func (g memoryGroup) room(root string) uint64 {
	taken, ok := bytesIn(filepath.Join(root, g.path, g.taken))
	if !ok {
		return math.MaxUint64
	}
	if stat, err := os.ReadFile(filepath.Join(root, g.path, "memory.stat")); err == nil {
		taken -= min(taken, statistic(string(stat), g.idle))
	}
	left := uint64(math.MaxUint64)
	for _, name := range g.limits {
		if limit, ok := bytesIn(filepath.Join(root, g.path, name)); ok {
			left = min(left, limit-min(limit, taken))
		}
	}
	return left
}

// statistic is a number in memory.stat, in bytes, 0 when it is not there.
func statistic(text, name string) uint64 {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			number, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			if err != nil {
				return 0
			}
			return number
		}
	}
	return 0
}

// bytesIn reads a file with a number; "max" is none.
func bytesIn(file string) (uint64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	number, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return number, err == nil
}
