// Package assets is the read-only catalogue of what machines boot from.
//
// Three layers, the upper one wins: files that an operator dropped into a directory, the boot script, and the images
// embedded in the binary (iPXE, the registration agent's kernel and initramfs). Names are those that Sidero Metal
// serves over TFTP and HTTP, so that DHCP servers configured for it keep working.
//
// No protocol lives here: netboot/tftp and netboot/httpboot serve what the catalogue names. The kernels of Environments are
// not in it: assets/store keeps them.
package assets
