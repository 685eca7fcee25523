//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
)

const (
	loadLimit = 30 * time.Minute
	// writers create servers at the same time.
	writers = 50
	// crowd is how many servers there are.
	crowd = 10000
	// greedy is how many loops list all of them at the same time.
	greedy = 200
	// greedyLimit is how many times as long as alone the slow ones of the appliance's own writes may take beside them.
	greedyLimit = 2
	// writes are measured alone and beside the greedy.
	writes = 3000
	// churn is how long objects come and go, and warming how long before anything is measured: the watch cache keeps the
	// changes of 75 seconds, and has to be full of them.
	churn   = 10 * time.Minute
	warming = 2 * time.Minute
)

// BenchmarkServers creates 10,000 servers by 50 clients, with the metal controllers and without, and lists them.
func BenchmarkServers(b *testing.B) {
	for name, sets := range map[string]string{"with controllers": "*", "without": "*,-metal"} {
		b.Run(name, func(b *testing.B) {
			ctx, i := start(b, loadLimit, "--controllers="+sets)

			for b.Loop() {
				begin := time.Now()
				createCrowd(ctx, b, i)
				b.ReportMetric(crowd/time.Since(begin).Seconds(), "creates/s")

				list := &v1alpha2.ServerList{}
				if err := admin(b, i).List(ctx, list, fromCache()); err != nil {
					b.Fatal(err)
				}

				begin = time.Now()
				if err := admin(b, i).List(ctx, list, fromCache()); err != nil || len(list.Items) != crowd {
					b.Fatal(err, len(list.Items))
				}

				b.ReportMetric(time.Since(begin).Seconds(), "list-s")
				b.ReportMetric(memory(b, i.Process, "VmRSS"), "rss-MiB")
			}

			b.ReportMetric(0, "ns/op")
		})
	}
}

// fromCache asks for what the API server has in its watch cache, as informers and kubectl get do.
func fromCache() *client.ListOptions {
	return &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}}
}

func createCrowd(ctx context.Context, b *testing.B, i *installation.Installation) {
	b.Helper()
	createServers(ctx, b, i, crowded)
}

// createServers creates as many servers as a crowd has, by many clients.
func createServers(ctx context.Context, b *testing.B, i *installation.Installation, numbered func(int) *v1alpha2.Server) {
	b.Helper()

	var (
		next     atomic.Int64
		problems atomic.Pointer[error]
		working  sync.WaitGroup
	)

	for range writers {
		c := admin(b, i)

		working.Go(func() {
			for n := next.Add(1); n <= crowd && problems.Load() == nil; n = next.Add(1) {
				if err := c.Create(ctx, numbered(int(n))); err != nil {
					problems.Store(&err)
				}
			}
		})
	}

	working.Wait()

	if err := problems.Load(); err != nil {
		b.Fatal(*err)
	}
}

// crowded is a server that says as much as a common machine does.
func crowded(n int) *v1alpha2.Server {
	return &v1alpha2.Server{
		ObjectMeta: metav1.ObjectMeta{Name: newcomer(n), Labels: map[string]string{"rack": fmt.Sprint(n % 40)}},
		Spec: v1alpha2.ServerSpec{
			Hostname: fmt.Sprintf("machine-%d", n),
			Hardware: &v1alpha2.HardwareInformation{
				System:  &v1alpha2.SystemInformation{UUID: newcomer(n), Manufacturer: "ACME", ProductName: "Box", SerialNumber: serial(newcomer(n))},
				Compute: &v1alpha2.ComputeInformation{TotalCoreCount: 8, Processors: []*v1alpha2.Processor{{Manufacturer: "Intel", ProductName: "Xeon", CoreCount: 8}}},
				Memory:  &v1alpha2.MemoryInformation{TotalSize: "32 GB", ModuleCount: 2},
				Storage: &v1alpha2.StorageInformation{Devices: []*v1alpha2.StorageDevice{{Type: "NVMe", Size: 1 << 39, DeviceName: "/dev/nvme0n1"}}},
				Network: &v1alpha2.NetworkInformation{Interfaces: []*v1alpha2.NetworkInterface{{Name: "eth0", MAC: "52:54:00:00:00:01", MTU: 1500}}},
			},
		},
	}
}

