//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/bmc"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/registration/identity"
)

// TestServersOfOneUUID has a machine come that tells the UUID of one which is clean, and has a person want everything of both
// that is dangerous: nothing happens to either, until somebody says that they are two.
func TestServersOfOneUUID(t *testing.T) {
	ctx, i := start(t, stageWithin, "--log-level=debug")

	node, err := bmc.Attach(ctx, i.Lab, bmcAddress)
	node = must(t, node, err)

	newcomer, known := kinds()[0], kinds()[2]

	first := known.make(t, i)
	first.register(ctx, t, known, node)
	first.patch(ctx, t, `"wipe":`+first.policy)
	first.patch(ctx, t, `"accepted":true`)
	first.untilClean(ctx, t)
	first.checkDisks(ctx, t)
	first.fill(ctx, t)

	newcomer.machine.UUID = first.machine.Description().UUID
	second := newcomer.make(t, i)
	second.name = identity.NameOf(first.name, second.machine.Description().MAC.String())
	second.register(ctx, t, newcomer, node)
	both := []*managed{first, second}

	second.patch(ctx, t, `"wipe":`+second.policy)

	for _, m := range both {
		m.until(ctx, t, "disputed", (*v1alpha2.Server).Duplicate)
		m.patch(ctx, t, `"accepted":true`)
		m.mergeStatus(ctx, t, `{"isClean":false}`)
	}

	second.ask(ctx, t, "cycle")
	first.startAgain(ctx, t)
	second.startAgain(ctx, t)

	for _, m := range both {
		m.until(ctx, t, "disputed", (*v1alpha2.Server).Duplicate)
		m.checkUntouched(ctx, t)
	}

	for _, m := range both {
		m.merge(ctx, t, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha2.IdentityAnnotation, v1alpha2.IdentityOwn))
	}

	for _, m := range both {
		m.untilClean(ctx, t)
		m.checkDisks(ctx, t)
	}
}

// startAgain is a person who turns the machine off and on.
func (m *managed) startAgain(ctx context.Context, t *testing.T) {
	t.Helper()

	must(t, 0, m.machine.TurnOff())
	must(t, 0, m.machine.TurnOn(lab.FromNetwork))
	m.untilRegistered(ctx, t)
}
