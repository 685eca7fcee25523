//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
)

// Limits that the benchmarks of many servers hold the appliance to.
const (
	// crowdMemory is the resident memory with 10,000 Servers, in MiB.
	crowdMemory = 600
	// classDelay is how long a change of a Server may take to its classes' status, at the 99th percentile.
	classDelay = time.Second
)

const (
	classes = 100
	// memberships is in how many classes a server is.
	memberships = 3
	// classChanges are measured one after another.
	classChanges = 200

	// steady is long enough for etcd to have forgotten how all that was made, and for the watch caches: they let go of older changes only with
	// the next ones. So something goes on changing a little, as everywhere: a few servers every round.
	steady     = 8 * time.Minute
	roundEvery = 20 * time.Second
	trickle    = 10

	groupLabel = "group"
)

// BenchmarkClasses makes 10,000 accepted servers and 100 classes, each server in three of them beside the
// class any, which has all. It measures what memory the appliance has when little more happens, and how long a server's change
// takes to be seen in the status of the last of its classes.
func BenchmarkClasses(b *testing.B) {
	ctx, i := start(b, loadLimit)
	c := admin(b, i)

	for b.Loop() {
		makeClasses(ctx, b, c)

		began := time.Now()

		createServers(ctx, b, i, grouped)

		watching := watchClasses(ctx, b, c)
		watching.until(b, "has its servers", func(class *v1alpha2.ServerClass) bool {
			return len(class.Status.ServersAvailable) == memberships*crowd/classes
		})
		b.ReportMetric(time.Since(began).Seconds(), "listed-s")

		b.ReportMetric(memory(b, i.Process, "VmRSS"), "after-creation-rss-MiB")

		times := watching.measure(ctx, b, c)

		b.ReportMetric(memory(b, i.Process, "VmRSS"), "after-changes-rss-MiB")
		resident := beSteady(ctx, b, c, i)

		b.ReportMetric(resident[len(resident)/2], "rss-MiB")
		b.ReportMetric(resident[len(resident)-1], "most-rss-MiB")
		b.Logf("changes: median %v, 90th percentile %v, 99th %v, slowest %v",
			times[len(times)/2], times[len(times)*9/10], percentile99(times), times[len(times)-1])
		b.ReportMetric(float64(times[len(times)/2].Milliseconds()), "median-ms")
		b.ReportMetric(float64(percentile99(times).Milliseconds()), "p99-ms")

		if usual := resident[len(resident)/2]; usual >= crowdMemory {
			b.Errorf("resident memory is %.0f MiB, the limit is %d", usual, crowdMemory)
		}

		if p99 := percentile99(times); p99 >= classDelay {
			b.Errorf("a change takes %s to the classes, the limit is %s", p99, classDelay)
		}
	}

	b.ReportMetric(0, "ns/op")
}

// beSteady renames a few servers now and then, and cordons one of them, or no more. It returns in order what memory the appliance has in the
// second half of that: while etcd forgets, and the caches are compared with it, it has more for a moment.
func beSteady(ctx context.Context, b *testing.B, c client.Client, i *installation.Installation) []float64 {
	b.Helper()

	var resident []float64

	for round := range int(steady / roundEvery) {
		<-time.After(roundEvery)

		if round >= int(steady/roundEvery)/2 {
			resident = append(resident, memory(b, i.Process, "VmRSS"))
		}

		for n := range trickle {
			s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: newcomer(n*crowd/trickle + 1)}}
			change := fmt.Appendf(nil, `{"spec":{"hostname":"renamed-%d","cordoned":%v}}`, round, n == 0 && round%2 == 0)

			if err := c.Patch(ctx, s, client.RawPatch(types.MergePatchType, change)); err != nil {
				b.Fatal(err)
			}
		}
	}

	slices.Sort(resident)

	return resident
}

func percentile99(sorted []time.Duration) time.Duration { return sorted[len(sorted)*99/100] }

// grouped is an accepted server of a group.
func grouped(n int) *v1alpha2.Server {
	s := crowded(n)
	s.Spec.Accepted = true
	s.Labels[groupLabel] = fmt.Sprint(n % classes)

	return s
}

// membership are the numbers of a server's classes.
func membership(n int) []int {
	var of []int
	for k := range memberships {
		of = append(of, (n+k)%classes)
	}

	return of
}

// classesSeen are the classes as a client sees them that watches.
type classesSeen struct {
	watch.Interface

	last map[string]*v1alpha2.ServerClass
}

func className(k int) string { return fmt.Sprintf("class-%03d", k) }

// makeClasses makes classes of which each has the servers of three groups.
func makeClasses(ctx context.Context, b *testing.B, c client.Client) {
	b.Helper()

	for k := range classes {
		class := &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: className(k)}}
		groups := metav1.LabelSelectorRequirement{Key: groupLabel, Operator: metav1.LabelSelectorOpIn}

		for back := range memberships {
			groups.Values = append(groups.Values, fmt.Sprint((k-back+classes)%classes))
		}

		class.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{groups}

		if err := c.Create(ctx, class); err != nil {
			b.Fatal(err)
		}
	}
}

// watchClasses tells of all classes that there are, and of each change from then on.
func watchClasses(ctx context.Context, b *testing.B, c client.WithWatch) *classesSeen {
	b.Helper()

	watching, err := c.Watch(ctx, &v1alpha2.ServerClassList{})
	watching = must(b, watching, err)
	b.Cleanup(watching.Stop)

	return &classesSeen{watching, map[string]*v1alpha2.ServerClass{}}
}

// until returns when all classes that were made here, or those named, are as wanted.
func (s *classesSeen) until(b *testing.B, what string, wanted func(*v1alpha2.ServerClass) bool, names ...string) {
	b.Helper()

	if len(names) == 0 {
		for k := range classes {
			names = append(names, className(k))
		}
	}

	for {
		missing := slices.IndexFunc(names, func(name string) bool { return s.last[name] == nil || !wanted(s.last[name]) })
		if missing < 0 {
			return
		}

		event, ok := <-s.ResultChan()
		if !ok || event.Type == watch.Error {
			b.Fatalf("the watch ended before %s %s: %v", names[missing], what, event.Object)
		}

		if class, ok := event.Object.(*v1alpha2.ServerClass); ok {
			s.last[class.Name] = class
		}
	}
}

// measure cordons servers, one after another, and returns in order how long it took until none of a server's classes had it.
func (s *classesSeen) measure(ctx context.Context, b *testing.B, c client.Client) []time.Duration {
	b.Helper()

	var times []time.Duration

	for n := range classChanges {
		n = n*crowd/classChanges + 1
		cordoned := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: newcomer(n)}}
		began := time.Now()

		if err := c.Patch(ctx, cordoned, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cordoned":true}}`))); err != nil {
			b.Fatal(err)
		}

		var names []string
		for _, k := range membership(n) {
			names = append(names, className(k))
		}

		names = append(names, v1alpha2.ServerClassAny)

		s.until(b, "lacks "+cordoned.Name, func(class *v1alpha2.ServerClass) bool {
			return !slices.Contains(class.Status.ServersAvailable, cordoned.Name)
		}, names...)

		times = append(times, time.Since(began))
	}

	slices.Sort(times)

	return times
}
