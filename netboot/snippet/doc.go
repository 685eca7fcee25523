// Package snippet writes what a person pastes into the DHCP server of a network so that machines boot from the appliance,
// which then answers no DHCP itself (run --dhcp=off). Only text is made here: no file, no socket, and nothing of
// Kubernetes.
//
// The texts say what netboot/dhcp answers where it may: legacy BIOS (option 93, RFC 4578 section 2.1) is sent to
// undionly.kpxe and UEFI on x86-64 to snp.efi, both by TFTP; UEFI HTTP boot (UEFI 2.10 section 24.7) to snp.efi by a URL, with
// its vendor class said back; and an iPXE, known by option 175 or by its user class (option 77), to the boot script.
// Other machines are told nothing.
//
// What is left out is decided by the appliance over TFTP and HTTP, for whoever named the file: an old iPXE under UEFI, and
// an iPXE that is given its own name again.
//
// Each text is in the language of its server: dnsmasq(8), dhcpd.conf(5), Kea's administrator reference manual
// ("Client Classification"), MikroTik's "DHCP" page ("Generic matcher"; the default address pool of a matcher gives out no
// address) and OpenWrt's /etc/config/dhcp.
package snippet

//go:generate go test . -run TestDocument -update
