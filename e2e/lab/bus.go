package lab

import (
	"fmt"
	"slices"
	"strings"
)

// Bus is how a disk is connected.
type Bus string

// The buses there are.
const (
	Virtio     Bus = "virtio"
	VirtioSCSI Bus = "virtio-scsi"
	NVMe       Bus = "nvme"
	SATA       Bus = "sata"
	MegaRAID   Bus = "megaraid" // a RAID controller, LSI MegaRAID SAS 2108
	SAS        Bus = "sas"      // an adapter, LSI SAS 1068
	PVSCSI     Bus = "pvscsi"   // VMware's
	USB        Bus = "usb"      // a stick
	UAS        Bus = "uas"      // a disk in a case
	SD         Bus = "sd"       // a card; its size has to be a power of two
)

const sataPorts = 6 // of the AHCI controller on QEMU's q35 board

// attachment is how QEMU is told of a disk on a bus.
type attachment struct {
	// controllers are devices that all disks of the bus share.
	controllers []string
	// perDisk is a further device that comes before each disk.
	perDisk string
	device  string
	// named disks and their controllers have a SAS address, without which Linux sees none.
	named bool
	// bare disks have no serial number of their own, and nothing boots from them.
	bare bool
}

// usb is the controller for whatever is on USB.
const usb = "qemu-xhci,id=usb"

func attachments() map[Bus]attachment {
	return map[Bus]attachment{
		Virtio:     {device: "virtio-blk-pci"},
		VirtioSCSI: {controllers: []string{"virtio-scsi-pci,id=scsi"}, device: "scsi-hd,bus=scsi.0"},
		NVMe:       {device: "nvme"},
		SATA:       {device: "ide-hd"},
		MegaRAID:   {controllers: []string{"megasas-gen2,id=megaraid"}, device: "scsi-hd,bus=megaraid.0"},
		SAS:        {controllers: []string{"mptsas1068,id=sas,sas_address=0x5000c50000000000"}, device: "scsi-hd,bus=sas.0", named: true},
		PVSCSI:     {controllers: []string{"pvscsi,id=pvscsi"}, device: "scsi-hd,bus=pvscsi.0"},
		USB:        {controllers: []string{usb}, device: "usb-storage,bus=usb.0"},
		UAS:        {controllers: []string{usb, "usb-uas,id=uas,bus=usb.0"}, device: "scsi-hd,bus=uas.0"},
		SD:         {perDisk: "sdhci-pci", device: "sd-card", bare: true},
	}
}

// controllerArguments are the controllers that the machine's disks and NIC need, each
// once.
func controllerArguments(m Machine) []string {
	var devices []string
	if onUSB(m.NIC) {
		devices = append(devices, usb)
	}
	for _, disk := range m.Disks {
		devices = append(devices, attachments()[disk.Bus].controllers...)
	}
	var args []string
	for i, device := range devices {
		if !slices.Contains(devices[:i], device) {
			args = append(args, "-device", device)
		}
	}
	return args
}

func onUSB(nic string) bool { return strings.HasPrefix(nic, "usb-") }

func diskArguments(m Machine, folder string) []string {
	var args []string
	sata := 0
	for i, disk := range m.Disks {
		args = append(args, "-drive", fmt.Sprintf("if=none,id=disk%d,format=raw,discard=unmap,file=%s", i, value(diskFile(folder, i))))
		attachment := attachments()[disk.Bus]
		if attachment.perDisk != "" {
			args = append(args, "-device", attachment.perDisk)
		}
		device := fmt.Sprintf("%s,drive=disk%d", attachment.device, i)
		if !attachment.bare {
			device += fmt.Sprintf(",serial=%s,bootindex=%d", value(disk.Serial), i+1)
		}
		if attachment.named {
			device += fmt.Sprintf(",wwn=%#x", 0x5000c50000000001+i)
		}
		if disk.Bus == SATA {
			device += fmt.Sprintf(",bus=ide.%d", sata)
			sata++
		}
		args = append(args, "-device", device)
	}
	return args
}
