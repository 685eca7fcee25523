package inventory

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/siderolabs/go-smbios/smbios"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// ReadSMBIOS reads the tables of the running machine.
func ReadSMBIOS() (*smbios.SMBIOS, error) {
	return guarded(smbios.New)
}

// guarded turns a panic into an error: the decoder indexes into structures without
// looking at their length, and a system information of SMBIOS 2.0 is shorter than it
// believes.
func guarded(read func() (*smbios.SMBIOS, error)) (tables *smbios.SMBIOS, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			tables, err = nil, fmt.Errorf("read SMBIOS: the tables are damaged: %v", cause)
		}
	}()
	if tables, err = read(); err != nil {
		return nil, fmt.Errorf("read SMBIOS: %w", err)
	}
	return tables, nil
}

// System describes the system. Its version is left out, as Sidero does. The UUID is
// what iPXE and Talos read: the first three fields are little-endian since SMBIOS 2.6
// (DSP0134 section 7.2.1), which the decoder takes care of.
func System(tables *smbios.SMBIOS) *api.SystemInformation {
	system := tables.SystemInformation
	return &api.SystemInformation{
		Uuid:         strings.ToLower(system.UUID),
		Manufacturer: system.Manufacturer,
		ProductName:  system.ProductName,
		SerialNumber: system.SerialNumber,
		SkuNumber:    system.SKUNumber,
		Family:       system.Family,
	}
}

// Types and offsets of what the decoder leaves out or reads too narrowly (DSP0134
// sections 7.5 and 7.18). Offsets are the specification's, from the start of the
// structure, whose header of four bytes the decoder has cut off.
const (
	typeProcessor      = 4
	coreCount2Offset   = 0x2a
	threadCount2Offset = 0x2e

	typeMemoryDevice   = 17
	extendedSizeOffset = 0x1c

	headerLength = 4
)

// seeCount2 in a count of 8 bits means: look at the one of 16 bits.
const seeCount2 = 0xff

// Compute describes the populated sockets.
func Compute(tables *smbios.SMBIOS) *api.ComputeInformation {
	info := &api.ComputeInformation{}
	raw := structures(tables, typeProcessor)
	for i, processor := range tables.ProcessorInformation {
		if !processor.Status.SocketPopulated() {
			continue
		}
		described := &api.Processor{
			Manufacturer: processor.ProcessorManufacturer,
			ProductName:  processor.ProcessorVersion,
			SerialNumber: processor.SerialNumber,
			Speed:        uint32(processor.CurrentSpeed),
			CoreCount:    count(processor.CoreCount, raw[i].number(coreCount2Offset, 2)),
			ThreadCount:  count(processor.ThreadCount, raw[i].number(threadCount2Offset, 2)),
		}
		info.Processors = append(info.Processors, described)
		info.TotalCoreCount += described.GetCoreCount()
		info.TotalThreadCount += described.GetThreadCount()
	}
	info.ProcessorCount = uint32(len(info.Processors))
	return info
}

func count(narrow uint8, wide uint32) uint32 {
	if narrow == seeCount2 && wide > 0 {
		return wide
	}
	return uint32(narrow)
}

// Sizes of a memory device with a meaning of their own (DSP0134 section 7.18).
const (
	sizeNone     = 0
	sizeUnknown  = 0xffff
	sizeExtended = 0x7fff
	sizeKilobyte = 0x8000 // flag: the rest counts kilobytes
)

// Memory describes the modules whose size the firmware knows, in megabytes.
func Memory(tables *smbios.SMBIOS) *api.MemoryInformation {
	info := &api.MemoryInformation{}
	raw := structures(tables, typeMemoryDevice)
	for i, device := range tables.MemoryDevices {
		if device.Size == sizeNone || device.Size == sizeUnknown {
			continue
		}
		// The decoder reads 16 of the extended size's 32 bits, so that 64 GB are none.
		size := megabytes(uint16(device.Size), raw[i].number(extendedSizeOffset, 4))
		info.Modules = append(info.Modules, &api.MemoryModule{
			Manufacturer: device.Manufacturer,
			ProductName:  device.PartNumber,
			SerialNumber: device.SerialNumber,
			Type:         memoryType(int(device.MemoryType)),
			Size:         size,
			Speed:        uint32(device.Speed),
		})
		info.TotalSize += size
	}
	info.ModuleCount = uint32(len(info.Modules))
	return info
}

func megabytes(size uint16, extended uint32) uint32 {
	switch {
	case size == sizeExtended:
		return extended
	case size&sizeKilobyte != 0:
		return uint32(size&^sizeKilobyte) / 1024
	default:
		return uint32(size)
	}
}

// structure is the formatted area of a structure, without its header.
type structure []byte

// structures returns those of a type, in the order in which the decoder lists what it
// made of them.
func structures(tables *smbios.SMBIOS, kind uint8) []structure {
	var list []structure
	for _, found := range tables.Structures {
		if found.Header.Type == kind {
			list = append(list, found.Formatted)
		}
	}
	return list
}

// number reads a little-endian field, 0 where the structure is too old to have it.
func (s structure) number(offset, size int) uint32 {
	offset -= headerLength
	if len(s) < offset+size {
		return 0
	}
	field := make([]byte, 4)
	copy(field, s[offset:offset+size])
	return binary.LittleEndian.Uint32(field)
}
