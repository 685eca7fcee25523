package infrastructure_test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/metalmachine"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/reset"
	"github.com/sidero-appliance/sidero-appliance/talosapi"
)

//nolint:gochecknoglobals // a flag of the test binary
var races = flag.Int("races", 100, "how often two machines race for the last server in TestRaces")

const (
	// lanes is how many races go on side by side, each for a server of its own.
	lanes = 4
	// comesWithin is how long a racer waits at the start for the other one.
	comesWithin = 10 * time.Second
)

// lane is where two machines race for one server, again and again.
type lane struct {
	*api

	class  *metal.ServerClass
	server *metal.Server
	owners []*clusterv1.Machine

	met  int            // how often both tried to take the server at the same time
	wins map[string]int // by machine
}

// TestRaces: two appliances that know nothing of one another, and both have seen the server free, give the last server to one machine,
// and the other machine gets none.
func TestRaces(t *testing.T) {
	a := start(t)
	a.provisioned()

	var (
		all     [lanes]*lane
		running sync.WaitGroup
	)

	for i := range lanes {
		all[i] = a.lane(fmt.Sprintf("lane-%d", i))
	}

	began := time.Now()

	for _, l := range all {
		running.Go(func() {
			for range *races / lanes {
				if err := l.race(t.Context()); err != nil {
					t.Error(err)

					return
				}
			}
		})
	}

	running.Wait()

	met := 0

	for _, l := range all {
		met += l.met
		t.Logf("wins: %v", l.wins)
	}

	if wanted := *races / lanes * lanes; met != wanted {
		t.Errorf("both tried to take the server in %d of %d races", met, wanted)
	}

	if left := a.bindings(); len(left) > 0 {
		t.Errorf("there are still %d bindings", len(left))
	}

	t.Logf("%d races took %s", *races, time.Since(began))
}

func (a *api) lane(name string) *lane {
	a.t.Helper()

	l := &lane{api: a, server: a.server(name), wins: map[string]int{}}
	l.owners = []*clusterv1.Machine{a.machine(name + "-m"), a.machine(name + "-n")}

	before := l.server.DeepCopy()
	l.server.Labels = map[string]string{"lane": name}
	clustertest.Must(a.t, a.Patch(a.t.Context(), l.server, client.MergeFrom(before)))

	l.class = &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
	l.class.Spec.Selector = metav1.LabelSelector{MatchLabels: l.server.Labels}
	clustertest.Must(a.t, a.Create(a.t.Context(), l.class))

	return l
}

// race has two machines made, which both want the server, and deleted.
func (l *lane) race(ctx context.Context) error {
	machines := make([]*v1alpha3.MetalMachine, len(l.owners))

	for i, owner := range l.owners {
		machines[i] = l.racer(owner)
		if err := l.Create(ctx, machines[i]); err != nil {
			return err
		}
	}

	tried, err := l.run(ctx, machines)
	if err != nil {
		return err
	}

	if tried == len(machines) {
		l.met++
	}

	if err := l.judge(ctx, machines); err != nil {
		return err
	}

	for _, m := range machines {
		if err := l.Delete(ctx, m); err != nil {
			return err
		}

		if err := l.reconcile(ctx, m, l.Client); err != nil {
			return err
		}
	}

	left := &v1alpha3.ServerBinding{}
	if err := l.Get(ctx, client.ObjectKeyFromObject(l.server), left); !apierrors.IsNotFound(err) {
		return fmt.Errorf("the server is not given back by %q: %w", left.Spec.MetalMachineRef.Name, err)
	}

	return nil
}

func (l *lane) racer(owner *clusterv1.Machine) *v1alpha3.MetalMachine {
	m := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{
		Name: owner.Name, Namespace: owner.Namespace, Labels: map[string]string{clusterv1.ClusterNameLabel: l.cluster.Name},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, clusterv1.GroupVersion.WithKind("Machine"))},
	}}
	m.Spec.ServerClassRef = &corev1.ObjectReference{Kind: "ServerClass", Name: l.class.Name}

	return m
}

// run has each machine looked at by an appliance of its own, whose cache has not seen what the other does, both at once. It tells how many of
// them tried to take the server.
func (l *lane) run(ctx context.Context, machines []*v1alpha3.MetalMachine) (int, error) {
	start := &startingLine{racers: int32(len(machines)), full: make(chan struct{})}
	failures := make([]error, len(machines))

	var running sync.WaitGroup

	for i, m := range machines {
		own, err := client.New(l.Plane.Admin, client.Options{Scheme: l.Scheme(), Mapper: l.RESTMapper()})
		if err != nil {
			return 0, err
		}

		known := fake.NewClientBuilder().WithScheme(l.Scheme()).WithObjects(
			m.DeepCopy(), l.owners[i].DeepCopy(), l.cluster.DeepCopy(), l.class.DeepCopy(), l.server.DeepCopy(),
		).Build()

		running.Go(func() { failures[i] = l.reconcile(ctx, m, &behind{Client: own, cache: known, start: start}) })
	}

	running.Wait()

	for _, err := range failures {
		if err != nil {
			return 0, err
		}
	}

	return int(start.came.Load()), nil
}

func (l *lane) reconcile(ctx context.Context, m *v1alpha3.MetalMachine, known client.Client) error {
	r := &metalmachine.Reconciler{
		Client: known, Live: l.Client, Events: events.NewFakeRecorder(10), Nodes: reset.NewNodes(l.Client, talosapi.Dial),
	}

	_, err := r.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(m)})

	return err
}

// judge wants one machine to have the server.
func (l *lane) judge(ctx context.Context, machines []*v1alpha3.MetalMachine) error {
	binding := &v1alpha3.ServerBinding{}
	if err := l.Get(ctx, client.ObjectKeyFromObject(l.server), binding); err != nil {
		return fmt.Errorf("nobody has the server: %w", err)
	}

	winner := binding.Spec.MetalMachineRef
	l.wins[winner.Name]++

	for _, m := range machines {
		if err := l.Get(ctx, client.ObjectKeyFromObject(m), m); err != nil {
			return err
		}

		waits, _ := m.Status.Conditions.Find(v1alpha3.ConditionServerBound)

		won := m.UID == winner.UID
		if m.Status.Ready != won || (m.Spec.ServerRef != nil) != won || (m.Spec.ProviderID != nil) != won || (waits.Reason == v1alpha3.ReasonNoServerFits) == won {
			return fmt.Errorf("%s has the server, and %s is %+v", winner.Name, m.Name, m)
		}
	}

	return nil
}

// behind is the client of an appliance whose cache does not see what happens.
type behind struct {
	client.Client

	cache client.Reader
	start *startingLine
}

// Get implements client.Reader.
func (b *behind) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	return b.cache.Get(ctx, key, object, options...)
}

// List implements client.Reader.
func (b *behind) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return b.cache.List(ctx, list, options...)
}

// Create implements client.Writer: a server is taken when the other one is about to do so too.
func (b *behind) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	if _, ok := object.(*v1alpha3.ServerBinding); ok {
		b.start.wait(ctx)
	}

	return b.Client.Create(ctx, object, options...)
}

// startingLine holds racers until all have come, and not for ever.
type startingLine struct {
	racers int32
	came   atomic.Int32
	full   chan struct{}
}

func (s *startingLine) wait(ctx context.Context) {
	if s.came.Add(1) == s.racers {
		close(s.full)
	}

	ctx, cancel := context.WithTimeout(ctx, comesWithin)
	defer cancel()

	select {
	case <-s.full:
	case <-ctx.Done():
	}
}
