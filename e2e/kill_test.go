//go:build e2e

package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/simulated"
)

//nolint:gochecknoglobals // flags of the test binary
var (
	cycleKills = flag.Int("kills", 10, "how often TestKilledAtAnyMoment and TestClustersKilled kill the appliance")
	cycleSeed  = flag.Uint64("seed", 0, "seed of the tests that kill the appliance; another one each time when 0")
)

const (
	// cyclists go around, bystanders are never accepted.
	cyclists, bystanders = 6, 3
	// slowDisk makes a wipe of ten writes and their reading back take about half a second.
	slowDisk = 40 * time.Millisecond
	// longestSpan is how long a machine is in use, or not accepted, at most.
	longestSpan = 2 * time.Second
	// longestMoment is how long after something has happened the appliance is killed, when it is because of that.
	longestMoment = 30 * time.Millisecond
	// longestLife is how long the appliance is left alone at most, a start included, which takes 2 s.
	longestLife = 6 * time.Second
)

// TestKilledAtAnyMoment kills the appliance while machines go around: accepted, wiped, clean, in use, given back. Safety
// invariants 1, 2 and 3 of the design are held against what the machines themselves have written down: what was done to their
// disks, and what their BMCs were told.
func TestKilledAtAnyMoment(t *testing.T) {
	ctx, i := start(t, 3*time.Minute+time.Duration(*cycleKills)*2*longestLife)
	r := &roundabout{installation: i, api: admin(t, i), random: chance(t), events: make(chan struct{}, 1)}

	for n := range cyclists + bystanders {
		r.add(ctx, t, n, n < cyclists)
	}

	r.begin(ctx)
	r.killAll(ctx, t)
}

// chance is what all that is random comes from: the same again with the same seed.
func chance(t *testing.T) *rand.Rand {
	t.Helper()

	seed := *cycleSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}

	t.Logf("-seed %d", seed)

	return rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // to repeat it
}

// roundabout is what goes on while the appliance is killed. Errors of calls are expected.
type roundabout struct {
	installation *installation.Installation
	api          client.Client
	random       *rand.Rand
	// system is what machines in use boot, their agents if there is none.
	system simulated.System

	cyclists   []*cyclist
	bystanders []*bystander

	// events has one when something has happened to a machine, or a machine has said something.
	events chan struct{}

	stop    context.CancelFunc
	working sync.WaitGroup
	kills   []time.Time
}

// bystander is a machine that nobody accepts.
type bystander struct {
	*simulated.Machine

	digest string
}

// add makes a machine, has it register, and tells the appliance of its BMC.
func (r *roundabout) add(ctx context.Context, t *testing.T, n int, accepted bool) {
	t.Helper()

	made, err := simulated.New(simulated.Config{
		Number: n, Place: r.installation.Lab, Appliance: installation.Endpoint,
		Disk: filepath.Join(t.TempDir(), "disk"), Slow: slowDisk, System: r.system,
		Switched: func(bool) { r.happened() }, Heard: func(slog.Record) { r.happened() },
	})
	m := must(t, made, err)

	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})

	if accepted {
		r.cyclists = append(r.cyclists, &cyclist{Machine: m, api: r.api, random: rand.New(rand.NewPCG(r.random.Uint64(), 0))}) //nolint:gosec // to repeat it
	} else {
		digest, err := m.Digest()
		r.bystanders = append(r.bystanders, &bystander{m, must(t, digest, err)})
	}

	m.Press(true)

	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: m.Name}}

	eventually(ctx, t, func() error { return r.api.Get(ctx, client.ObjectKeyFromObject(s), s) })

	before := s.DeepCopy()
	s.Spec.BMC = &v1alpha2.BMC{Endpoint: "127.0.0.1", Port: int64(m.Port()), User: "admin", Pass: "password"}

	if err := r.api.Patch(ctx, s, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}

	if accepted && r.system == nil {
		useAgent(ctx, t, r.api, m.Name, m.MAC)
	}
}

func (r *roundabout) begin(ctx context.Context) {
	ctx, r.stop = context.WithCancel(ctx)

	for _, c := range r.cyclists {
		r.working.Go(func() { c.goAround(ctx) })
	}
}

// killAll kills the appliance as often as it is to be, and then holds what was done against what was to be done.
func (r *roundabout) killAll(ctx context.Context, t *testing.T) {
	t.Helper()

	for n := range *cycleKills {
		r.live(ctx, t, n)
		r.kill(t)
	}

	if err := r.installation.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}

	r.stop()
	r.working.Wait()
	r.check(ctx, t)
}

func (r *roundabout) happened() {
	select {
	case r.events <- struct{}{}:
	default:
	}
}

// live leaves the appliance alone for a while: in one of four cases it may also be killed before it is ready. In two it is
// killed right after something has happened: when it has switched a machine and perhaps not written that down, when a wipe
// begins, or ends.
func (r *roundabout) live(ctx context.Context, t *testing.T, n int) {
	t.Helper()

	if n%4 != 0 {
		if err := r.installation.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}

	const most = 30

	if n%2 == 0 {
		<-time.After(r.atMost(longestLife))

		return
	}

	enough, cancel := context.WithTimeout(ctx, longestLife)
	defer cancel()

	for range r.random.IntN(most) {
		select {
		case <-r.events:
		case <-enough.Done():
		}
	}

	<-time.After(r.atMost(longestMoment))
}