// BenchmarkGreedy measures how long the appliance's own writes take, alone and beside 200 loops that list 10,000 servers by
// a service account, and counts the Leases that the controllers lose.
func BenchmarkGreedy(b *testing.B) {
	ctx, i := start(b, loadLimit)

	for b.Loop() {
		createCrowd(ctx, b, i)

		alone := slowest(ctx, b, i)
		before := leasesLost(b, i)
		stop := beGreedy(ctx, b, i)
		beside := slowest(ctx, b, i)
		resident := memory(b, i.Process, "VmRSS")
		lists := stop()
		ratio := beside.Seconds() / alone.Seconds()
		b.Logf("resident %.0f MiB, %d lists", resident, lists) // a benchmark that fails prints no metrics

		b.ReportMetric(alone.Seconds()*1e3, "alone-p99-ms")
		b.ReportMetric(beside.Seconds()*1e3, "beside-p99-ms")
		b.ReportMetric(ratio, "ratio")
		b.ReportMetric(resident, "rss-MiB")
		b.ReportMetric(float64(lists), "lists")
		b.ReportMetric(float64(leasesLost(b, i)-before), "leases-lost")

		if ratio > greedyLimit || lists == 0 {
			b.Errorf("writes take %.1f times as long beside %d lists, and may take %d times as long", ratio, lists, greedyLimit)
		}
	}

	b.ReportMetric(0, "ns/op")
}

