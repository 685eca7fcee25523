//go:build e2e

package lab_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab/pcap"
)

func TestEachFirmwareAsksForNetworkBoot(t *testing.T) {
	architectures := map[lab.Firmware]iana.Arch{
		lab.BIOS:     iana.INTEL_X86PC,
		lab.UEFI:     iana.EFI_X86_64, // 7 as the firmware numbers it
		lab.UEFIHTTP: iana.EFI_X86_64_HTTP,
	}
	ctx, l := newLab(t)
	for _, machine := range lab.Presets() {
		t.Run(machine.Name, func(t *testing.T) {
			t.Parallel()
			machine.Capture = true
			vm := powerOn(ctx, t, l, machine)
			architecture := architectures[machine.Firmware]
			line, err := l.LANLog.Wait(ctx, fmt.Sprintf("vendor class: (PXE|HTTP)Client:Arch:%05d", architecture))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("first DHCP packet after %s: %s", vm.Elapsed().Round(time.Millisecond), line.Text)
			powerOff(t, vm)
			if asked := discovers(t, vm); !slices.ContainsFunc(asked, func(discover *dhcpv4.DHCPv4) bool {
				return discover.ClientHWAddr.String() == vm.MAC.String() && slices.Contains(discover.ClientArch(), architecture)
			}) {
				t.Errorf("no DISCOVER with option 93 = %d from %s in %s: %v", architecture, vm.MAC, vm.CapturePath(), asked)
			}
		})
	}
}

func TestBIOSMachineRunsAScriptFromTheLab(t *testing.T) {
	ctx, l := newLab(t)
	reports := serveScripts(ctx, t, l)
	startReferenceProxy(ctx, t, l)
	vm := powerOn(ctx, t, l, lab.Machine{Name: "bios", Firmware: lab.BIOS})
	line, err := vm.WaitConsole(ctx, "the script of the lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("script after %s", line.At.Round(time.Millisecond))
	select {
	case report := <-reports:
		if report.Get("uuid") != vm.UUID.String() || report.Get("serial") != vm.SMBIOS.Serial {
			t.Errorf("the machine says it is %v, want %s and %s", report, vm.UUID, vm.SMBIOS.Serial)
		}
	case <-ctx.Done():
		t.Fatal("the machine did not report")
	}
	leases, err := l.LANLeases()
	if err != nil {
		t.Fatal(err)
	}
	if len(leases) != 1 || leases[0].MAC.String() != vm.MAC.String() {
		t.Errorf("leases of the LAN: %v, want one for %s", leases, vm.MAC)
	}

	if err := vm.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	if again, err := vm.WaitConsole(ctx, "the script of the lab"); err != nil || again.At <= line.At {
		t.Errorf("after a reset: %v, %v", again, err)
	}
}

func TestMachineThatBootsFromDiskAsksNobody(t *testing.T) {
	nothingToBoot := map[lab.Firmware]string{
		lab.BIOS: "No bootable device",
		lab.UEFI: "UEFI Interactive Shell|No bootable option or device",
	}
	for firmware, pattern := range nothingToBoot {
		t.Run(string(firmware), func(t *testing.T) {
			t.Parallel()
			ctx, l := newLab(t)
			vm := powerOn(ctx, t, l, lab.Machine{
				Name: "disk-" + string(firmware), Firmware: firmware, Boot: lab.FromDisk, Capture: true,
				Disks: []lab.Disk{{Size: 1 << 20}, {Size: 1 << 20, Bus: lab.NVMe}, {Size: 1 << 20, Bus: lab.SATA}},
			})
			if _, err := vm.WaitConsole(ctx, pattern); err != nil {
				t.Fatal(err)
			}
			powerOff(t, vm)
			if asked := discovers(t, vm); len(asked) != 0 {
				t.Errorf("it asked for network boot: %v", asked)
			}
		})
	}
}

// startReferenceProxy starts dnsmasq as the boot server: it sends iPXE to the script.
func startReferenceProxy(ctx context.Context, t *testing.T, l *lab.Lab) {
	t.Helper()
	log, err := lab.NewTranscript(t.TempDir() + "/proxy.log")
	if err != nil {
		t.Fatal(err)
	}
	proxy := l.Command(context.Background(), "dnsmasq", "--conf-file=/dev/null", "--port=0", "--no-daemon",
		"--interface="+lab.Interface, "--bind-interfaces", "--log-facility=-", "--log-dhcp",
		"--dhcp-range=172.30.0.0,proxy,255.255.255.0",
		"--pxe-service=x86PC,script,http://"+lab.ApplianceAddress+"/script")
	proxy.Stderr = log
	if _, err := l.Start(proxy); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Wait(ctx, "DHCP, proxy"); err != nil {
		t.Fatal(err)
	}
}

// serveScripts serves the script from this process and returns what machines report.
func serveScripts(ctx context.Context, t *testing.T, l *lab.Lab) <-chan url.Values {
	t.Helper()
	listener, err := l.Listen(ctx, "tcp", lab.ApplianceAddress+":80")
	if err != nil {
		t.Fatal(err)
	}
	reports := make(chan url.Values, 16)
	mux := http.NewServeMux()
	mux.HandleFunc("/script", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "#!ipxe\necho the script of the lab\nchain http://"+lab.ApplianceAddress+"/report?uuid=${uuid}&serial=${serial}\n")
	})
	mux.HandleFunc("/report", func(w http.ResponseWriter, r *http.Request) {
		reports <- r.URL.Query()
		fmt.Fprint(w, "#!ipxe\nprompt --key x waiting\n")
	})
	server := &http.Server{Handler: mux}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return reports
}

func powerOn(ctx context.Context, t *testing.T, l *lab.Lab, machine lab.Machine) *lab.VM {
	t.Helper()
	vm, err := l.PowerOn(ctx, machine)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func powerOff(t *testing.T, vm *lab.VM) {
	t.Helper()
	if err := vm.PowerOff(); err != nil {
		t.Fatal(err)
	}
}

// discovers are the DHCP DISCOVERs in the machine's capture.
func discovers(t *testing.T, vm *lab.VM) []*dhcpv4.DHCPv4 {
	t.Helper()
	datagrams, err := pcap.ReadFile(vm.CapturePath())
	if err != nil {
		t.Fatal(err)
	}
	var found []*dhcpv4.DHCPv4
	for _, datagram := range datagrams {
		message, err := dhcpv4.FromBytes(datagram.Payload)
		if datagram.Destination.Port() == 67 && err == nil && message.MessageType() == dhcpv4.MessageTypeDiscover {
			found = append(found, message)
		}
	}
	return found
}
