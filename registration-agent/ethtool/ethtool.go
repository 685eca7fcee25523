// Package ethtool asks network drivers about their links, by the ioctl that the program of
// that name has used for decades (linux/ethtool.h).
package ethtool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Link is what a driver says of an adapter's link, in megabits per second.
type Link struct {
	// Speed of the link that there is; 0 without one, and if the driver does not know.
	Speed int
	// MaximumSpeed is that of the fastest mode that the adapter supports with what is plugged
	// into it; 0 if the driver does not tell, as those of virtual adapters.
	MaximumSpeed int
}

// ErrNotTold is what a driver without such answers gives.
var ErrNotTold = errors.New("the driver does not tell")

// Ask asks the driver of an interface.
func Ask(name string) (Link, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return Link{}, fmt.Errorf("ask driver of %s: open socket: %w", name, err)
	}
	defer unix.Close(fd)
	link, err := ask(func(message []byte) error { return ioctl(fd, name, message) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = ErrNotTold
	}
	if err != nil {
		return Link{}, fmt.Errorf("ask driver of %s: %w", name, err)
	}
	return link, nil
}

// Layout of struct ethtool_link_settings: the masks of the modes follow it, each of
// as many words of 32 bits as the kernel has modes for. The first is of those supported.
const (
	speedOffset = 4
	wordsOffset = 15
	header      = 48
	masks       = 3

	// speedUnknown is SPEED_UNKNOWN.
	speedUnknown = 1<<32 - 1
)

// ask goes through the handshake of ETHTOOL_GLINKSETTINGS: the kernel refuses masks of
// another length than its own, and answers with the one it has, negated.
func ask(call func([]byte) error) (Link, error) {
	message := request(0)
	if err := call(message); err != nil {
		return Link{}, err
	}
	words := -int(int8(message[wordsOffset]))
	if words <= 0 {
		return Link{}, fmt.Errorf("the kernel has %d words of modes", words)
	}
	message = request(words)
	if err := call(message); err != nil {
		return Link{}, err
	}
	if got := int(int8(message[wordsOffset])); got != words {
		return Link{}, fmt.Errorf("the kernel has %d words of modes, and then %d", words, got)
	}
	return parse(message, words), nil
}

func request(words int) []byte {
	message := make([]byte, header+masks*4*words)
	binary.NativeEndian.PutUint32(message, unix.ETHTOOL_GLINKSETTINGS)
	message[wordsOffset] = byte(words)
	return message
}

func parse(message []byte, words int) Link {
	var link Link
	if speed := binary.NativeEndian.Uint32(message[speedOffset:]); speed != speedUnknown {
		link.Speed = int(speed)
	}
	supported := make([]uint32, words)
	for n := range supported {
		supported[n] = binary.NativeEndian.Uint32(message[header+4*n:])
	}
	link.MaximumSpeed = fastest(supported)
	return link
}

// ifreq is struct ifreq with a pointer to data (netdevice(7)).
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

func ioctl(fd int, name string, message []byte) error {
	var asked ifreq
	if len(name) >= len(asked.name) {
		return fmt.Errorf("the name of an interface has at most %d bytes", len(asked.name)-1)
	}
	copy(asked.name[:], name)
	asked.data = unsafe.Pointer(&message[0])
	_, _, failed := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&asked)))
	if failed != 0 {
		return failed
	}
	return nil
}
