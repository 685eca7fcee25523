package lab

import (
	"slices"
	"strings"
	"testing"
)

func TestQEMUArguments(t *testing.T) {
	for name, test := range map[string]struct {
		machine Machine
		want    []string // each a run of arguments
		without []string // pieces that no argument holds
	}{
		"every machine": {
			Machine{},
			[]string{
				"-nodefaults", "-accel tcg", "-cpu max -device virtio-rng-pci", "-m 1024 -smp 1",
				"-uuid " + uuidOf("m").String(), "-serial chardev:console",
				"-netdev tap,id=lan,fd=4",
			},
			[]string{"kvm", "-no-reboot"},
		},
		"no randomness": {
			Machine{NoRandomness: true}, []string{"-cpu qemu64"}, []string{"virtio-rng", "-cpu max"},
		},
		"BIOS boots by the NIC's ROM": {
			Machine{Firmware: BIOS},
			[]string{"-device virtio-net-pci,netdev=lan,mac=" + macOf("m").String() + ",bootindex=0"},
			[]string{"romfile", "pflash", "fw_cfg"},
		},
		"UEFI boots by OVMF's own driver over TFTP": {
			Machine{Firmware: UEFI},
			[]string{
				"-drive if=pflash,format=raw,unit=0,readonly=on,file=" + ovmfCode,
				"-drive if=pflash,format=raw,unit=1,file=/lab/m/firmware-variables.fd",
				",bootindex=0,romfile=", "opt/org.tianocore/IPv6Support,string=n",
			},
			[]string{"IPv4PXESupport"},
		},
		"UEFI without a driver for the NIC uses its ROM": {
			Machine{Firmware: UEFI, NIC: "e1000e"}, []string{"-device e1000e,netdev=lan,"}, []string{"romfile"},
		},
		"UEFI HTTP boot": {
			Machine{Firmware: UEFIHTTP}, []string{"-fw_cfg name=opt/org.tianocore/IPv4PXESupport,string=n"}, nil,
		},
		"a disk boot leaves the NIC out": {
			Machine{Firmware: UEFI, Boot: FromDisk, Disks: []Disk{{Size: 1}}},
			[]string{"mac=" + macOf("m").String() + ",romfile=", "bootindex=1", "IPv4PXESupport,string=n"},
			[]string{"bootindex=0"},
		},
		"disks": {
			Machine{Disks: []Disk{{Size: 1, Bus: NVMe}, {Size: 1, Bus: SATA, Serial: "A,B"}, {Size: 1}, {Size: 1, Bus: SATA}}},
			[]string{
				"-drive if=none,id=disk0,format=raw,discard=unmap,file=/lab/m/0.disk -device nvme,drive=disk0,serial=m-0,bootindex=1",
				"-device ide-hd,drive=disk1,serial=A,,B,bootindex=2,bus=ide.0",
				"-device virtio-blk-pci,drive=disk2,serial=m-2,bootindex=3",
				"-device ide-hd,drive=disk3,serial=m-3,bootindex=4,bus=ide.1",
			},
			nil,
		},
		"disks behind controllers": {
			Machine{NIC: "usb-net", Boot: FromDisk, Disks: []Disk{{Size: 1, Bus: USB}, {Size: 1, Bus: MegaRAID}, {Size: 1, Bus: UAS}, {Size: 1, Bus: MegaRAID}, {Size: 1, Bus: SD}, {Size: 1, Bus: SAS}}},
			[]string{
				"-device qemu-xhci,id=usb -device megasas-gen2,id=megaraid -device usb-uas,id=uas,bus=usb.0 " +
					"-device mptsas1068,id=sas,sas_address=0x5000c50000000000 -netdev",
				"-device usb-net,netdev=lan,mac=" + macOf("m").String() + " -drive",
				"-device usb-storage,bus=usb.0,drive=disk0,serial=m-0,bootindex=1",
				"-device scsi-hd,bus=megaraid.0,drive=disk1,serial=m-1,bootindex=2",
				"-device scsi-hd,bus=uas.0,drive=disk2,serial=m-2,bootindex=3",
				"-device scsi-hd,bus=megaraid.0,drive=disk3,serial=m-3,bootindex=4",
				"-device sdhci-pci -device sd-card,drive=disk4",
				"-device scsi-hd,bus=sas.0,drive=disk5,serial=m-5,bootindex=6,wwn=0x5000c50000000006",
			},
			[]string{"romfile", "m-4"},
		},
		"SMBIOS": {
			Machine{SMBIOS: SMBIOS{Manufacturer: "Acme, Inc.", Product: "P", Version: "V", Serial: "S", SKU: "K", Family: "F", AssetTag: "T"}},
			[]string{
				"-smbios type=1,uuid=" + uuidOf("m").String() + ",manufacturer=Acme,, Inc.,product=P,version=V,serial=S,sku=K,family=F",
				"-smbios type=3,serial=S,asset=T",
			},
			nil,
		},
		"a kernel of the test's": {
			Machine{Kernel: &Kernel{Path: "/k", Initramfs: "/i", CommandLine: "console=ttyS0 quiet"}, ExitOnReboot: true, CPUs: 2, Memory: 512},
			[]string{"-kernel /k -initrd /i -append console=ttyS0 quiet", "-no-reboot", "-m 512 -smp 2"},
			nil,
		},
		"further arguments come last": {
			Machine{Extra: []string{"-device", "ipmi-bmc-sim"}}, []string{"-device ipmi-bmc-sim"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.machine.Name = "m"
			got := strings.Join(qemuArguments(test.machine.WithDefaults(), "/lab/m"), " ")
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("want %q in %s", want, got)
				}
			}
			if i := slices.IndexFunc(test.without, func(piece string) bool { return strings.Contains(got, piece) }); i >= 0 {
				t.Errorf("want no %q in %s", test.without[i], got)
			}
		})
	}
}
