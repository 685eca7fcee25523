//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kube "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

const kills = 10

// TestCrash kills the appliance again and again while machines register and a person writes: what was acknowledged is
// there afterwards, and the kubeconfig of before works.
func TestCrash(t *testing.T) {
	ctx, i := start(t, 2*time.Minute)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	work := &load{agents: connect(t, i), admin: admin(t, i)}
	authority := read(t, filepath.Join(i.DataDir, "pki/ca.crt"))
	work.begin(ctx, t)

	for n := range kills {
		const longest = 3 * time.Second // a start takes about that long

		alive := time.Duration(random.Int64N(int64(longest)))
		if n%2 == 0 { // while it works, in the other cases while it starts, or shortly after
			if err := i.WaitReady(ctx); err != nil {
				t.Fatal(err)
			}

			work.waitProgress(ctx, t)

			alive /= 4
		}

		<-time.After(alive)
		i.Process.Kill()
		t.Logf("killed %s later, with %s", alive.Round(time.Millisecond), work)

		if err := i.Launch(); err != nil {
			t.Fatal(err)
		}
	}

	if err := i.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}

	work.waitProgress(ctx, t)
	work.end()
	work.check(ctx, t)
	t.Logf("at the end %s", work)

	if read(t, filepath.Join(i.DataDir, "pki/ca.crt")) != authority {
		t.Error("the certificate authority is another one")
	}
}

// load is what goes on while the appliance is killed. Errors of its calls are expected; what succeeds is noted.
type load struct {
	agents api.AgentClient
	admin  kube.Client

	stop    context.CancelFunc
	workers sync.WaitGroup

	mu         sync.Mutex
	registered []string
	counters   map[string]*counter
}

// counter is a ConfigMap that is counted up.
type counter struct{ tried, acknowledged int }

func (l *load) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()

	writes := 0
	for _, c := range l.counters {
		writes += c.acknowledged
	}

	return fmt.Sprintf("%d registrations and %d writes acknowledged", len(l.registered), writes)
}

func (l *load) begin(ctx context.Context, t *testing.T) {
	t.Helper()

	ctx, l.stop = context.WithCancel(ctx)
	t.Cleanup(l.end)

	l.counters = map[string]*counter{}

	const agents, writers = 3, 2
	for n := range agents {
		l.workers.Go(func() { l.registerMany(ctx, n) })
	}

	for n := range writers {
		name := fmt.Sprintf("counter-%d", n)
		l.counters[name] = &counter{}

		if err := l.admin.Create(ctx, counterMap(name)); err != nil {
			t.Fatal(err)
		}
	}

	for name, count := range l.counters {
		l.workers.Go(func() { l.countUp(ctx, name, count) })
	}
}

func (l *load) end() {
	l.stop()
	l.workers.Wait()
}

// pace keeps the load from taking all of a small machine.
const pace = 20 * time.Millisecond

func (l *load) registerMany(ctx context.Context, first int) {
	const stride = 1000

	for n := first * stride; ctx.Err() == nil; n++ {
		name := newcomer(n)
		for registerOnce(ctx, l.agents, name) != nil && ctx.Err() == nil { // as the agent does
			rest(ctx)
		}

		if ctx.Err() == nil {
			l.mu.Lock()
			l.registered = append(l.registered, name)
			l.mu.Unlock()
		}

		rest(ctx)
	}
}

func rest(ctx context.Context) {
	select {
	case <-time.After(pace):
	case <-ctx.Done():
	}
}

func (l *load) countUp(ctx context.Context, name string, count *counter) {
	for n := 1; ctx.Err() == nil; n++ {
		l.mu.Lock()
		count.tried = n
		l.mu.Unlock()

		patch := fmt.Appendf(nil, `{"data":{"count":"%d"}}`, n)
		if err := l.admin.Patch(ctx, counterMap(name), kube.RawPatch(types.MergePatchType, patch)); err == nil {
			l.mu.Lock()
			count.acknowledged = n
			l.mu.Unlock()
		}

		rest(ctx)
	}
}

func counterMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceDefault, Name: name}}
}

// waitProgress returns when another registration and another write of each counter were acknowledged.
func (l *load) waitProgress(ctx context.Context, t *testing.T) {
	t.Helper()

	snapshot := func() map[string]int {
		l.mu.Lock()
		defer l.mu.Unlock()

		seen := map[string]int{"registrations": len(l.registered)}
		for name, count := range l.counters {
			seen[name] = count.acknowledged
		}

		return seen
	}
	before := snapshot()

	eventually(ctx, t, func() error {
		for name, number := range snapshot() {
			if number <= before[name] {
				return fmt.Errorf("more %s: %w", name, errNotYet)
			}
		}

		return nil
	})
}

// check holds what the API has to what was acknowledged.
func (l *load) check(ctx context.Context, t *testing.T) {
	t.Helper()

	servers := &v1alpha2.ServerList{}
	if err := l.admin.List(ctx, servers); err != nil {
		t.Fatal(err)
	}

	stored := map[string]v1alpha2.Server{}
	for _, s := range servers.Items {
		stored[s.Name] = s
	}

	for _, name := range l.registered {
		s, ok := stored[name]
		if !ok || s.Spec.Hardware.System.SerialNumber != serial(name) || len(s.Status.Addresses) != 1 || s.Status.Addresses[0].Address != newcomersAddress {
			t.Errorf("registration of %s is lost, or a part of it: addresses %v", name, s.Status.Addresses)
		}
	}

	for name, count := range l.counters {
		stored := counterMap(name)
		if err := l.admin.Get(ctx, kube.ObjectKeyFromObject(stored), stored); err != nil {
			t.Fatal(err)
		}

		if value, err := strconv.Atoi(stored.Data["count"]); err != nil || value < count.acknowledged || value > count.tried {
			t.Errorf("%s is %q, %d was acknowledged and %d tried", name, stored.Data["count"], count.acknowledged, count.tried)
		}
	}
}

func read(t testing.TB, path string) string {
	t.Helper()

	content, err := os.ReadFile(path)

	return string(must(t, content, err))
}
