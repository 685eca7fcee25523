//go:build e2e

package e2e_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

// writtenWithin is how long what a machine did takes to be in its Server.
const writtenWithin = 20 * time.Second

// checkSteps holds the Server's timeline to what every machine does on its first way to the agent.
func (b *booting) checkSteps(ctx context.Context, t *testing.T) {
	t.Helper()

	ctx, cancel := context.WithTimeout(ctx, writtenWithin)
	defer cancel()

	var boots []v1alpha2.Boot

	for !taken(boots, "agent") {
		if boots = server(ctx, t, b.client, b.machine.UUID.String()).Status.Boots; ctx.Err() != nil {
			t.Fatalf("its agent is not among %+v", boots)
		}
	}

	if len(boots) != 1 {
		t.Errorf("%d boots: %+v", len(boots), boots)
	}

	for _, step := range boots[0].Steps {
		t.Logf("%s %s %s %s (+%d)", step.Time.Format(time.TimeOnly), step.Step, step.Address, step.Detail, step.Repeated)
	}

	firmware := [][]string{{"dhcp"}, {"tftp", "http"}}

	switch {
	case b.machine.Firmware == lab.BIOS: // QEMU's network cards have an iPXE for BIOS, which needs nothing else
		firmware = nil
	case b.machine.Name == oldIPXE: // as this one has for UEFI
		firmware = firmware[1:]
	}

	for _, names := range append(firmware, []string{"ipxe"}, []string{"kernel"}) {
		if !taken(boots, names...) {
			t.Errorf("none of the steps is %v", names)
		}
	}

	if !slices.IsSortedFunc(boots[0].Steps, func(a, b v1alpha2.BootStep) int { return a.Time.Compare(b.Time.Time) }) {
		t.Error("the steps are not in the order of their times")
	}

	last := boots[0].Steps[len(boots[0].Steps)-1]
	if last.Step != "agent" || !slices.Contains(b.leased(t), last.Address) {
		t.Errorf("the last step is %+v", last)
	}
}

// taken tells whether one of the steps is in the latest boot.
func taken(boots []v1alpha2.Boot, names ...string) bool {
	return len(boots) > 0 && slices.ContainsFunc(boots[0].Steps, func(s v1alpha2.BootStep) bool { return slices.Contains(names, s.Step) })
}
