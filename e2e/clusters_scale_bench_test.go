//go:build e2e

package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/simulated"
)

//nolint:gochecknoglobals // a flag of the test binary
var benchClusters = flag.Int("clusters", 100, "how many clusters the smaller parts of BenchmarkClusters make; its largest makes three times as many")

const (
	// clustersBenchWithin bounds each part of the benchmark.
	clustersBenchWithin = 60 * time.Minute
	// restsFor is for how long it is measured what clusters cost in which nothing happens.
	restsFor = time.Minute
)

// scale is how many clusters are made, of one machine and so many workers, out of how many servers. It may take so many times as long as the
// first.
type scale struct {
	name                       string
	clusters, workers, servers int
	within                     float64
}

func (s scale) machines() int { return s.clusters * (1 + s.workers) }

// BenchmarkClusters makes clusters of simulated machines, and measures how long it takes from their manifests until the last Machine
// runs, by stages: when the median and the last machine have come to each; and what is written to the API for that.
func BenchmarkClusters(b *testing.B) {
	var first time.Duration

	for _, s := range []scale{
		{"small", *benchClusters, 2, 0, 0},
		{"of_many_servers", *benchClusters, 2, 30 * *benchClusters, 1.2},
		{"one_large", 1, 3**benchClusters - 1, 0, 0},
		{"three_times_as_many", 3 * *benchClusters, 2, 0, 3.3},
	} {
		b.Run(s.name, func(b *testing.B) {
			took := makeClusters(b, s)

			switch {
			case s.name == "small":
				first = took
			case s.within > 0 && first > 0:
				ratio := took.Seconds() / first.Seconds()
				b.ReportMetric(ratio, "times-small")

				if ratio > s.within {
					b.Errorf("it took %.2f times as long as the same clusters out of no other servers, or a third of them: the limit is %.1f", ratio, s.within)
				}
			}
		})
	}
}

// makeClusters measures one part, and returns how long it took.
func makeClusters(b *testing.B, s scale) (took time.Duration) {
	b.Helper()

	ctx, i := start(b, clustersBenchWithin, "--talos-release-url", "http://"+outside+"/talos", "--metadata-access=open")
	serveReleases(ctx, b, i)

	c := admin(b, i)
	system := nodesBeside(ctx, b, i).boot
	machines := cleanMachines(ctx, b, i, c, system, s.machines())

	for n := range s.servers - s.machines() {
		must(b, 0, c.Create(ctx, crowded(n)))
	}

	for b.Loop() {
		writes := apiWrites(ctx, b, i)
		cpu := metrics(ctx, b, i)[cpuSeconds]
		seen := watchStages(ctx, b, c)
		seen.began = time.Now()

		s.apply(ctx, b, i)
		seen.note("applied", "all", time.Now())

		eventually(ctx, b, func() error {
			if count := seen.count(stageRunning); count < len(machines) {
				return fmt.Errorf("%d of %d Machines run", count, len(machines))
			}

			return nil
		})

		took = time.Since(seen.began)

		for _, m := range machines {
			seen.boots(m)
		}

		b.ReportMetric(took.Seconds(), "running-s")
		b.ReportMetric((metrics(ctx, b, i)[cpuSeconds]-cpu)/float64(len(machines)), "cpu-s/machine")
		b.ReportMetric(memory(b, i.Process, "VmRSS"), "rss-MiB")
		seen.report(b)
		reportWrites(b, writes, apiWrites(ctx, b, i), len(machines))

		cpu = metrics(ctx, b, i)[cpuSeconds]

		<-time.After(restsFor)
		b.ReportMetric(1000*(metrics(ctx, b, i)[cpuSeconds]-cpu)/restsFor.Seconds()/float64(s.clusters), "rest-cpu-ms/cluster-s")
	}

	b.ReportMetric(0, "ns/op")

	return took
}

// cleanMachines are accepted and clean, and off. That they are clean is said of them, not done: they have not been on before.
func cleanMachines(ctx context.Context, b *testing.B, i *installation.Installation, c client.Client, system simulated.System, count int) []*simulated.Machine {
	b.Helper()

	dir := b.TempDir()

	var machines []*simulated.Machine

	b.Cleanup(func() {
		for _, m := range machines {
			if err := m.Close(); err != nil {
				b.Error(err)
			}
		}
	})

	for n := range count {
		m, err := simulated.New(simulated.Config{
			Number: n + 1, Place: i.Lab, Appliance: installation.Endpoint, Disk: filepath.Join(dir, strconv.Itoa(n)), Blank: true, System: system,
		})
		machines = append(machines, must(b, m, err))
	}

	for _, m := range machines {
		makeClean(ctx, b, c, m)
	}

	eventually(ctx, b, func() error {
		class := &v1alpha2.ServerClass{}
		if err := c.Get(ctx, client.ObjectKey{Name: v1alpha2.ServerClassAny}, class); err != nil {
			return err
		}

		if got := len(class.Status.ServersAvailable); got < count {
			return fmt.Errorf("%d of %d servers are available", got, count)
		}

		return nil
	})

	return machines
}

// makeClean has nothing switch the machine before it is known to be clean.
func makeClean(ctx context.Context, b *testing.B, c client.Client, m *simulated.Machine) {
	b.Helper()

	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: m.Name}, Spec: v1alpha2.ServerSpec{Accepted: true}}
	must(b, 0, c.Create(ctx, s))

	// Its agent would have told the address, which the control plane's machine is looked for at.
	known := s.DeepCopy()
	s.Status.IsClean = true
	s.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: m.Reachable().String()}}
	must(b, 0, c.Status().Patch(ctx, s, client.MergeFrom(known)))

	before := s.DeepCopy()
	s.Spec.BMC = &v1alpha2.BMC{Endpoint: "127.0.0.1", Port: int64(m.Port()), User: "admin", Pass: "password"}

	must(b, 0, c.Patch(ctx, s, client.MergeFrom(before)))
}

