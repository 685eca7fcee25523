// Package timeline keeps what machines were seen doing on their way from the firmware to their work, in the status of their
// Servers: the last boots, step by step.
//
// The servers that machines boot from tell what they see, and know nothing of Servers. Add puts what was seen into boots; the
// Recorder finds out whose it is, and writes it.
package timeline

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// The steps of a boot.
const (
	DHCP   = "dhcp"              // the firmware was told what to load
	TFTP   = "tftp"              // and loaded it by TFTP,
	HTTP   = "http"              // or by HTTP
	IPXE   = "ipxe"              // iPXE runs: it asks for its script, or what to boot
	Kernel = "kernel"            // a kernel was loaded
	Agent  = "agent"             // the registration agent runs, and has registered
	Wipe   = "wipe"              // it wipes the disks, or could not
	Clean  = "clean"             // they are wiped
	Load   = v1alpha2.StepConfig // Talos runs, and has fetched its configuration
	Talos  = "talos"             // what Talos tells of itself
)

// Steps are all of them.
func Steps() []string {
	return []string{DHCP, TFTP, HTTP, IPXE, Kernel, Agent, Wipe, Clean, Load, Talos}
}

const (
	// boots and steps are how many are kept.
	boots = 3
	steps = 24
	// maxDetail is how long a detail may be, in bytes.
	maxDetail = 256

	// longest is how long it takes from the firmware to the agent. What is seen of a firmware later is another try.
	longest = 10 * time.Minute
	// soon is less than a machine needs to start again and load a file. An iPXE in a card's ROM that is too old loads another one.
	soon = 10 * time.Second
)

// stage orders steps by the program that is running.
func stage(step string) int {
	return slices.IndexFunc([][]string{{DHCP}, {TFTP, HTTP}, {IPXE}, {Kernel}, {Agent}, {Wipe}, {Clean}, {Load}, {Talos}}, func(s []string) bool {
		return slices.Contains(s, step)
	})
}

// Sighting is one thing that a machine was seen doing, with as much of who it is as was told.
type Sighting struct {
	// Server is the name of the machine's Server, where that is certain.
	Server string
	// UUID that the firmware tells.
	UUID string
	// MACs of the machine's network adapters: the one that it starts from, or all.
	MACs []string
	// Address of the machine in the network.
	Address string

	Time time.Time
	// Step and Detail are those of v1alpha2.BootStep.
	Step, Detail string

	// again is how often the same was seen until it is written.
	again int64
}

// Add puts sightings into a server's boots, the latest of which is the first. What it is given stays as it is.
func Add(known []v1alpha2.Boot, seen ...Sighting) []v1alpha2.Boot {
	all := slices.Clone(known)
	for i := range all {
		all[i] = *all[i].DeepCopy()
	}

	for _, s := range seen {
		if len(all) == 0 || begins(&all[0], s) {
			all = slices.Insert(all, 0, v1alpha2.Boot{StartedAt: metav1.Time{Time: s.Time}})
		}

		take(&all[0], s)
	}

	return all[:min(len(all), boots)]
}

// begins tells whether a machine that is seen doing this was started anew. An agent goes on for days, registers again, and
// wipes again: it never does.
func begins(boot *v1alpha2.Boot, s Sighting) bool {
	reached, late := -1, false
	for _, step := range boot.Steps {
		reached = max(reached, stage(step.Step))
		late = late || step.Time.After(s.Time)
	}

	switch now := stage(s.Step); {
	case now >= stage(Agent), late:
		return false
	case s.Time.Sub(boot.StartedAt.Time) > longest:
		return true
	case now == stage(TFTP) && reached == stage(IPXE) && s.Time.Sub(boot.Steps[len(boot.Steps)-1].Time.Time) < soon:
		return false
	case now < stage(IPXE):
		return reached >= stage(IPXE)
	default: // iPXE asks again when it could not load something
		return reached >= stage(Agent)
	}
}

// take adds a step, or counts it.
func take(boot *v1alpha2.Boot, s Sighting) {
	if len(s.Detail) > maxDetail {
		s.Detail = strings.ToValidUTF8(s.Detail[:maxDetail], "")
	}

	for i := range boot.Steps {
		if same := &boot.Steps[i]; same.Step == s.Step && same.Detail == s.Detail && (same.Address == s.Address || s.Address == "") {
			same.Repeated += 1 + s.again

			return
		}
	}

	if len(boot.Steps) >= steps {
		return
	}

	at := slices.IndexFunc(boot.Steps, func(other v1alpha2.BootStep) bool { return other.Time.After(s.Time) })
	if at < 0 {
		at = len(boot.Steps)
	}

	boot.Steps = slices.Insert(boot.Steps, at, v1alpha2.BootStep{
		Step: s.Step, Detail: s.Detail, Time: metav1.Time{Time: s.Time}, Address: s.Address, Repeated: s.again,
	})
}
