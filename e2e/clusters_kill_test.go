//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

const (
	// breeders make clusters at the same time, each of one control plane and two workers.
	breeders, breedersMachines = 2, 3
	// bred is how often each of them has made one at least, when the test ends.
	bred = 2
)

// TestClustersKilled kills the appliance while clusters are made and deleted again and again. In the end the last of them are whole
// nevertheless. That no machine was wiped once too often, and no node restarted that was ready, is held against what the machines
// themselves have written down.
func TestClustersKilled(t *testing.T) {
	ctx, i := start(t, 8*time.Minute+time.Duration(*cycleKills)*4*longestLife, "--talos-release-url", "http://"+outside+"/talos")
	serveReleases(ctx, t, i)

	r := &roundabout{
		installation: i, api: admin(t, i), random: chance(t), events: make(chan struct{}, 1), system: nodesBeside(ctx, t, i).boot,
	}

	for n := range breeders*breedersMachines + 1 {
		r.add(ctx, t, n, n < breeders*breedersMachines)
	}

	for _, c := range r.cyclists {
		c.persist(ctx, c.accept)
		c.persist(ctx, c.isFree)
	}

	r.breed(ctx, t)

	r.killAll(ctx, t)

	for _, c := range r.cyclists {
		c.checkRestarts(t)
	}
}

// breed begins to make clusters, and to delete them. Each is carried through that was begun.
func (r *roundabout) breed(ctx context.Context, t *testing.T) {
	t.Helper()

	asked, stop := context.WithCancel(ctx)
	r.stop = stop
	t.Cleanup(r.working.Wait) // the test's context is over by then

	var mu sync.Mutex

	for n := range breeders {
		of := func(round int) shape {
			return newShape(n, fmt.Sprintf("c%d-%d", n, round), v1alpha2.ServerClassAny, 1, breedersMachines-1)
		}
		text, name := of(0).manifest(t), of(0).name
		random := rand.New(rand.NewPCG(r.random.Uint64(), 0)) //nolint:gosec // to repeat it

		r.working.Go(func() {
			for round := 0; ctx.Err() == nil && (asked.Err() == nil || round < bred); round++ {
				b := &brood{roundabout: r, mu: &mu, shape: of(round), text: strings.ReplaceAll(text, name, of(round).name)}
				b.live(ctx, t, time.Duration(random.Int64N(int64(longestSpan))))
			}
		})
	}
}

// brood is one cluster. Errors of calls are expected.
type brood struct {
	*roundabout
	shape

	// text is its manifest.
	text string
	mu   *sync.Mutex // of the cyclists' spans
}

// live makes the cluster, leaves it alone for a while once it is whole, and deletes it.
func (b *brood) live(ctx context.Context, t *testing.T, hold time.Duration) {
	t.Helper()

	var members []*cyclist

	b.persist(ctx, t, b.make)
	b.persist(ctx, t, func(ctx context.Context) error { return complete(ctx, b.installation, b.api, b.shape) })
	b.persist(ctx, t, func(ctx context.Context) (err error) {
		members, err = b.members(ctx)

		return err
	})

	if ctx.Err() != nil {
		return
	}

	now := span{from: time.Now()}
	digests := make([]string, len(members))

	for n, c := range members {
		digests[n], _ = c.Digest() // compared below
	}

	<-time.After(hold)

	now.to = time.Now()

	b.mu.Lock()
	for n, c := range members {
		c.uses = append(c.uses, now)

		if after, err := c.Digest(); err != nil || after != digests[n] || !c.Running() {
			c.spoilt = append(c.spoilt, fmt.Sprintf("a ready node of %s, %s: its disk was changed, or it was off: %v", b.name, now, err))
		}
	}
	b.mu.Unlock()

	b.persist(ctx, t, b.delete)
}

// persist tries until it works. When the time is over it tells what did not.
func (b *brood) persist(ctx context.Context, t *testing.T, try func(context.Context) error) {
	t.Helper()

	var last error

	persist(ctx, func(ctx context.Context) error {
		err := try(ctx)
		if ctx.Err() == nil {
			last = err
		}

		return err
	})

	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("cluster %s, when the time was over: %v", b.name, last)
	}
}

func (b *brood) make(ctx context.Context) error {
	_, err := b.installation.Tool(ctx, b.text, "kubectl", "apply", "-f", "-")

	return err
}

// members are the machines that the cluster has now.
func (b *brood) members(ctx context.Context) ([]*cyclist, error) {
	var list v1alpha3.MetalMachineList
	if err := b.api.List(ctx, &list, client.MatchingLabels{clusterv1.ClusterNameLabel: b.name}); err != nil {
		return nil, err
	}

	var members []*cyclist

	for _, m := range list.Items {
		at := slices.IndexFunc(b.cyclists, func(c *cyclist) bool { return m.Spec.ServerRef != nil && c.Name == m.Spec.ServerRef.Name })
		if at < 0 {
			return nil, fmt.Errorf("%s has no machine", m.Name)
		}

		members = append(members, b.cyclists[at])
	}

	if len(members) != b.controls+b.workers {
		return nil, fmt.Errorf("%s has %d machines", b.name, len(members))
	}

	return members, nil
}

// delete returns nil when the cluster is gone.
func (b *brood) delete(ctx context.Context) error {
	err := b.api.Delete(ctx, &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: b.name}})
	if apierrors.IsNotFound(err) {
		return nil
	}

	return fmt.Errorf("cluster %s is there: %w", b.name, errors.Join(err, errNotYet))
}

// checkRestarts: no node that was ready has started again.
func (c *cyclist) checkRestarts(t *testing.T) {
	t.Helper()

	for _, u := range c.uses {
		for _, boot := range c.Boots() {
			if boot.At.After(u.from) && boot.At.Before(u.to) {
				t.Errorf("%s was a ready node %s, and started %+v", c.Name, u, boot)
			}
		}
	}
}
