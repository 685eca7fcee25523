package appliance

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// How much garbage may gather before it is collected, in per cent of what is
// alive. The start makes much garbage in short time, so it collects less; an
// idle appliance makes little, so collecting early costs next to nothing and
// keeps its memory small. What the start may take in all is bounded, in bytes,
// because what stays alive lies scattered over all the memory that was in use
// once, and Go does not move it together. docs/architecture.md has the figures.
const (
	garbageAtStart = 400
	garbageAtRest  = 50
	memoryAtStart  = 200 << 20
)

// quietAfter is how long after the start the controllers have looked at all there
// is, and what they needed only for that can go as well.
const quietAfter = 15 * time.Second

// hurry favours speed over memory, for the start.
func hurry() {
	runtime.MemProfileRate = 0 // profiles of memory take memory, and are not served
	debug.SetGCPercent(garbageAtStart)
	debug.SetMemoryLimit(memoryAtStart)
}

// settle favours memory over speed, and returns what the start left behind: now,
// and once more when all is quiet.
func settle(ctx context.Context) {
	debug.SetGCPercent(garbageAtRest)
	debug.SetMemoryLimit(math.MaxInt64)
	giveBack()
	select {
	case <-ctx.Done():
	case <-time.After(quietAfter):
		giveBack()
	}
}

// giveBack returns memory that is not in use, and that of files, which comes from
// there again if it is needed: the program's code and constants, of which the start
// needs much that nothing else does, and the database, which etcd reads as a whole
// when it opens it.
func giveBack() {
	debug.FreeOSMemory()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return // memory stays as the kernel has it
	}
	for _, m := range unwritten(string(maps)) {
		// By the addresses alone: Go's pointers have no business there.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.length, unix.MADV_DONTNEED)
	}
}

// mapping is a piece of the address space, in bytes.
type mapping struct{ start, length uintptr }

// unwritten lists where code, constants and files that are only read are mapped, by
// the text of /proc/PID/maps (proc_pid_maps(5)). Nothing is lost with them: what is
// needed again comes from the file, most likely from the page cache. (A program that
// the system's linker puts together writes to some constants before it starts; one
// without C is not put together by that.)
func unwritten(maps string) []mapping {
	var found []mapping
	for line := range strings.Lines(maps) {
		fields := strings.Fields(line)
		if len(fields) < 6 || !slices.Contains([]string{"r-xp", "r--p", "r--s"}, fields[1]) || !strings.HasPrefix(fields[5], "/") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, startErr := strconv.ParseUint(from, 16, 64)
		end, endErr := strconv.ParseUint(to, 16, 64)
		if startErr == nil && endErr == nil && start < end {
			found = append(found, mapping{uintptr(start), uintptr(end - start)})
		}
	}
	return found
}
