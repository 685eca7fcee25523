//go:build e2e

package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab/pcap"
)

// checkFirmware proves from the wire and from the log that the machine took its firmware's way.
func (b *booting) checkFirmware(t *testing.T) {
	t.Helper()

	w := readWire(t, b.vm.CapturePath())
	b.checkPlainLeftAlone(t, w)

	switch {
	case b.machine.Name == oldIPXE:
		b.checkOldIPXE(t, w)
	case b.machine.Firmware == lab.BIOS:
		b.checkBIOS(t, w)
	case b.machine.Firmware == lab.UEFI:
		b.checkUEFI(t, w)
	case b.machine.Firmware == lab.UEFIHTTP:
		b.checkUEFIHTTP(t, w)
	}

	for _, file := range []string{"vmlinuz", "initramfs.xz", "drivers.zst"} {
		if !w.sent("GET /env/agent-amd64/"+file+" HTTP/1.1\r\n") || !b.served(t, "/env/agent-amd64/"+file) {
			t.Errorf("%s was not loaded over HTTP", file)
		}
	}
}

// checkPlainLeftAlone sees that the agent's own DHCP, a plain one, was answered by the LAN only, and that there was none
// for network boot after the machine registered.
func (b *booting) checkPlainLeftAlone(t *testing.T, w wire) {
	t.Helper()

	plain := 0

	for _, asked := range w.asked(dhcpPort, b.machine.MAC) {
		if !asked.plain() {
			if asked.Time.After(b.registered) {
				t.Errorf("the machine booted again after it had registered: %s", asked.Summary())
			}

			continue
		}

		plain++

		for _, answer := range w.answered(dhcpPort) {
			if answer.TransactionID == asked.TransactionID {
				t.Errorf("plain DHCP was answered: %s", answer.Summary())
			}
		}
	}

	if plain == 0 {
		t.Error("the agent sent no DHCP of its own")
	}
}

// checkDiscover finds the firmware's DISCOVER and the appliance's offer for it.
func (b *booting) checkDiscover(t *testing.T, w wire, arch iana.Arch, class string) (offer message) {
	t.Helper()

	for _, asked := range w.asked(dhcpPort, b.machine.MAC) {
		if !asked.wantsBoot(arch) || !strings.HasPrefix(asked.ClassIdentifier(), class) {
			continue
		}

		for _, answer := range w.answered(dhcpPort) {
			if answer.TransactionID == asked.TransactionID && answer.ClassIdentifier() == class {
				return answer
			}
		}
	}

	t.Fatalf("no DISCOVER with option 93 = %d from %s with an offer from the appliance in %s", arch, class, b.vm.CapturePath())

	return message{}
}

func (b *booting) checkBIOS(t *testing.T, w wire) {
	t.Helper()

	const script = "http://" + installation.Endpoint + "/boot.ipxe"

	// QEMU's network cards for BIOS have iPXE in their ROM, which is sent to the script at once.
	if offer := b.checkDiscover(t, w, iana.INTEL_X86PC, "PXEClient"); offer.BootFileNameOption() != script {
		t.Errorf("BIOS was offered %q", offer.BootFileNameOption())
	}

	if !w.sent("GET /boot.ipxe HTTP/1.") || !b.served(t, "/boot.ipxe") {
		t.Error("the script was not fetched")
	}

	if !logged(b.Installation, "answered network boot", "mac", b.machine.MAC.String(), "arch", "0", "file", script) {
		t.Error("the log does not tell of the answer")
	}
}