// apply applies the manifests of all clusters as one.
func (s scale) apply(ctx context.Context, b *testing.B, i *installation.Installation) {
	b.Helper()

	var manifests []string
	for n := range s.clusters {
		manifests = append(manifests, newShape(n+1, fmt.Sprintf("c%03d", n), v1alpha2.ServerClassAny, 1, s.workers).manifest(b))
	}

	said, err := i.Tool(ctx, strings.Join(manifests, "\n---\n"), "kubectl", "apply", "-f", "-")
	must(b, said, err)
}

// Stages of a machine, in their order.
const (
	stageMachine     = "Machine"
	stageBound       = "server bound"
	stageEnvironment = "boots Environment"
	stageDisk        = "boots from disk"
	stageNode        = "Node known"
	stageRunning     = "Machine runs"
)

// course is when each object has come to each stage for the first time.
type course struct {
	began time.Time

	mu    sync.Mutex
	times map[string]map[string]time.Time
}

// watchStages notes what Machines and ServerBindings tell from now on.
func watchStages(ctx context.Context, b *testing.B, c client.WithWatch) *course {
	b.Helper()

	s := &course{times: map[string]map[string]time.Time{}}
	bindings, err := c.Watch(ctx, &v1alpha3.ServerBindingList{})
	bindings = must(b, bindings, err)
	machines, err := c.Watch(ctx, &clusterv1.MachineList{})
	machines = must(b, machines, err)

	b.Cleanup(bindings.Stop)
	b.Cleanup(machines.Stop)

	go func() {
		for event := range bindings.ResultChan() {
			if binding, ok := event.Object.(*v1alpha3.ServerBinding); ok {
				s.note(stageBound, binding.Name, time.Now())
			}
		}
	}()

	go func() {
		for event := range machines.ResultChan() {
			if m, ok := event.Object.(*clusterv1.Machine); ok {
				s.machine(m)
			}
		}
	}()

	return s
}

func (s *course) machine(m *clusterv1.Machine) {
	now, name := time.Now(), m.Namespace+"/"+m.Name
	s.note(stageMachine, name, now)

	if m.Status.NodeRef.IsDefined() {
		s.note(stageNode, name, now)
	}

	if m.Status.GetTypedPhase() == clusterv1.MachinePhaseRunning {
		s.note(stageRunning, name, now)
	}
}

// boots notes when a machine has started what, by itself.
func (s *course) boots(m *simulated.Machine) {
	for _, boot := range m.Boots() {
		switch {
		case boot.At.Before(s.began):
		case boot.Kernel == "":
			s.note(stageDisk, m.Name, boot.At)
		default:
			s.note(stageEnvironment, m.Name, boot.At)
		}
	}
}

func (s *course) note(stage, name string, when time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.times[stage] == nil {
		s.times[stage] = map[string]time.Time{}
	}

	if _, known := s.times[stage][name]; !known {
		s.times[stage][name] = when
	}
}

func (s *course) count(stage string) int {
	s.mu.Lock()
	defer s.mu.Unlock()

	return len(s.times[stage])
}

func (s *course) report(b *testing.B) {
	b.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()

	for _, stage := range []string{"applied", stageMachine, stageBound, stageEnvironment, stageDisk, stageNode, stageRunning} {
		var after []time.Duration
		for _, when := range s.times[stage] {
			after = append(after, when.Sub(s.began))
		}

		if len(after) == 0 {
			continue
		}

		slices.Sort(after)
		b.Logf("%-18s %4d: first %6.1f s, median %6.1f s, last %6.1f s", stage, len(after),
			after[0].Seconds(), after[len(after)/2].Seconds(), after[len(after)-1].Seconds())
	}
}

// apiWrites are the calls that have changed something, by what they were for.
func apiWrites(ctx context.Context, b *testing.B, i *installation.Installation) map[string]float64 {
	b.Helper()

	_, text := get(ctx, b, i, "http://127.0.0.1:8082/metrics")
	writes := map[string]float64{}

	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "apiserver_request_total{")
		labels, value, ok2 := strings.Cut(rest, "} ")

		if !ok || !ok2 {
			continue
		}

		is := map[string]string{}

		for pair := range strings.SplitSeq(labels, ",") {
			name, quoted, _ := strings.Cut(pair, "=")
			is[name] = strings.Trim(quoted, `"`)
		}

		if slices.Contains([]string{"POST", "PUT", "PATCH", "APPLY", "DELETE"}, is["verb"]) {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			writes[is["verb"]+" "+strings.TrimSuffix(is["resource"]+"/"+is["subresource"], "/")+" "+is["code"]] += must(b, number, err)
		}
	}

	return writes
}

// reportWrites tells what was written, the most frequent first.
func reportWrites(b *testing.B, before, after map[string]float64, machines int) {
	b.Helper()

	var (
		all   float64
		kinds []string
	)

	for kind := range after {
		if after[kind] -= before[kind]; after[kind] > 0 {
			all += after[kind]

			kinds = append(kinds, kind)
		}
	}

	slices.SortFunc(kinds, func(x, y string) int { return int(after[y] - after[x]) })

	for _, kind := range kinds {
		b.Logf("%6.2f a machine: %s", after[kind]/float64(machines), kind)
	}

	b.ReportMetric(all/float64(machines), "writes/machine")
}
