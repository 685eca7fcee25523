package ata

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sgHeader is struct sg_io_hdr of linux uapi scsi/sg.h, on 64-bit machines.
type sgHeader struct {
	interfaceID    int32
	direction      int32
	cmdLength      uint8
	senseMax       uint8
	iovecs         uint16
	transferLength uint32
	data           unsafe.Pointer
	cmd            unsafe.Pointer
	sense          unsafe.Pointer
	timeout        uint32 // milliseconds
	flags          uint32
	packID         int32
	_              int32
	userData       uintptr
	status         uint8
	maskedStatus   uint8
	messageStatus  uint8
	senseWritten   uint8
	hostStatus     uint16
	driverStatus   uint16
	residual       int32
	duration       uint32
	info           uint32
}

// Of scsi/sg.h and scsi/scsi_status.h.
const (
	sgIO           = 0x2285
	sgNone         = -1
	sgToDevice     = -2
	sgFromDevice   = -3
	checkCondStat  = 0x02
	driverSenseBit = 0x08
)

// Do sends the command to the disk that fd is open on, waits for it, and returns the
// registers, when the disk gave any, and the data it sent.
func Do(fd uintptr, command Command, timeout time.Duration) (Registers, []byte, error) {
	cdb := command.CDB()
	sense := make([]byte, 64)
	data := command.Out
	if command.In > 0 {
		data = make([]byte, command.In)
	}
	var pinned runtime.Pinner
	defer pinned.Unpin()
	header := &sgHeader{
		interfaceID: 'S', direction: sgNone,
		cmd: unsafe.Pointer(&cdb), cmdLength: uint8(len(cdb)),
		sense: unsafe.Pointer(&sense[0]), senseMax: uint8(len(sense)),
		timeout: uint32(min(timeout.Milliseconds(), 1<<32-1)),
	}
	pinned.Pin(&cdb)
	pinned.Pin(&sense[0])
	if len(data) > 0 {
		pinned.Pin(&data[0])
		header.data, header.transferLength = unsafe.Pointer(&data[0]), uint32(len(data))
		header.direction = sgToDevice
		if command.In > 0 {
			header.direction = sgFromDevice
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, sgIO, uintptr(unsafe.Pointer(header))); errno != 0 {
		return Registers{}, nil, fmt.Errorf("send ATA command %#02x: %w", command.Code, errno)
	}
	registers, ok := ParseSense(sense[:min(int(header.senseWritten), len(sense))])
	return registers, data, outcome(command, header, registers, ok)
}

// outcome judges what came back. With Status set, a success comes as a check condition
// with the registers.
func outcome(command Command, header *sgHeader, registers Registers, ok bool) error {
	switch {
	case header.hostStatus != 0:
		return fmt.Errorf("send ATA command %#02x: the controller gave up (host status %#x)", command.Code, header.hostStatus)
	case ok && registers.Failed():
		return fmt.Errorf("send ATA command %#02x: the disk refused (status %#02x, error %#02x)", command.Code, registers.Status, registers.Error)
	case ok:
		return nil
	case header.status == checkCondStat, header.driverStatus&driverSenseBit != 0, header.status != 0:
		return fmt.Errorf("send ATA command %#02x: the controller does not pass ATA commands on (SCSI status %#02x)", command.Code, header.status)
	case command.Status:
		return fmt.Errorf("send ATA command %#02x: no answer about its outcome", command.Code)
	default:
		return nil
	}
}
