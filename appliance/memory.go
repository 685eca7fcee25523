package appliance

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
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
	garbageAtStart = 150
	garbageAtRest  = 50
	memoryAtStart  = 185 << 20

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

// looksEvery is how often memory is looked at, givesEvery how often it is given back at
// most. It is quiet when less than quietAllocation is allocated between looks, and less
// than littleMemory is not worth the work, in bytes, of files alone less than littleFile.
// Who has muchMemory lets less garbage gather; of whom so much is alive that memory is not
// what matters any more, as of hundreds of clusters, lets more gather, as a share of what
// could still be had: collecting it takes two fifths of all processor time otherwise.
const (
	looksEvery      = 30 * time.Second
	givesEvery      = 2 * time.Minute
	quietAllocation = 256 << 20
	littleMemory    = 96 << 20
	littleFile      = 24 << 20
	muchMemory      = 384 << 20
	garbageOfMuch   = 40
	vastAlive       = 384 << 20
	garbageOfVast   = 150
	roomShare       = 16
)

// threadsPerProcessor is how many threads run Go code at the same time on one
// processor. With more than one the kernel lends the processor to what has just begun
// to have work, such as a step of a write. Go alone lets that wait until what runs has
// run for ten milliseconds, such as a large list.
const threadsPerProcessor = 2

// hurry favours speed over memory, for the start on a database of that many bytes.
func hurry(database int64) {
	runtime.MemProfileRate = 0 // profiles of memory take memory, and are not served
	debug.SetGCPercent(garbageAtStart)
	debug.SetMemoryLimit(memoryAtStart + memoryPerStored*max(0, database-freshDatabase))
}

// settle returns what the start left behind: now, and once more when all is quiet, from
// when on memory is favoured over speed; and then what each burst of work leaves, until
// ctx ends.
func settle(ctx context.Context) {
	debug.SetMemoryLimit(math.MaxInt64)
	giveBack()
	select {
	case <-ctx.Done():
	case <-time.After(quietAfter):
		// Not before: until then there is as much garbage as at the start.
		debug.SetGCPercent(garbageAtRest)
		giveBack()
		// Not before: each thread that has nothing to do takes part in a collection that
		// is forced, and more of them than processors are in each other's way.
		runtime.GOMAXPROCS(threadsPerProcessor * runtime.GOMAXPROCS(0))
		tidy(ctx)
	}
}

// tidy gives back what bursts of work leave behind. Go keeps memory for the next burst of
// the same size: a hall full of machines that register is one, and never comes again.
func tidy(ctx context.Context) {
	look := time.NewTicker(looksEvery)
	defer look.Stop()
	var before, least usage
	var gave, gaveFiles time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		now := used()
		if least.file == 0 || now.file < least.file {
			least.file = now.file
		}
		switch {
		case time.Since(gave) >= givesEvery && now.burden(before, least):
			giveBack()
			now, gave = used(), time.Now()
		case now.filesIdle(before, least):
			if time.Since(gaveFiles) < 2*looksEvery { // that much is needed now
				least.file = now.file
				break
			}
			giveBackFiles()
			gaveFiles = time.Now()
		}
		debug.SetGCPercent(now.garbage())
		before = now
	}
}

// usage of memory, in bytes.
type usage struct {
	// allocated is all that ever was.
	allocated uint64
	// free is what Go keeps though nothing is in it, file what of files is in memory,
	// and all what the process has.
	free, file, all uint64
	// alive is what the last collection kept, and room what could still be had.
	alive, room uint64
}

// burden tells whether memory is worth giving back: it is quiet since the look before, and
// much is kept for nothing. least is what is there of files when only what is needed is.
func (u usage) burden(before, least usage) bool {
	idle := u.free + u.file - min(u.file, least.file)

	return u.quiet(before) && idle > max(littleMemory, u.all/8)
}

// filesIdle tells whether what is in memory of files is worth giving back by itself.
func (u usage) filesIdle(before, least usage) bool {
	return u.quiet(before) && u.file > least.file+littleFile
}

// quiet tells whether little has happened since the look before.
func (u usage) quiet(before usage) bool { return u.allocated-before.allocated < quietAllocation }

// garbage is how much may gather, in per cent of what is alive: of much, less; of very
// much again more, as far as there is room.
func (u usage) garbage() int {
	switch {
	case u.all <= muchMemory:
		return garbageAtRest
	case u.alive <= vastAlive:
		return garbageOfMuch
	default:
		return int(min(max(u.room/roomShare*100/u.alive, garbageOfMuch), garbageOfVast))
	}
}

func used() usage {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	u := usage{
		allocated: samples[0].Value.Uint64(), free: samples[1].Value.Uint64(), alive: samples[2].Value.Uint64(), room: available("/"),
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return u // memory stays as the kernel has it
	}
	u.file, u.all = resident(string(status))
	return u
}

// resident is what of files, and of all, a process has in memory, in bytes, by the text of
// /proc/PID/status (proc_pid_status(5)).
func resident(status string) (file, all uint64) {
	return kibibytes(status, "RssFile"), kibibytes(status, "VmRSS")
}

// kibibytes is the value, in bytes, of a line "NAME: VALUE kB", as in /proc/meminfo.
func kibibytes(text, name string) uint64 {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 54)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}

// giveBack returns memory that is not in use, and that of files.
func giveBack() {
	debug.FreeOSMemory()
	giveBackFiles()
}

// giveBackFiles returns the memory of files, which comes from them again if it is needed:
// the start needs much of the program's code and constants that nothing else does, and
// etcd reads its whole database, also when the API server's caches are compared with it.
func giveBackFiles() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return // memory stays as the kernel has it
	}
	program, err := os.Executable()
	if err != nil {
		return
	}
	// By the addresses alone: Go's pointers have no business there.
	for _, m := range unwritten(string(maps), program) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.length, unix.MADV_DONTNEED)
	}
	for _, m := range databases(string(maps)) {
		// Something else may be there by now. This advice loses nothing of it.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.length, unix.MADV_PAGEOUT)
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
	return mapped(maps, func(start uint64, access, file string) bool {
		return (access == "r-xp" || access == "r--p") && file == program && start < farUp
	})
}

// databases lists where etcd's are mapped, of which the file is all that is ever
// written to.
func databases(maps string) []mapping {
	return mapped(maps, func(_ uint64, access, file string) bool {
		return access == "r--s" && strings.HasSuffix(file, "/snap/db")
	})
}

func mapped(maps string, wanted func(start uint64, access, file string) bool) []mapping {
	var found []mapping
	for line := range strings.Lines(maps) {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, startErr := strconv.ParseUint(from, 16, 64)
		end, endErr := strconv.ParseUint(to, 16, 64)
		if startErr == nil && endErr == nil && start < end && wanted(start, fields[1], strings.Join(fields[5:], " ")) {
			found = append(found, mapping{uintptr(start), uintptr(end - start)})
		}
	}
	return found
}
