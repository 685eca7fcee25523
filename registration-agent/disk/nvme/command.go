package nvme

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Opcodes of admin commands (Base Specification 2.0c, figure 138).
const (
	opGetLogPage = 0x02
	opIdentify   = 0x06
	opFormat     = 0x80
	opSanitize   = 0x84
)

// AllNamespaces addresses every namespace.
const AllNamespaces = 0xFFFFFFFF

// Command is an admin command.
type Command struct {
	Opcode uint8
	NSID   uint32
	CDW10  uint32
	CDW11  uint32
	// In is the number of bytes that the command returns.
	In int
}

// IdentifyController asks for the controller's data (section 5.17, CNS 01h).
func IdentifyController() Command {
	return Command{Opcode: opIdentify, CDW10: 0x01, In: IdentifyLength}
}

// IdentifyNamespace asks for a namespace's data (CNS 00h).
func IdentifyNamespace(nsid uint32) Command {
	return Command{Opcode: opIdentify, NSID: nsid, In: IdentifyLength}
}

// Format erases a namespace and leaves its format as it is (section 5.14).
func Format(nsid uint32, namespace Namespace, crypto bool) Command {
	const userData, cryptographic = 1, 2
	erase := uint32(userData)
	if crypto {
		erase = cryptographic
	}
	cdw10 := uint32(namespace.Format&0x0F) | uint32(namespace.Format>>4)<<12 |
		uint32(namespace.Protection&0x07)<<5 | erase<<9
	if namespace.Extended {
		cdw10 |= 1 << 4
	}
	if namespace.First {
		cdw10 |= 1 << 8
	}
	return Command{Opcode: opFormat, NSID: nsid, CDW10: cdw10}
}

// Sanitize starts an operation that erases all namespaces; it returns at once, and
// SanitizeLog tells how far the disk is (section 5.24).
func Sanitize(crypto bool) Command {
	const blockErase, cryptoErase = 2, 4
	if crypto {
		return Command{Opcode: opSanitize, CDW10: cryptoErase}
	}
	return Command{Opcode: opSanitize, CDW10: blockErase}
}

// sanitizeLogLength is as much of the log page as is read.
const sanitizeLogLength = 32

// SanitizeLog asks for the Sanitize Status log page (section 5.16.1.22).
func SanitizeLog() Command {
	const page, dwords = 0x81, sanitizeLogLength / 4
	return Command{Opcode: opGetLogPage, NSID: AllNamespaces, CDW10: page | (dwords-1)<<16, In: sanitizeLogLength}
}

// SanitizeState is how far a sanitize operation is.
type SanitizeState struct {
	// Running is set until the disk is done; Done is its share, of 65536.
	Running bool
	Done    uint16
	// Failed is set when the last operation did.
	Failed bool
}

// ParseSanitizeLog reads the Sanitize Status log page.
func ParseSanitizeLog(data []byte) (SanitizeState, error) {
	const inProgress, failed = 2, 3
	if len(data) < sanitizeLogLength {
		return SanitizeState{}, fmt.Errorf("read NVMe sanitize log: %d bytes of %d", len(data), sanitizeLogLength)
	}
	status := binary.LittleEndian.Uint16(data[2:]) & 0x07
	return SanitizeState{
		Running: status == inProgress,
		Failed:  status == failed,
		Done:    binary.LittleEndian.Uint16(data),
	}, nil
}

// passthru is struct nvme_passthru_cmd of linux uapi nvme_ioctl.h.
type passthru struct {
	opcode      uint8
	flags       uint8
	_           uint16
	nsid        uint32
	cdw2, cdw3  uint32
	metadata    uint64
	addr        uint64
	metadataLen uint32
	dataLen     uint32
	cdw10       uint32
	cdw11       uint32
	cdw12       uint32
	cdw13       uint32
	cdw14       uint32
	cdw15       uint32
	timeout     uint32 // milliseconds
	result      uint32
}

const (
	// ioctlAdmin is NVME_IOCTL_ADMIN_CMD, _IOWR('N', 0x41, struct nvme_passthru_cmd).
	ioctlAdmin = 0xC0484E41
	// ioctlID is NVME_IOCTL_ID, _IO('N', 0x40); it returns the namespace's number.
	ioctlID = 0x4E40
)

// Do sends the command to the disk that fd is open on, waits for it, and returns the
// data it sent.
func Do(fd uintptr, command Command, timeout time.Duration) ([]byte, error) {
	var pinned runtime.Pinner
	defer pinned.Unpin()
	data := make([]byte, command.In)
	request := command.request(timeout)
	if len(data) > 0 {
		pinned.Pin(&data[0])
		request.addr, request.dataLen = uint64(uintptr(unsafe.Pointer(&data[0]))), uint32(len(data))
	}
	status, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, ioctlAdmin, uintptr(unsafe.Pointer(request)))
	if errno != 0 {
		return nil, fmt.Errorf("send NVMe command %#02x: %w", command.Opcode, errno)
	}
	// A positive result is the status of the completion (Base Specification 2.0c,
	// section 3.3.3.2.1).
	if status != 0 {
		return nil, fmt.Errorf("send NVMe command %#02x: the disk refused (status %#x)", command.Opcode, status)
	}
	return data, nil
}

func (c Command) request(timeout time.Duration) *passthru {
	return &passthru{
		opcode: c.Opcode, nsid: c.NSID, cdw10: c.CDW10, cdw11: c.CDW11,
		timeout: uint32(min(timeout.Milliseconds(), 1<<32-1)),
	}
}

// NSID returns the number of the namespace that fd is open on.
func NSID(fd uintptr) (uint32, error) {
	nsid, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, ioctlID, 0)
	if errno != 0 {
		return 0, fmt.Errorf("ask for the NVMe namespace: %w", errno)
	}
	return uint32(nsid), nil
}
