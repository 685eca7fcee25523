package servers

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// showBoots prints how one server booted, the latest boot first.
func (p *Pool) showBoots(servers []v1alpha2.Server, alone bool) error {
	if !alone || len(servers) != 1 || len(servers[0].Status.Boots) == 0 {
		return nil
	}

	fmt.Fprintln(p.Out)

	return table(p.Out, bootColumns(p.Now()), servers[0].Status.Boots)
}

func bootColumns(now time.Time) []column[v1alpha2.Boot] {
	last := func(b *v1alpha2.Boot) v1alpha2.BootStep {
		if len(b.Steps) == 0 {
			return v1alpha2.BootStep{Time: b.StartedAt}
		}

		return b.Steps[len(b.Steps)-1]
	}

	return []column[v1alpha2.Boot]{
		{"BOOTED", false, func(b *v1alpha2.Boot) string { return age(now, &b.StartedAt) + " ago" }},
		{"REACHED", false, func(b *v1alpha2.Boot) string { return last(b).Step }},
		{"WITHIN", false, func(b *v1alpha2.Boot) string { return duration.HumanDuration(last(b).Time.Sub(b.StartedAt.Time)) }},
		{"ADDRESS", false, address},
		{"WHAT WAS SEEN", false, func(b *v1alpha2.Boot) string { return told(last(b)) }},
	}
}

// address is the last that the machine had.
func address(b *v1alpha2.Boot) string {
	for _, step := range slices.Backward(b.Steps) {
		if step.Address != "" {
			return step.Address
		}
	}

	return ""
}

// told says what a step is to people who do not know its name. The steps are those of docs/servers.md.
func told(step v1alpha2.BootStep) string {
	text := map[string]string{
		"dhcp": "its firmware asked how to boot", "tftp": "it loaded a boot file", "http": "it loaded a boot file", "ipxe": "it runs iPXE",
		"kernel": "it loaded a kernel", "agent": "it runs the registration agent", "wipe": "it wipes its disks", "clean": "its disks are wiped",
	}[step.Step]

	if step.Detail != "" {
		text += ": " + step.Detail
	}

	if step.Repeated > 0 {
		text += fmt.Sprintf(" (%d times more)", step.Repeated)
	}

	return text
}