func (b *booting) checkUEFI(t *testing.T, w wire) {
	t.Helper()

	offer := b.checkDiscover(t, w, iana.EFI_X86_64, "PXEClient")
	if offer.Options.Get(dhcpv4.OptionVendorSpecificInformation) != nil {
		t.Errorf("UEFI was sent option 43: %s", offer.Summary())
	}

	asked, answers := w.asked(bootServerPort, b.machine.MAC), w.answered(bootServerPort)
	if len(asked) == 0 || !asked[0].wantsBoot(iana.EFI_X86_64) || len(answers) == 0 || answers[0].TransactionID != asked[0].TransactionID {
		t.Errorf("on port 4011 %d requests and %d answers", len(asked), len(answers))
	}

	if !logged(b.Installation, "answered network boot", "mac", b.machine.MAC.String(), "arch", "7", "reason", "acked") {
		t.Error("the log does not tell of the answer on port 4011")
	}

	const program = "snp.efi"

	// EDK2 asks for the size first, which it aborts, and then for the file.
	reads := w.reads(program)
	if len(reads) != 2 {
		t.Errorf("%s was asked for %d times, want twice", program, len(reads))
	}

	aborts := w.tftp(tftpError)
	if len(reads) == 0 || !slices.ContainsFunc(aborts, func(d pcap.Datagram) bool { return d.Source == reads[0].Source && d.Payload[3] == tftpAborted }) {
		t.Errorf("the first request for %s was not aborted by the firmware: %v", program, aborts)
	}

	if grants := w.tftp(tftpOACK); len(grants) == 0 || blockSize(grants[0]) < 1024 {
		t.Errorf("block size: %v", grants)
	}

	if !b.sentOverTFTP(t, program) {
		t.Errorf("the log does not tell of %s", program)
	}
}

func (b *booting) checkUEFIHTTP(t *testing.T, w wire) {
	t.Helper()

	const path = "/tftp/snp.efi"

	offer := b.checkDiscover(t, w, iana.EFI_X86_64_HTTP, "HTTPClient")
	if offer.BootFileNameOption() != "http://"+installation.Endpoint+path {
		t.Errorf("HTTP boot was offered %q", offer.BootFileNameOption())
	}

	if !w.sent("GET "+path+" HTTP/1.1\r\n") || !w.sent("User-Agent: UefiHttpBoot/") || !b.served(t, path) {
		t.Error("the firmware did not fetch the boot program over HTTP")
	}

	if reads := w.tftp(tftpRead); len(reads) != 0 {
		t.Errorf("a machine with HTTP boot used TFTP: %q", reads[0].Payload)
	}
}

// checkOldIPXE sees that the card's iPXE loaded the appliance's, and that one the script.
func (b *booting) checkOldIPXE(t *testing.T, w wire) {
	t.Helper()

	const program, script = "snp.efi", "http://" + installation.Endpoint + "/boot.ipxe"

	if offer := b.checkDiscover(t, w, iana.EFI_X86_64, "PXEClient"); offer.BootFileNameOption() != program {
		t.Errorf("the old iPXE was offered %q", offer.BootFileNameOption())
	}

	if reads := w.reads(program); len(reads) != 1 || !b.sentOverTFTP(t, program) {
		t.Errorf("%s was asked for %d times, want once", program, len(reads))
	}

	if !logged(b.Installation, "answered network boot", "mac", b.machine.MAC.String(), "reason", "offered-script", "file", script) {
		t.Error("the new iPXE was not sent to the script")
	}

	if !b.served(t, "/boot.ipxe") || !w.sent("User-Agent: iPXE/1.21.1") {
		t.Error("the new iPXE did not fetch the script")
	}
}

// served tells whether the machine has fetched the path, by the appliance's log.
func (b *booting) served(t *testing.T, path string) bool {
	t.Helper()

	return b.told(t, "http request served", "method", "GET", "path", path, "status", "200")
}

// sentOverTFTP tells whether the machine has loaded the file, by the appliance's log.
func (b *booting) sentOverTFTP(t *testing.T, file string) bool {
	t.Helper()

	return b.told(t, "sent file over tftp", "file", file, "reason", "completed")
}

// told tells whether the appliance has logged such an entry of one of the machine's addresses.
func (b *booting) told(t *testing.T, message string, fields ...string) bool {
	t.Helper()

	leased := b.leased(t)

	return slices.ContainsFunc(b.Entries(), func(e installation.Entry) bool {
		address, _, _ := strings.Cut(e.Fields["remote"], ":")

		return e.Is(message, fields...) && slices.Contains(leased, address)
	})
}
