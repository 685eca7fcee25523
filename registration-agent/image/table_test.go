//go:build images

package main

import (
	"fmt"
	"strings"
)

// device is a product and how the kernel spells it in sysfs.
type device struct {
	driver, modalias, product string
}

// Classes of PCI devices, subclasses and programming interfaces (PCI Code and ID
// Assignment Specification, section 1).
const (
	ethernet = "020000"
	scsi     = "010000"
	ide      = "01018a"
	raid     = "010400"
	ahci     = "010601"
	sas      = "010700"
	nvme     = "010802"
	sdHost   = "080501"
	smbus    = "0c0500"
	uhci     = "0c0300"
	ohci     = "0c0310"
	ehci     = "0c0320"
	xhci     = "0c0330"
	kcs      = "0c0701"
	network  = "028000"
	reader   = "ff0000"
)

// Classes, subclasses and protocols of USB interfaces (www.usb.org/defined-class-codes).
const (
	vendorSpecific = "ffff00"
	ecm            = "020600" // Communications, Ethernet
	ncm            = "020d00"
	rndis          = "e00103"
	bulkOnly       = "080650"
	attachedSCSI   = "080662"
)

// pci is the modalias of a PCI device by vendor:device[/vendor:device of the subsystem]
// (file2alias.c, do_pci_entry).
func pci(id, class string) string {
	device, subsystem, _ := strings.Cut(strings.ToUpper(id), "/")
	vendor, product, _ := strings.Cut(device, ":")
	if subsystem == "" {
		subsystem = "1AF4:1100"
	}
	subVendor, subProduct, _ := strings.Cut(subsystem, ":")
	class = strings.ToUpper(class)
	return fmt.Sprintf("pci:v0000%sd0000%ssv0000%ssd0000%sbc%ssc%si%s", vendor, product, subVendor, subProduct, class[:2], class[2:4], class[4:])
}

// usb is the modalias of a USB interface (file2alias.c, do_usb_entry).
func usb(id, class string) string {
	vendor, product, _ := strings.Cut(strings.ToUpper(id), ":")
	class = strings.ToUpper(class)
	return fmt.Sprintf("usb:v%sp%sd0100dc00dsc00dp00ic%sisc%sip%sin00", vendor, product, class[:2], class[2:4], class[4:])
}

// devices are products that homelabs and data centres have. The ids are those of the
// PCI and USB ID Repositories (pci.ids and usb.ids of Debian 12) under the names given
// here; another source is named.
func devices() []device {
	var all []device
	for _, part := range [][]device{virtual(), networkCards(), usbNetwork(), diskControllers(), cards(), ipmi()} {
		all = append(all, part...)
	}
	return all
}

func virtual() []device {
	return []device{
		{"virtio_pci", pci("1af4:1041", ethernet), "Virtio 1.0 network device"},
		{"virtio_net", "virtio:d00000001v00001AF4", "its network device, 1 by virtio 1.2 section 5"},
		{"virtio_blk", "virtio:d00000002v00001AF4", "block device, 2"},
		{"virtio_rng", "virtio:d00000004v00001AF4", "entropy source, 4"},
		{"virtio_scsi", "virtio:d00000008v00001AF4", "SCSI host, 8"},
		{"vmxnet3", pci("15ad:07b0", ethernet), "VMware VMXNET3"},
		{"vmw_pvscsi", pci("15ad:07c0", scsi), "VMware PVSCSI"},
		{"pcnet32", pci("1022:2000", ethernet), "AMD PCnet32, VMware's and VirtualBox's oldest"},
		{"tulip", pci("1011:0009", ethernet), "DECchip 21140, Hyper-V's legacy card"},
		{"hv_vmbus", "acpi:VMBUS:", "Hyper-V's bus (linux drivers/hv/vmbus_drv.c)"},
		{"hv_netvsc", "vmbus:635161f83edfc546913ff2d2f965ed0e", "HV_NIC_GUID (linux include/linux/hyperv.h)"},
		{"hv_storvsc", "vmbus:d96361baa104294db60572e2ffb1dc7f", "HV_SCSI_GUID (same)"},
		{"xen_netfront", "xen:vif", "Xen's network (linux drivers/net/xen-netfront.c)"},
		{"xen_blkfront", "xen:vbd", "Xen's disk (linux drivers/block/xen-blkfront.c)"},
	}
}

