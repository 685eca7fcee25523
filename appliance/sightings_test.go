package appliance

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/netboot/dhcp"
	"github.com/sidero-appliance/sidero-appliance/netboot/httpboot"
	"github.com/sidero-appliance/sidero-appliance/netboot/tftp"
	"github.com/sidero-appliance/sidero-appliance/netboot/timeline"
	"github.com/sidero-appliance/sidero-appliance/registration"
)

// TestSightings has what firmware does in the lab, in its order.
func TestSightings(t *testing.T) {
	var got []string
	s := sightings{func(seen timeline.Sighting) {
		if seen.Time.IsZero() {
			t.Errorf("%s has no time", seen.Step)
		}
		who := []string{seen.Server, seen.UUID, strings.Join(seen.MACs, "+"), seen.Address, seen.Step, seen.Detail}
		got = append(got, strings.Join(who, " "))
	}}
	from := netip.MustParseAddrPort("[::ffff:10.0.0.5]:1024")
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}
	nobody := netip.MustParseAddrPort("0.0.0.0:68")
	cut := errors.New("connection reset")

	for _, step := range []struct {
		see  func()
		want string // empty when nothing is to be told
	}{
		{func() { s.dhcp(dhcp.Event{Reason: dhcp.NotNetworkBoot, Remote: nobody, MAC: mac}) }, ""},
		{func() {
			s.dhcp(dhcp.Event{Reason: dhcp.OfferedTFTP, Remote: nobody, MAC: mac, UUID: "u", File: "snponly.efi"})
		}, " u 52:54:00:00:00:01  dhcp told to load snponly.efi"},
		{func() { s.tftp(tftp.Event{Outcome: tftp.Aborted, Remote: from, File: "snponly.efi"}) }, ""},
		{func() { s.tftp(tftp.Event{Outcome: tftp.Completed, Remote: from, File: "x/snponly.efi"}) }, "   10.0.0.5 tftp snponly.efi"},
		{func() { s.tftp(tftp.Event{Outcome: tftp.TimedOut, Remote: from, File: "snponly.efi"}) }, "   10.0.0.5 tftp snponly.efi: timed-out"},
		{func() { s.tftp(tftp.Event{Outcome: tftp.Completed, Remote: from, File: "autoexec.ipxe"}) }, "   10.0.0.5 ipxe autoexec.ipxe"},
		{func() { s.tftp(tftp.Event{Outcome: tftp.Completed, Remote: from, File: "undionly.kpxe", Script: true}) }, "   10.0.0.5 ipxe undionly.kpxe"},
		{func() {
			s.http(httpboot.Observation{Kind: httpboot.KindBootScript, Path: "/boot.ipxe", Remote: "10.0.0.5:9", Status: http.StatusOK})
		}, "   10.0.0.5 ipxe boot.ipxe"},
		{func() { s.tftp(tftp.Event{Outcome: tftp.NotFound, Remote: from, File: "autoexec.ipxe"}) }, ""},
		{func() {
			s.dhcp(dhcp.Event{Reason: dhcp.OfferedScript, Remote: from, MAC: mac, IPXE: true, File: "http://a/boot.ipxe"})
		}, "  52:54:00:00:00:01 10.0.0.5 ipxe told to load boot.ipxe"},
		{func() {
			s.http(httpboot.Observation{
				Kind: httpboot.KindPlan, Path: "/ipxe?uuid=u", Remote: "10.0.0.5:9", UUID: "u", MAC: mac.String(), Status: http.StatusOK, Plan: "the agent",
			})
		}, " u 52:54:00:00:00:01 10.0.0.5 ipxe the agent"},
		{func() {
			s.http(httpboot.Observation{Kind: httpboot.KindEnvironment, Path: "/env/agent-amd64/vmlinuz", Remote: "10.0.0.5:9", Status: http.StatusOK})
		}, "   10.0.0.5 kernel agent-amd64/vmlinuz"},
		{func() {
			s.http(httpboot.Observation{Kind: httpboot.KindEnvironment, Path: "/env/x/initramfs.xz", Remote: "10.0.0.5:9", Status: http.StatusOK, Err: cut})
		}, "   10.0.0.5 kernel x/initramfs.xz: connection reset"},
		{func() {
			s.http(httpboot.Observation{Kind: httpboot.KindBootFile, Path: "/tftp/snp.efi", Remote: "10.0.0.5:9", Status: http.StatusOK})
		}, "   10.0.0.5 http snp.efi"},
		{func() {
			s.http(httpboot.Observation{Kind: httpboot.KindBootFile, Path: "/tftp/x", Remote: "10.0.0.5:9", Status: http.StatusNotFound, Err: cut})
		}, ""},
		{func() { s.http(httpboot.Observation{Kind: httpboot.KindUnknown, Path: "/", Remote: "10.0.0.5:9"}) }, ""},
		{func() {
			s.registration(registration.Step{Server: "box", MACs: []string{"a", "b"}, Address: "10.0.0.5", Name: "agent"})
		}, "box  a+b 10.0.0.5 agent "},
	} {
		got = nil
		step.see()
		if told := strings.Join(got, "; "); told != step.want {
			t.Errorf("told %q, want %q", told, step.want)
		}
	}
}
