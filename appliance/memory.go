package appliance

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// How much garbage may gather before it is collected, in per cent of what is
// alive. The start makes much garbage in short time, so it collects less; an
// idle appliance makes little, so collecting early costs next to nothing and
// keeps its memory small. docs/architecture.md has the figures.
const (
	garbageAtStart = 400
	garbageAtRest  = 50
)

// hurry favours speed over memory, for the start.
func hurry() { debug.SetGCPercent(garbageAtStart) }

// settle favours memory over speed, and returns what the start left behind.
func settle() {
	debug.SetGCPercent(garbageAtRest)
	debug.FreeOSMemory()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return // memory stays as the kernel has it
	}
	for _, code := range codeIn(string(maps)) {
		// By the addresses alone: Go's pointers have no business there.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, code.start, code.length, unix.MADV_DONTNEED)
	}
}

// mapping is a piece of the address space, in bytes.
type mapping struct{ start, length uintptr }

// codeIn lists where a program's code is mapped, by the text of /proc/PID/maps
// (proc_pid_maps(5)). Much of the code is used at the start only, and stays
// resident until somebody says otherwise. It is never written to, so what is
// needed again comes from the file, most likely from the page cache.
func codeIn(maps string) []mapping {
	var code []mapping
	for line := range strings.Lines(maps) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "r-xp" || !strings.HasPrefix(fields[5], "/") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, startErr := strconv.ParseUint(from, 16, 64)
		end, endErr := strconv.ParseUint(to, 16, 64)
		if startErr == nil && endErr == nil && start < end {
			code = append(code, mapping{uintptr(start), uintptr(end - start)})
		}
	}
	return code
}
