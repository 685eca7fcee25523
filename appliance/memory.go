package appliance

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
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

	// A fresh database has this size, in bytes, and each byte more of one stands for
	// that many of memory.
	freshDatabase   = 32 << 20
	memoryPerStored = 8
)

// farUp is an address that a program has only if it was linked to run at any.
const farUp = 1 << 32

// quietAfter is how long after the start the controllers have looked at all there
// is, and what they needed only for that can go as well.
const quietAfter = 15 * time.Second

// hurry favours speed over memory, for the start on a database of that many bytes.
func hurry(database int64) {
	runtime.MemProfileRate = 0 // profiles of memory take memory, and are not served
	debug.SetGCPercent(garbageAtStart)
	debug.SetMemoryLimit(memoryAtStart + memoryPerStored*max(0, database-freshDatabase))
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

// giveBack returns memory that is not in use, and that of the program's own code and
// constants, which come from its file again if they are needed: the start needs much
// of them that nothing else does.
func giveBack() {
	debug.FreeOSMemory()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return // memory stays as the kernel has it
	}
	program, err := os.Executable()
	if err != nil {
		return
	}
	for _, m := range unwritten(string(maps), program) {
		// By the addresses alone: Go's pointers have no business there.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.length, unix.MADV_DONTNEED)
	}
}

// mapping is a piece of the address space, in bytes.
type mapping struct{ start, length uintptr }

// unwritten lists where a program's code and constants are mapped, by the text of
// /proc/PID/maps (proc_pid_maps(5)). They never go away, so that nothing else can be
// at these addresses, and nothing is lost with them: what is needed again comes from
// the file, most likely from the page cache. A program that is linked to run at any
// address, which is far up, writes to some of its constants before it starts: then
// there are none.
func unwritten(maps, program string) []mapping {
	var found []mapping
	for line := range strings.Lines(maps) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "r-xp" && fields[1] != "r--p" || strings.Join(fields[5:], " ") != program {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, startErr := strconv.ParseUint(from, 16, 64)
		end, endErr := strconv.ParseUint(to, 16, 64)
		if startErr == nil && endErr == nil && start < end && start < farUp {
			found = append(found, mapping{uintptr(start), uintptr(end - start)})
		}
	}
	return found
}
