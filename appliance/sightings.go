package appliance

import (
	"net/http"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/sidero-appliance/sidero-appliance/metadata"
	"github.com/sidero-appliance/sidero-appliance/netboot/dhcp"
	"github.com/sidero-appliance/sidero-appliance/netboot/httpboot"
	"github.com/sidero-appliance/sidero-appliance/netboot/tftp"
	"github.com/sidero-appliance/sidero-appliance/netboot/timeline"
	"github.com/sidero-appliance/sidero-appliance/registration"
)

// sightings tell the timeline what the servers that machines boot from see.
type sightings struct{ saw func(timeline.Sighting) }

func (s sightings) dhcp(e dhcp.Event) {
	if !e.Answered() {
		return
	}
	seen := timeline.Sighting{UUID: e.UUID, Time: time.Now(), Step: timeline.DHCP, Detail: "told to load " + path.Base(e.File)}
	if e.IPXE {
		seen.Step = timeline.IPXE
	}
	if len(e.MAC) > 0 {
		seen.MACs = []string{e.MAC.String()}
	}
	seen.Address = host(e.Remote)
	s.saw(seen)
}

// tftp leaves out what is normal: UEFI aborts each file once, and iPXE looks for files that need not be there.
func (s sightings) tftp(e tftp.Event) {
	seen := timeline.Sighting{Time: time.Now(), Step: timeline.TFTP, Detail: path.Base(e.File), Address: host(e.Remote)}
	if e.Script || isScript(e.File) {
		seen.Step = timeline.IPXE
	}
	switch e.Outcome {
	case tftp.Completed:
	case tftp.TimedOut, tftp.Failed, tftp.Overloaded, tftp.Stopped:
		seen.Detail += ": " + string(e.Outcome)
	default:
		return
	}
	s.saw(seen)
}

func (s sightings) http(o httpboot.Observation) {
	file, _, _ := strings.Cut(o.Path, "?")
	seen := timeline.Sighting{UUID: o.UUID, Time: time.Now(), Detail: path.Base(file)}
	if remote, err := netip.ParseAddrPort(o.Remote); err == nil {
		seen.Address = host(remote)
	}
	if o.MAC != "" {
		seen.MACs = []string{o.MAC}
	}
	switch o.Kind {
	case httpboot.KindPlan:
		seen.Step, seen.Detail = timeline.IPXE, o.Plan
	case httpboot.KindEnvironment:
		seen.Step, seen.Detail = timeline.Kernel, strings.TrimPrefix(file, "/env/")
	case httpboot.KindBootScript:
		seen.Step = timeline.IPXE
	case httpboot.KindBootFile:
		seen.Step = timeline.HTTP
		if isScript(file) {
			seen.Step = timeline.IPXE
		}
	default:
		return
	}
	if o.Err != nil {
		if o.Status == http.StatusNotFound { // firmware and iPXE look for files that need not be there
			return
		}
		seen.Detail = strings.TrimPrefix(seen.Detail+": "+o.Err.Error(), ": ")
	}
	s.saw(seen)
}

func (s sightings) registration(step registration.Step) {
	s.saw(timeline.Sighting{
		Server: step.Server, MACs: step.MACs, Address: step.Address, Time: time.Now(), Step: step.Name, Detail: step.Detail,
	})
}

func (s sightings) configuration(f metadata.Fetch) {
	seen := timeline.Sighting{Server: f.Binding.Name, Address: f.Address, Time: time.Now(), Step: timeline.Load}
	if f.MAC != "" {
		seen.MACs = []string{f.MAC}
	}
	s.saw(seen)
}

// isScript tells what only iPXE loads.
func isScript(file string) bool { return path.Ext(file) == ".ipxe" }

// host is an address without its port, empty for that of a machine that has none yet.
func host(remote netip.AddrPort) string {
	if from := remote.Addr().Unmap(); from.IsValid() && !from.IsUnspecified() {
		return from.String()
	}
	return ""
}