// slowest is the 99th percentile of the time that a write of the controllers takes.
func slowest(ctx context.Context, b *testing.B, i *installation.Installation) time.Duration {
	b.Helper()

	config := adminConfig(b, i)
	config.Impersonate.UserName = "sidero:controllers" // whose place in the queue counts
	c := kubernetes.NewForConfigOrDie(config).RESTClient()
	times := make([]time.Duration, writes)

	for n := range times {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"written":"%d"}}}`, rand.Int64())
		begin := time.Now()

		err := c.Patch(types.MergePatchType).AbsPath("/apis/metal.sidero.dev/v1alpha2/environments/default").Body(patch).Do(ctx).Error()
		if err != nil {
			b.Fatal(err)
		}

		times[n] = time.Since(begin)
	}

	slices.Sort(times)
	b.Logf("writes: median %v, 90th percentile %v, 99th %v, slowest %v",
		times[len(times)/2], times[len(times)*9/10], times[len(times)*99/100], times[len(times)-1])

	return times[len(times)*99/100]
}

// leasesLost counts how often the appliance has lost a Lease of its controllers' since it started.
func leasesLost(b *testing.B, i *installation.Installation) int {
	b.Helper()

	return strings.Count(string(read(b, i.Log.Path())), "lost a lease")
}

func adminConfig(b testing.TB, i *installation.Installation) *restclient.Config {
	b.Helper()

	config, err := i.Admin()
	config = must(b, config, err)
	config.QPS = -1

	return config
}

// beGreedy lists all servers in many loops, with the rights and the place in the queue of a service account. What it
// returns stops that and tells how often it was done.
func beGreedy(ctx context.Context, b *testing.B, i *installation.Installation) (stop func() int64) {
	b.Helper()

	config := accountConfig(ctx, b, i)
	ctx, cancel := context.WithCancel(ctx)

	var (
		listing sync.WaitGroup
		lists   atomic.Int64
	)

	for range greedy {
		c := kubernetes.NewForConfigOrDie(config).RESTClient()

		listing.Go(func() {
			for ctx.Err() == nil {
				if c.Get().AbsPath("/apis/metal.sidero.dev/v1alpha2/servers").Do(ctx).Error() == nil {
					lists.Add(1)
				}
			}
		})
	}

	return func() int64 {
		cancel()
		listing.Wait()

		return lists.Load()
	}
}

// accountConfig is the client configuration of a service account that may read servers.
func accountConfig(ctx context.Context, b *testing.B, i *installation.Installation) *restclient.Config {
	b.Helper()

	const name = "greedy"

	admin := kubernetes.NewForConfigOrDie(adminConfig(b, i))
	meta := metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault}
	account, err := admin.CoreV1().ServiceAccounts(meta.Namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	must(b, account, err)

	binding, err := admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "sidero:viewer"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: meta.Namespace, Name: name}},
	}, metav1.CreateOptions{})
	must(b, binding, err)

	token, err := i.Kubectl(ctx, "create", "token", name)
	token = must(b, token, err)

	config := restclient.AnonymousClientConfig(adminConfig(b, i))
	config.BearerToken = strings.TrimSpace(token)
	config.Dial = i.Lab.Dial

	return config
}

// BenchmarkChurn has a hundred servers come and go each second for ten minutes, and tells what the appliance's goroutines and memory were before
// and after.
func BenchmarkChurn(b *testing.B) {
	ctx, i := start(b, loadLimit)
	c := admin(b, i)

	for b.Loop() {
		n := churnFor(ctx, b, c, 0, warming)
		<-time.After(idle)

		before := []float64{goroutines(ctx, b, i), memory(b, i.Process, "VmRSS"), memory(b, i.Process, "RssAnon")}

		b.Logf("%d rounds", churnFor(ctx, b, c, n, churn))

		<-time.After(idle)

		b.ReportMetric(before[0], "goroutines-before")
		b.ReportMetric(goroutines(ctx, b, i), "goroutines-after")
		b.ReportMetric(before[1], "rss-before-MiB")
		b.ReportMetric(memory(b, i.Process, "VmRSS"), "rss-after-MiB")
		b.ReportMetric(before[2], "anonymous-before-MiB")
		b.ReportMetric(memory(b, i.Process, "RssAnon"), "anonymous-after-MiB")
	}

	b.ReportMetric(0, "ns/op")
}

// churnFor goes round for so long, and returns the number of the next round.
func churnFor(ctx context.Context, b *testing.B, c client.WithWatch, n int, long time.Duration) int {
	b.Helper()

	pace := time.NewTicker(time.Second)
	defer pace.Stop()

	for end := time.After(long); ; n++ {
		round(ctx, b, c, n)

		select {
		case <-pace.C:
		case <-end:
			return n + 1
		}
	}
}

// round makes, watches and deletes some servers, and waits until it has seen all of it.
func round(ctx context.Context, b *testing.B, c client.WithWatch, n int) {
	b.Helper()

	const size = 100

	watching, err := c.Watch(ctx, &v1alpha2.ServerList{})
	watching = must(b, watching, err)

	defer watching.Stop()

	for k := range size {
		if err := c.Create(ctx, crowded(n*size+k)); err != nil {
			b.Fatal(err)
		}
	}

	if err := c.DeleteAllOf(ctx, &v1alpha2.Server{}); err != nil {
		b.Fatal(err)
	}

	for seen := map[watch.EventType]int{}; seen[watch.Added] < size || seen[watch.Deleted] < size; {
		event, ok := <-watching.ResultChan()
		if !ok || event.Type == watch.Error {
			b.Fatalf("the watch ended after %v: %v", seen, event.Object)
		}

		seen[event.Type]++
	}
}

func goroutines(ctx context.Context, b *testing.B, i *installation.Installation) float64 {
	b.Helper()

	const name = "go_goroutines"

	_, text := get(ctx, b, i, "http://127.0.0.1:8082/metrics")
	for line := range strings.Lines(text) {
		var value float64
		if _, err := fmt.Sscanf(line, name+" %g", &value); err == nil {
			return value
		}
	}

	b.Fatalf("there is no %s", name)

	return 0
}
