//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/simulated"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/agent"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/console"
)

const (
	// hall is how many machines are switched on at once.
	hall = 1000
	// hallRegisters is how long all of them may take from the switch to their registration.
	hallRegisters = time.Minute
	// hallAccepts is how many of them are accepted, one after another.
	hallAccepts = 200
)

// BenchmarkHall switches on 1,000 machines at once, each with an address of its own, and measures how long it takes until
// the last one is registered; what memory the appliance has while all wait for orders; and how long it takes from the
// acceptance of one to the order that it hears.
func BenchmarkHall(b *testing.B) {
	ctx, i := start(b, benchmarkLimit)
	c := admin(b, i)

	for b.Loop() {
		before := memory(b, i.Process, "VmRSS")
		machines := newHall(b, i)
		began := time.Now()

		for _, m := range machines {
			m.Press(true)
		}

		var registered []time.Duration
		for _, m := range machines {
			registered = append(registered, m.await(ctx, b, console.Registered).Sub(began))
		}

		slices.Sort(registered)
		b.ReportMetric(registered[hall-1].Seconds(), "registered-s")
		b.ReportMetric(hall/registered[hall-1].Seconds(), "registrations/s")

		if last := registered[hall-1]; last >= hallRegisters {
			b.Errorf("the last of %d machines is registered after %s, the limit is %s", hall, last, hallRegisters)
		}

		for _, m := range machines {
			m.await(ctx, b, "order STAY")
		}

		<-time.After(idle)

		b.ReportMetric(before, "rss-before-MiB")
		b.ReportMetric(memory(b, i.Process, "VmRSS"), "rss-waiting-MiB")
		b.ReportMetric(memory(b, i.Process, "RssAnon"), "anonymous-waiting-MiB")

		var ordered []time.Duration
		for _, m := range machines[:hallAccepts] {
			ordered = append(ordered, m.accept(ctx, b, c))
		}

		slices.Sort(ordered)
		b.ReportMetric(float64(ordered[len(ordered)/2].Milliseconds()), "order-median-ms")
		b.ReportMetric(float64(percentile99(ordered).Milliseconds()), "order-p99-ms")
	}

	b.ReportMetric(0, "ns/op")
}

// waiting is a machine of the hall, which notes when its agent said something for the first time.
type waiting struct {
	*simulated.Machine

	mu      sync.Mutex
	said    map[string]time.Time
	somehow chan struct{} // has room for one: something was said
}

// newHall makes machines without disks and BMCs whose agents are as patient as real ones.
func newHall(b *testing.B, i *installation.Installation) []*waiting {
	b.Helper()

	var machines []*waiting

	for n := range hall {
		w := &waiting{said: map[string]time.Time{}, somehow: make(chan struct{}, 1)}

		m, err := simulated.New(simulated.Config{
			Number: n, Place: i.Lab, Appliance: installation.Endpoint, NoBMC: true, Pace: agent.DefaultPace(), Heard: w.hear,
		})
		w.Machine = must(b, m, err)
		machines = append(machines, w)
	}

	b.Cleanup(func() {
		for _, w := range machines {
			w.Press(false)
		}

		for _, w := range machines {
			if err := w.Close(); err != nil {
				b.Error(err)
			}
		}
	})

	return machines
}

func (w *waiting) hear(record slog.Record) {
	what := record.Message

	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "order" {
			what = fmt.Sprint("order ", a.Value)
		}

		return true
	})

	w.mu.Lock()
	if _, known := w.said[what]; !known {
		w.said[what] = record.Time
	}
	w.mu.Unlock()

	select {
	case w.somehow <- struct{}{}:
	default:
	}
}

// await returns when the agent has said it, and when that was.
func (w *waiting) await(ctx context.Context, b *testing.B, what string) time.Time {
	b.Helper()

	for {
		w.mu.Lock()
		when, ok := w.said[what]
		w.mu.Unlock()

		if ok {
			return when
		}

		select {
		case <-w.somehow:
		case <-ctx.Done():
			b.Fatalf("%s has not said %q when the time was over", w.Name, what)
		}
	}
}

// accept accepts the machine and returns how long it took until it was told to wipe.
func (w *waiting) accept(ctx context.Context, b *testing.B, c client.Client) time.Duration {
	b.Helper()

	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: w.Name}}
	began := time.Now()

	if err := c.Patch(ctx, s, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"accepted":true}}`))); err != nil {
		b.Fatal(err)
	}

	return w.await(ctx, b, "order WIPE").Sub(began)
}