func networkCards() []device {
	return []device{
		{"e1000", pci("8086:100e", ethernet), "Intel 82540EM"},
		{"e1000e", pci("8086:10d3", ethernet), "Intel 82574L"},
		{"e1000e", pci("8086:15bb", ethernet), "Intel I219-LM of many desktops"},
		{"e100", pci("8086:1229", ethernet), "Intel Pro 100"},
		{"igb", pci("8086:1533", ethernet), "Intel I210"},
		{"igb", pci("8086:1521", ethernet), "Intel I350"},
		{"igbvf", pci("8086:1520", ethernet), "Intel I350, virtual function"},
		{"igc", pci("8086:15f3", ethernet), "Intel I225-V"},
		{"igc", pci("8086:125c", ethernet), "Intel I226-V"},
		{"ixgbe", pci("8086:10fb", ethernet), "Intel 82599ES, X520"},
		{"ixgbe", pci("8086:1563", ethernet), "Intel X550"},
		{"ixgbevf", pci("8086:10ed", ethernet), "Intel 82599, virtual function"},
		{"i40e", pci("8086:1572", ethernet), "Intel X710 for 10GbE SFP+"},
		{"i40e", pci("8086:158b", ethernet), "Intel XXV710"},
		{"iavf", pci("8086:154c", ethernet), "Intel 700 series, virtual function"},
		{"ice", pci("8086:159b", ethernet), "Intel E810-XXV for SFP"},
		{"8139too", pci("10ec:8139", ethernet), "Realtek RTL8139"},
		{"8139cp", pci("10ec:8139", ethernet), "Realtek RTL8139C+, which has the same id"},
		{"r8169", pci("10ec:8168", ethernet), "Realtek RTL8111/8168"},
		{"r8169", pci("10ec:8125", ethernet), "Realtek RTL8125 2.5GbE"},
		{"tg3", pci("14e4:165f", ethernet), "Broadcom BCM5720"},
		{"tg3", pci("14e4:1692", ethernet), "Broadcom BCM57780"},
		{"bnx2", pci("14e4:1639", ethernet), "Broadcom BCM5709"},
		{"bnx2x", pci("14e4:168e", ethernet), "Broadcom BCM57810"},
		{"bnxt_en", pci("14e4:16d7", ethernet), "Broadcom BCM57414"},
		{"bnxt_en", pci("14e4:1750", ethernet), "Broadcom BCM57508"},
		{"mlx4_core", pci("15b3:1003", network), "Mellanox ConnectX-3"},
		{"mlx5_core", pci("15b3:1015", ethernet), "Mellanox ConnectX-4 Lx"},
		{"mlx5_core", pci("15b3:101d", ethernet), "Mellanox ConnectX-6 Dx"},
		{"qede", pci("1077:8070", ethernet), "QLogic FastLinQ QL41000"},
		{"atlantic", pci("1d6a:07b1", ethernet), "Aquantia AQC107"},
		{"atlantic", pci("1d6a:94c0", ethernet), "Aquantia AQC113CS"},
		{"cxgb4", pci("1425:5410", ethernet), "Chelsio T580-LP-CR"},
		{"be2net", pci("10df:0720", ethernet), "Emulex OneConnect (Skyhawk)"},
		{"enic", pci("1137:0043", ethernet), "Cisco VIC Ethernet NIC"},
		{"sfc", pci("1924:0a03", ethernet), "Solarflare SFC9220"},
		{"amd_xgbe", pci("1022:1458", ethernet), "AMD 10GbE of EPYC 3000 (linux drivers/net/ethernet/amd/xgbe/xgbe-pci.c)"},
		{"alx", pci("1969:e0b1", ethernet), "Killer E2500"},
		{"atl1c", pci("1969:1083", ethernet), "Atheros AR8151 v2.0"},
		{"sky2", pci("11ab:4364", ethernet), "Marvell 88E8056"},
		{"forcedeth", pci("10de:0373", ethernet), "Nvidia MCP55"},
		{"dwmac_intel", pci("8086:4b32", ethernet), "Intel Elkhart Lake, 2.5 Gb/s (linux drivers/net/ethernet/stmicro/stmmac/dwmac-intel.c)"},
	}
}

