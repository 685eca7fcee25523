package lab

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tap is the cable of a machine. It exists as long as somebody has the file
// open, so it goes away with the QEMU that got it.
type tap struct {
	name string
	file *os.File
}

// plugIn makes a tap in the lab's namespace, up and on the bridge.
func (l *Lab) plugIn(ctx context.Context) (*tap, error) {
	var cable *tap
	err := l.Inside(func() (err error) {
		cable, err = newTap()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create tap: %w", err)
	}
	if err := l.ip(ctx, asPort(cable.name)); err != nil {
		_ = cable.file.Close()
		return nil, err
	}
	return cable, nil
}

// asPort makes an interface a port of the switch. It gets no address of its own,
// or its IPv6 chatter would be on the machine's cable.
func asPort(name string) string {
	return "link set " + name + " addrgenmode none\nlink set " + name + " master br0 up"
}

func newTap() (*tap, error) {
	const device = "/dev/net/tun"
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: device, Err: err}
	}
	request, err := unix.NewIfreq("vm%d") // the kernel fills in a free number
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	file := os.NewFile(uintptr(fd), device)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, file.Close())
	}
	return &tap{name: request.Name(), file: file}, nil
}
