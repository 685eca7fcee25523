package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab/pcap"
)

// Capture is a recording of an interface's packets, in a file that tcpdump and
// package pcap read.
//
// It is not made by tcpdump, which may lose the packets of its last second when
// it is stopped: after Stop every packet is in the file that passed before.
type Capture struct {
	// Path is the file.
	Path string
	// Stop ends the recording. It may be called again.
	Stop func() error
}

// CaptureLAN records what passes the LAN's switch into the file <name>.pcap of
// the lab's Dir, from now on.
func (l *Lab) CaptureLAN(name string) (*Capture, error) {
	capture, err := l.capture(Interface, filepath.Join(l.dir, name+".pcap"))
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.captures = append(l.captures, capture)
	return capture, nil
}

// capture records the packets of an interface of the node.
func (n *Node) capture(device, path string) (*Capture, error) {
	var socket *os.File
	err := n.Inside(func() (err error) {
		socket, err = listenToFrames(device)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("capture packets of %s: %w", device, err)
	}
	r, err := newRecorder(socket, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("capture packets of %s: %w", device, err), socket.Close())
	}
	go r.run()
	return &Capture{Path: path, Stop: sync.OnceValue(r.stop)}, nil
}

// listenToFrames opens a packet(7) socket for all frames in and out of device.
func listenToFrames(device string) (*os.File, error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	// Deaf until it is bound, or it would hear the other interfaces too.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	const buffer = 16 << 20                          // bytes; a boot image comes faster than a busy test reads
	const everyProtocolSwapped = unix.ETH_P_ALL << 8 // in network byte order
	err = errors.Join(
		os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer)),
		os.NewSyscallError("setsockopt", unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(link.Index), Type: unix.PACKET_MR_PROMISC})),
		os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everyProtocolSwapped, Ifindex: link.Index})),
	)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "frames of "+device), nil
}

// recorder copies frames from a socket to a file.
type recorder struct {
	socket *os.File
	raw    syscall.RawConn
	file   *os.File
	frame  []byte
	ended  chan struct{}
	err    error // valid once ended is closed
}

func newRecorder(socket *os.File, path string) (*recorder, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pcap.WriteHeader(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &recorder{socket: socket, raw: raw, file: file, frame: make([]byte, pcap.MaxFrame), ended: make(chan struct{})}, nil
}

// run records until stop sets the read deadline, then what is still queued.
func (r *recorder) run() {
	defer close(r.ended)
	for {
		err := r.raw.Read(func(fd uintptr) bool { return !r.drain(fd) })
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil || r.err != nil {
			r.err = errors.Join(r.err, err)
			return
		}
	}
	r.err = errors.Join(r.err, r.raw.Control(func(fd uintptr) { r.drain(fd) }))
}

// drain records what the socket holds and says whether there may be more later.
func (r *recorder) drain(fd uintptr) bool {
	for r.err == nil {
		n, err := unix.Read(int(fd), r.frame)
		switch {
		case err == nil:
			r.err = pcap.WriteFrame(r.file, time.Now(), r.frame[:n])
		case errors.Is(err, unix.EAGAIN):
			return true
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN):
			// A machine that loses power takes its cable down; frames may still be queued.
		default:
			r.err = os.NewSyscallError("read", err)
		}
	}
	return false
}

func (r *recorder) stop() error {
	err := r.socket.SetReadDeadline(time.Unix(1, 0))
	<-r.ended
	if err := errors.Join(err, r.err, r.socket.Close(), r.file.Close()); err != nil {
		return fmt.Errorf("record packets: %w", err)
	}
	return nil
}