func usbNetwork() []device {
	return []device{
		{"xhci_pci", pci("8086:a36d", xhci), "Intel Cannon Lake PCH"},
		{"xhci_pci", pci("1b21:1242", xhci), "ASMedia ASM1142"},
		{"ehci_pci", pci("8086:8c26", ehci), "Intel 8 Series"},
		{"ohci_pci", pci("1002:4397", ohci), "AMD SB7x0"},
		{"uhci_hcd", pci("8086:7112", uhci), "Intel 82371AB/EB/MB PIIX4"},
		{"r8152", usb("0bda:8153", vendorSpecific), "Realtek RTL8153"},
		{"r8152", usb("0bda:8156", vendorSpecific), "Realtek RTL8156 2.5GbE (linux drivers/net/usb/r8152.c)"},
		{"rtl8150", usb("0bda:8150", vendorSpecific), "Realtek RTL8150"},
		{"ax88179_178a", usb("0b95:1790", vendorSpecific), "ASIX AX88179"},
		{"asix", usb("0b95:772b", vendorSpecific), "ASIX AX88772B"},
		{"aqc111", usb("2eca:c101", vendorSpecific), "Aquantia AQtion USB to 5GbE (linux drivers/net/usb/aqc111.c)"},
		{"smsc95xx", usb("0424:ec00", vendorSpecific), "SMSC9512/9514, the Raspberry Pi's"},
		{"smsc75xx", usb("0424:7500", vendorSpecific), "SMSC LAN7500"},
		{"lan78xx", usb("0424:7800", vendorSpecific), "Microchip LAN7800 (linux drivers/net/usb/lan78xx.h)"},
		{"cdc_ether", usb("0525:a4a2", ecm), "Linux-USB Ethernet Gadget, QEMU's usb-net"},
		{"r8153_ecm", usb("17ef:721e", ecm), "Realtek RTL8153 in Lenovo's adapters (linux drivers/net/usb/r8153_ecm.c)"},
		{"cdc_ncm", usb("0b95:1790", ncm), "ASIX AX88179A in its NCM configuration"},
		{"rndis_host", usb("04e8:6863", rndis), "Samsung Galaxy, tethering"},
		{"dm9601", usb("0a46:9601", vendorSpecific), "Davicom DM9601"},
		{"mcs7830", usb("9710:7830", vendorSpecific), "MosChip MCS7830"},
		{"pegasus", usb("07a6:8515", vendorSpecific), "ADMtek ADM8515 Pegasus II"},
	}
}