func (r *roundabout) atMost(longest time.Duration) time.Duration {
	return time.Duration(r.random.Int64N(int64(longest)))
}

func (r *roundabout) kill(t *testing.T) {
	t.Helper()

	// Before it: what happens from here on may be its doing.
	r.kills = append(r.kills, time.Now())
	r.installation.Process.Kill()

	if err := r.installation.Launch(); err != nil {
		t.Fatal(err)
	}
}

// cyclist is a machine that goes around, and what a person and a cluster do with it.
type cyclist struct {
	*simulated.Machine

	api    client.Client
	random *rand.Rand
	// uses are when it certainly had a ServerBinding, refusals when it certainly was not accepted, after the first time.
	uses, refusals []span
	spoilt         []string
}

type span struct{ from, to time.Time }

func (u span) String() string {
	return fmt.Sprintf("%s to %s", u.from.Format(time.StampMilli), u.to.Format(time.StampMilli))
}

// goAround accepts the machine, and has it used and given back until ctx ends. It leaves the machine given back.
func (c *cyclist) goAround(ctx context.Context) {
	c.persist(ctx, c.accept)

	for ctx.Err() == nil {
		c.persist(ctx, c.isFree)

		switch {
		case ctx.Err() != nil:
		case c.random.IntN(5) == 0:
			c.refuse(ctx)
		default:
			c.use(ctx)
		}
	}
}

func (c *cyclist) persist(ctx context.Context, try func(context.Context) error) { persist(ctx, try) }

// persist tries until it works, or ctx ends.
func persist(ctx context.Context, try func(context.Context) error) {
	for try(ctx) != nil && ctx.Err() == nil {
		rest(ctx)
	}
}

func (c *cyclist) server(ctx context.Context) (*v1alpha2.Server, error) {
	s := &v1alpha2.Server{}

	return s, c.api.Get(ctx, client.ObjectKey{Name: c.Name}, s)
}

func (c *cyclist) accept(ctx context.Context) error { return c.decide(ctx, true) }

func (c *cyclist) decide(ctx context.Context, accepted bool) error {
	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: c.Name}}

	return c.api.Patch(ctx, s, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"accepted":%t}}`, accepted)))
}

// refuse takes acceptance back for a while. Somebody switches the machine on meanwhile.
func (c *cyclist) refuse(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)

	c.persist(ctx, func(ctx context.Context) error { return c.decide(ctx, false) })

	now := span{from: time.Now()}

	c.Press(true)
	<-time.After(time.Duration(c.random.Int64N(int64(longestSpan))))

	now.to = time.Now()
	c.refusals = append(c.refusals, now)

	c.persist(ctx, c.accept)
}

// isFree returns nil when the machine can be given to a cluster.
func (c *cyclist) isFree(ctx context.Context) error {
	s, err := c.server(ctx)

	switch {
	case err != nil:
		return err
	case !s.Status.IsClean || s.Status.InUse || s.Status.Power != v1alpha2.PowerOff || c.Powered():
		return errNotYet
	default:
		return nil
	}
}

// use gives the machine to a cluster, waits until its operating system runs, and takes it back. Once it has begun, it is
// carried through.
func (c *cyclist) use(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)

	if blank, err := c.Blank(); err != nil || !blank {
		c.spoilt = append(c.spoilt, fmt.Sprintf("it is called clean, and its disk is not: %v", err))
	}

	c.persist(ctx, c.bind)

	now := span{from: time.Now()}

	c.persist(ctx, func(context.Context) error {
		if !c.Running() {
			return errNotYet
		}

		return nil
	})

	if c.random.IntN(3) > 0 { // otherwise it is given back before anybody knows
		c.persist(ctx, c.tellInstalled)
	}

	digest, err := c.Digest()

	if c.random.IntN(3) > 0 { // otherwise it is given back at once
		<-time.After(time.Duration(c.random.Int64N(int64(longestSpan))))
	}

	now.to = time.Now()
	c.uses = append(c.uses, now)

	if after, err2 := c.Digest(); err != nil || err2 != nil || digest != after {
		c.spoilt = append(c.spoilt, fmt.Sprintf("in use %s, and its disk was changed: %v %v", now, err, err2))
	}

	c.persist(ctx, c.release)
}

func (c *cyclist) binding() *v1alpha3.ServerBinding {
	b := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: c.Name}}
	b.Spec.MetalMachineRef = corev1.ObjectReference{Kind: "MetalMachine", Namespace: metav1.NamespaceDefault, Name: "m"}

	return b
}

func (c *cyclist) bind(ctx context.Context) error {
	err := c.api.Create(ctx, c.binding())
	if apierrors.IsAlreadyExists(err) { // it was made by a call that was not answered
		return nil
	}

	return err
}

// tellInstalled does what the operating system will do by its events.
func (c *cyclist) tellInstalled(ctx context.Context) error {
	b := c.binding()
	if err := c.api.Get(ctx, client.ObjectKeyFromObject(b), b); err != nil {
		return err
	}

	b.Status.Conditions = v1alpha2.Conditions{{
		Type: v1alpha3.ConditionTalosInstalled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(),
	}}

	return c.api.Status().Update(ctx, b)
}

func (c *cyclist) release(ctx context.Context) error {
	return client.IgnoreNotFound(c.api.Delete(ctx, c.binding()))
}
