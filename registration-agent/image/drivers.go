package main

// The agent comes in two initramfs, which every boot loads and the kernel unpacks one
// over the other. The first is all of this project's and what a virtual machine needs;
// it registers one by itself. The second holds what else homelabs and data centres
// have, and the firmware of its manufacturers, whose licences are no free ones.
const (
	// The name is Sidero's, which users have in their kernel arguments; the kernel goes
	// by the content.
	agentInitramfs   = "initramfs.xz"
	driversInitramfs = "drivers.zst"
)

// agentModules are those of the first initramfs; what they need comes along.
func agentModules() []string {
	return []string{
		// Virtual machines. Without virtio_rng a virtual CPU that lacks RDRAND leaves
		// the agent waiting for random numbers before its first DHCP packet.
		"virtio_pci", "virtio_rng", "virtio_net", "virtio_blk", "virtio_scsi",
		// Network.
		"e1000", "e1000e",
		// Disks.
		"ahci", "nvme", "sd_mod",
	}
}

// driverModules are those of the second initramfs; what they need comes along.
//
// No md or dm: nothing in this image assembles an array or a volume, so that what the
// agent sees are the disks themselves, with nothing in the kernel that holds on to them.
// Their superblocks are read without. No UFS: its small boot units look like disks.
// No iSCSI and no Fibre Channel: those disks are other machines' as well.
func driverModules() []string {
	return []string{
		// Network: Intel,
		"e100", "igb", "igbvf", "igc", "ixgbe", "ixgbevf", "i40e", "iavf", "ice",
		// Realtek,
		"8139cp", "8139too", "r8169",
		// Broadcom,
		"tg3", "bnx2", "bnx2x", "bnxt_en",
		// Mellanox, QLogic, Aquantia, Chelsio, Emulex, Cisco, Solarflare, AMD, Atheros,
		// Marvell, Nvidia,
		"mlx4_core", "mlx5_core", "qede", "atlantic", "cxgb4", "be2net", "enic", "sfc",
		"amd_xgbe", "alx", "atl1c", "sky2", "forcedeth", "dwmac_intel",
		// and other hypervisors'.
		"vmxnet3", "pcnet32", "tulip", "hv_netvsc", "xen_netfront",
		// Network on USB.
		"xhci_pci", "ehci_pci", "ohci_pci", "uhci_hcd",
		"r8152", "rtl8150", "ax88179_178a", "asix", "aqc111", "smsc95xx", "smsc75xx",
		"lan78xx", "cdc_ether", "r8153_ecm", "cdc_ncm", "rndis_host", "dm9601", "mcs7830", "pegasus",
		// SATA and IDE.
		"ata_piix", "ata_generic", "sata_mv", "sata_nv", "sata_promise", "sata_sil",
		"sata_sil24", "sata_svw", "sata_via", "pata_amd", "pata_atiixp", "pata_jmicron",
		"pata_marvell", "pata_via",
		// NVMe disks that a Xeon or Core hides behind its volume management device.
		"vmd",
		// RAID controllers and SAS adapters.
		"megaraid_sas", "mpi3mr", "mpt3sas", "mptsas", "mptspi", "hpsa", "smartpqi", "aacraid",
		"arcmsr", "3w_9xxx", "3w_sas", "isci", "mvsas", "pm80xx",
		// Other hypervisors' disks.
		"vmw_pvscsi", "hv_storvsc", "xen_blkfront",
		// Cards, built-in flash, USB sticks and disks.
		"sdhci_pci", "sdhci_acpi", "rtsx_pci_sdmmc", "rtsx_usb_sdmmc", "mmc_block",
		"usb_storage", "uas",
		// IPMI, and the SMBus controllers that one kind of it sits on.
		"ipmi_si", "ipmi_ssif", "i2c_i801", "i2c_piix4",
	}
}

// impliedModules says in the words of a softdep (modprobe.d(5)) what a driver asks
// modprobe for while it runs. There is no modprobe in the image.
func impliedModules() map[string]string {
	return map[string]string{
		// The card's network side, by name (mlx4/main.c).
		"mlx4_core": "post: mlx4_en",
		// Drivers of PHYs, by the PHY's number (phy_device.c). The BCM57780 family of tg3
		// does not start without its own (tg3_mdio_init); the others have a generic one to
		// fall back to that misses errata.
		"tg3":      "pre: broadcom",
		"asix":     "pre: ax88796b",
		"smsc95xx": "pre: smsc",
		"lan78xx":  "pre: microchip",
	}
}

// firmwarePackages are Debian's packages that firmware is taken from.
func firmwarePackages() []string {
	return []string{
		"firmware-bnx2", "firmware-bnx2x", "firmware-intel-misc", "firmware-misc-nonfree",
		"firmware-qlogic", "firmware-realtek",
	}
}

// spareFirmware are files that a driver names and works without, and why they are left
// out.
func spareFirmware() map[string]string {
	const flashes = "the driver would write it to the card's flash memory, which is not an inventory's to do; it works with what is there"
	return map[string]string{
		"cxgb4/t4fw.bin":         flashes,
		"cxgb4/t5fw.bin":         flashes,
		"cxgb4/t6fw.bin":         flashes,
		"isci/isci_firmware.bin": "parameters, which the controller's option ROM or UEFI gives on real machines; no distribution has the file",
	}
}

// knownLicences are those of firmware files, by Debian's name, that people of this
// project have read: each lets everybody pass the file on, unchanged and together with
// the licence's text. Another licence fails the build.
func knownLicences() []string {
	return []string{
		"BSD-3-clause-Intel",                // e100
		"binary-redist-Intel",               // ice
		"binary-redist-QLogic-3",            // qed
		"binary-redist-Realtek-permissive",  // r8169
		"binary-redist-Realtek-restrictive", // r8152: no reverse engineering
		"binary-redist-firmware",            // bnx2, bnx2x, tg3
	}
}