func diskControllers() []device {
	return []device{
		{"ahci", pci("8086:2922", ahci), "Intel ICH9R in AHCI mode"},
		{"ahci", pci("8086:2822", raid), "Intel SATA controller in RAID mode"},
		{"nvme", pci("144d:a808", nvme), "Samsung SM981"},
		{"sd_mod", "scsi:t-0x00", "any disk, peripheral type 0 (SPC-4 table 49)"},
		{"vmd", pci("8086:201d", raid), "Intel Volume Management Device of a Xeon"},
		{"vmd", pci("8086:467f", raid), "the same of a 12th generation Core"},
		{"ata_piix", pci("8086:7010", ide), "Intel PIIX3"},
		{"ata_piix", pci("8086:3a20", ide), "Intel ICH10, SATA in IDE mode"},
		{"ata_generic", pci("1106:0571", ide), "VIA IDE, by its class"},
		{"sata_mv", pci("11ab:7042", ide), "Marvell 88SX7042"},
		{"sata_nv", pci("10de:037f", ide), "Nvidia MCP55"},
		{"sata_promise", pci("105a:3d18", raid), "Promise SATAII 150 TX4"},
		{"sata_sil", pci("1095:3114", raid), "Silicon Image 3114"},
		{"sata_sil24", pci("1095:3132", raid), "Silicon Image 3132"},
		{"sata_svw", pci("1166:024b", ide), "Broadcom HT1000"},
		{"sata_via", pci("1106:3149", raid), "VIA VT6420"},
		{"pata_amd", pci("1022:7469", ide), "AMD-8111"},
		{"pata_atiixp", pci("1002:439c", ide), "AMD SB7x0"},
		{"pata_jmicron", pci("197b:2368", ide), "JMicron JMB368"},
		{"pata_marvell", pci("11ab:6121", ide), "Marvell 88SE6121"},
		{"pata_via", pci("1106:0571", ide), "VIA VT82C586"},
		{"megaraid_sas", pci("1000:005d", raid), "LSI MegaRAID SAS-3 3108, Dell's PERC H730"},
		{"megaraid_sas", pci("1000:0079", raid), "LSI MegaRAID SAS 2108"},
		{"megaraid_sas", pci("1000:10e1", raid), "Broadcom MegaRAID SAS39xx"},
		{"mpi3mr", pci("1000:00a5", sas), "Broadcom SAS4116, Dell's PERC H965i"},
		{"mpt3sas", pci("1000:0072", sas), "LSI SAS2008, known as 9211-8i"},
		{"mpt3sas", pci("1000:0097", sas), "LSI SAS3008"},
		{"mpt3sas", pci("1000:00ac", sas), "Broadcom SAS3416"},
		{"mptsas", pci("1000:0058", sas), "LSI SAS1068E"},
		{"mptspi", pci("1000:0030", scsi), "LSI 53c1030, VMware's LSI Logic"},
		{"hpsa", pci("103c:323b/103c:3354", raid), "HP Smart Array P420i"},
		{"hpsa", pci("103c:323a/103c:3245", raid), "HP Smart Array P410i"},
		{"smartpqi", pci("9005:028f/103c:0654", sas), "HPE Smart Array E208i-a SR Gen10"},
		{"aacraid", pci("9005:028d", raid), "Adaptec Series 8"},
		{"arcmsr", pci("17d3:1880", raid), "Areca ARC-188x"},
		{"3w_9xxx", pci("13c1:1005", raid), "3ware 9690SA"},
		{"3w_sas", pci("13c1:1010", raid), "3ware 9750"},
		{"isci", pci("8086:1d6b", sas), "Intel C602 storage control unit"},
		{"mvsas", pci("1b4b:9485", sas), "Marvell 88SE9485"},
		{"pm80xx", pci("117c:8072/117c:0082", sas), "ATTO ExpressSAS H1288"},
	}
}

func cards() []device {
	return []device{
		{"sdhci_pci", pci("8086:5acc", sdHost), "Intel Celeron N3350, eMMC"},
		{"sdhci_pci", pci("1b36:0007", sdHost), "QEMU's sdhci-pci"},
		{"sdhci_acpi", "acpi:80860F14:INT33BB:", "Intel Atom Z3700, eMMC (linux drivers/mmc/host/sdhci-acpi.c)"},
		{"rtsx_pci", pci("10ec:525a", reader), "Realtek RTS525A"},
		{"rtsx_pci_sdmmc", "platform:rtsx_pci_sdmmc", "its SD half (linux include/linux/rtsx_common.h)"},
		{"rtsx_usb", usb("0bda:0129", vendorSpecific), "Realtek RTS5129"},
		{"rtsx_usb_sdmmc", "platform:rtsx_usb_sdmmc", "its SD half (linux drivers/misc/cardreader/rtsx_usb.c)"},
		{"mmc_block", "mmc:block", "any card (linux drivers/mmc/core/bus.c)"},
		{"usb_storage", usb("0781:5583", bulkOnly), "SanDisk Ultra Fit"},
		{"uas", usb("152d:0578", attachedSCSI), "JMicron JMS578"},
	}
}

func ipmi() []device {
	return []device{
		{"ipmi_si", "platform:dmi-ipmi-si", "a BMC by SMBIOS type 38 (linux drivers/char/ipmi/ipmi_dmi.c)"},
		{"ipmi_si", "acpi:IPI0001:", "a BMC by ACPI (IPMI 2.0 section C3-2)"},
		{"ipmi_si", pci("103c:3302", kcs), "HP Integrated Lights-Out Standard KCS Interface"},
		{"ipmi_ssif", "platform:dmi-ipmi-ssif", "a BMC on the SMBus by SMBIOS type 38"},
		{"i2c_i801", pci("8086:a323", smbus), "Intel Cannon Lake PCH SMBus Controller"},
		{"i2c_piix4", pci("1022:790b", smbus), "AMD FCH SMBus Controller"},
	}
}
