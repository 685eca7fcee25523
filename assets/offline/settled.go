package offline

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// settles is after how long without a change a file counts as complete, where nobody can be asked.
const settles = 30 * time.Second

// settled tells whether nobody is writing to a file any more. The kernel knows: a read lease (fcntl(2)) is refused while
// the file is open for writing. It gives leases to a file's owner and to root, and not on every file system.
func settled(file *os.File, info fs.FileInfo) bool {
	raw, err := file.SyscallConn()
	if err != nil {
		return false
	}
	var leased error
	err = raw.Control(func(fd uintptr) {
		if _, leased = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK); leased == nil {
			_, leased = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
		}
	})
	switch {
	case err != nil, errors.Is(leased, unix.EAGAIN):
		return false
	case leased == nil:
		return true
	default:
		return time.Since(changed(info)) >= settles
	}
}

// changed is when a file was last written to or moved. It is not the time that cp -p and rsync set.
func changed(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Ctim.Unix())
	}
	return info.ModTime()
}
