//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/bmc"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

const (
	serverKills = 5
	// rebootTimeout is when a machine is restarted whose boot was cut off by the death of the appliance that it loaded from.
	rebootTimeout = 90 * time.Second
)

// TestServersKilled kills the appliance again and again on the way from acceptance to a clean machine, with real firmware.
// That costs a restart of a machine at most. The witnesses are those of TestServersLifecycle.
func TestServersKilled(t *testing.T) {
	ctx, i := start(t, lifecycleWithin, "--log-level=debug", "--server-reboot-timeout="+rebootTimeout.String())

	node, err := bmc.Attach(ctx, i.Lab, bmcAddress)
	node = must(t, node, err)

	used := startUsed(ctx, t, i, node)
	machines := registerAll(ctx, t, i, node)
	stranger, accepted := machines[0], machines[1:]

	t.Logf("all are registered")

	began := time.Now()
	for _, m := range accepted {
		m.patch(ctx, t, `"accepted":true`)
	}

	// With a start, so often as to meet all that happens in the time of a boot.
	killings{times: serverKills, longest: 10 * time.Second, random: chance(t)}.run(ctx, t, i)

	for _, m := range accepted {
		m.untilClean(ctx, t)
		m.checkDisks(ctx, t)
		m.checkRestarts(t, 1+serverKills+int(time.Since(began)/rebootTimeout))
	}

	stranger.checkUntouched(ctx, t)

	checkStart(ctx, t, i, []bmc.BMC{used, machines[0].bmc, machines[1].bmc, machines[2].bmc})

	if told := used.Changes(); len(told) != 0 {
		t.Errorf("the BMC of a machine in use was told %q", told)
	}

	stranger.checkUntouched(ctx, t)
}

// killings are some of the appliance.
type killings struct {
	times int
	// longest is how long it is left alone at most.
	longest time.Duration
	random  *rand.Rand
}

func (k killings) run(ctx context.Context, t *testing.T, i *installation.Installation) {
	t.Helper()

	for n := range k.times {
		if n%2 == 0 { // while it works; in the other cases also while it starts
			must(t, 0, i.WaitReady(ctx))
		}

		alive := time.Duration(k.random.Int64N(int64(k.longest)))
		<-time.After(alive)
		i.Process.Kill()
		t.Logf("killed %s later", alive.Round(time.Millisecond))
		must(t, 0, i.Launch())
	}

	must(t, 0, i.WaitReady(ctx))
}

// checkStart kills the appliance once more: one that has nothing to do does nothing either when it starts.
func checkStart(ctx context.Context, t *testing.T, i *installation.Installation, bmcs []bmc.BMC) {
	t.Helper()

	var before [][]string
	for _, b := range bmcs {
		before = append(before, b.Changes())
	}

	i.Process.Kill()

	var asked []int
	for _, b := range bmcs {
		asked = append(asked, b.Asked())
	}

	must(t, 0, i.Start(ctx))

	for n, b := range bmcs {
		const looks = 4 // by then it has seen how the machine is, and thought about it

		eventually(ctx, t, func() error {
			if b.Asked() < asked[n]+looks {
				return fmt.Errorf("BMC %d asked: %w", n, errNotYet)
			}

			return nil
		})

		if got := b.Changes(); !slices.Equal(got, before[n]) {
			t.Errorf("BMC %d was told %q after a start, before it %q", n, got, before[n])
		}
	}
}

// strangers are machines that nobody accepts.
func strangers() kind {
	k := kinds()[0]
	k.machine.Name = "stranger"

	return k
}

// registerAll boots a stranger, and one machine of each kind of BMC.
func registerAll(ctx context.Context, t *testing.T, i *installation.Installation, node *lab.Node) []*managed {
	t.Helper()

	var machines []*managed

	for _, k := range []kind{strangers(), kinds()[0], kinds()[1]} {
		m := k.make(t, i)
		must(t, 0, m.machine.TurnOn(lab.FromNetwork))
		machines = append(machines, m)
	}

	for n, k := range []kind{strangers(), kinds()[0], kinds()[1]} {
		machines[n].register(ctx, t, k, node)
		machines[n].patch(ctx, t, `"wipe":`+k.policy)
		machines[n].checkUntouched(ctx, t)
	}

	return machines
}

// startUsed makes a server in use of which there is the BMC only: its machine is on, and nothing but that is known of it.
func startUsed(ctx context.Context, t *testing.T, i *installation.Installation, node *lab.Node) bmc.BMC {
	t.Helper()

	b, err := bmc.NewIPMI(node, bmcAddress+":0", nil)
	b = must(t, b, err)
	t.Cleanup(func() { must(t, 0, b.Close()) })

	m := &managed{Installation: i, client: admin(t, i), bmc: b, name: newcomer(0)}
	register(ctx, t, connect(t, i), m.name)
	bind(ctx, t, i, m.name)
	m.patch(ctx, t, `"accepted":true,`+ipmiPower(b))
	m.until(ctx, t, "known to be on", func(s *v1alpha2.Server) bool { return s.Status.InUse && s.Status.Power == v1alpha2.PowerOn })

	return b
}

// checkRestarts sees that the BMC was told to start the machine so often at most.
func (m *managed) checkRestarts(t *testing.T, most int) {
	t.Helper()

	if starts := startsIn(m.changes()[len(m.told):]); starts == 0 || starts > most {
		t.Errorf("its BMC has started the machine %d times, %d are enough: %q", starts, most, m.changes())
	}
}

// startsIn counts those that a BMC was told.
func startsIn(changes []string) (starts int) {
	for _, change := range changes {
		if change == bmc.On || change == bmc.Cycle {
			starts++
		}
	}

	return starts
}
