package timeline_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/netboot/timeline"
)

func TestMain(m *testing.M) {
	apitest.CaptureLog()
	m.Run()
}

// counting is a client that counts writes of status.
type counting struct {
	client.Client

	writes atomic.Int64
}

func (c *counting) Status() client.SubResourceWriter {
	c.writes.Add(1)

	return c.Client.Status()
}

// TestRecorder runs with the rights that it has in the appliance.
func TestRecorder(t *testing.T) {
	const gap = 400 * time.Millisecond

	plane := apitest.Start(t)

	rights, err := bootstrap.New(bootstrap.Config{Client: plane.Admin, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	apitest.Run(t, rights)

	scheme := runtime.NewScheme()
	must(t, v1alpha2.AddToScheme(scheme))

	admin, err := client.New(plane.Admin, client.Options{Scheme: scheme})
	must(t, err)
	own, err := client.New(plane.Client(t, bootstrap.Registration), client.Options{Scheme: scheme})
	must(t, err)

	api := &counting{Client: own}
	told := events.NewFakeRecorder(1000)
	r := timeline.New(timeline.Config{
		Client: api, Find: func(context.Context, string, string) string { return "" }, Events: told, Log: slog.New(slog.DiscardHandler), Pause: gap,
	})

	if r.Ready(t.Context()) == nil {
		t.Error("ready before it runs")
	}

	apitest.Run(t, r)

	server := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "box"}}
	boots := func(what string, done func([]v1alpha2.Boot) bool) {
		t.Helper()

		err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
			err := admin.Get(ctx, client.ObjectKeyFromObject(server), server)

			return done(server.Status.Boots), err
		})
		if err != nil {
			t.Fatalf("%s: %v; there is %+v", what, err, server.Status.Boots)
		}
	}

	// Nobody knows the machine before its agent registers it.
	mac := []string{"52:54:00:00:00:01"}
	r.Saw(timeline.Sighting{MACs: mac, Step: timeline.DHCP, Detail: "snponly.efi", Time: time.Now()})
	r.Saw(timeline.Sighting{MACs: mac, Address: "10.0.0.5", Step: timeline.IPXE, Time: time.Now()})
	r.Saw(timeline.Sighting{Address: "10.0.0.5", Step: timeline.Kernel, Time: time.Now()})
	must(t, admin.Create(t.Context(), server))
	r.Saw(timeline.Sighting{Server: "box", MACs: mac, Address: "10.0.0.5", Step: timeline.Agent, Time: time.Now()})
	r.Saw(timeline.Sighting{Server: "gone", Step: timeline.Agent, Time: time.Now()}) // and this one hinders nobody
	boots("the boot is written", func(boots []v1alpha2.Boot) bool {
		return len(boots) == 1 && len(boots[0].Steps) == 4 && boots[0].Steps[0].Step == timeline.DHCP && boots[0].Steps[3].Address == "10.0.0.5"
	})

	if event := <-told.Events; !strings.Contains(event, "Server Boot dhcp: snponly.efi") {
		t.Errorf("event %q", event)
	}

	// A machine that does a lot is written at its pace.
	before, began := api.writes.Load(), time.Now()

	for n := 0; time.Since(began) < 3*gap; n++ {
		r.Saw(timeline.Sighting{MACs: mac, Step: timeline.DHCP, Detail: fmt.Sprint(n % 3), Time: time.Now()})
	}

	r.Saw(timeline.Sighting{Server: "box", Step: timeline.Clean, Time: time.Now()})
	boots("the last is written", func(boots []v1alpha2.Boot) bool {
		last := boots[0].Steps[len(boots[0].Steps)-1]

		return len(boots) == 2 && last.Step == timeline.Clean
	})

	writes, most := api.writes.Load()-before, int64(time.Since(began)/gap)+1
	if writes > most {
		t.Errorf("%d writes, at most %d were due", writes, most)
	}

	// What only counts further is written seldom: here once, if at all, in a tenth of the time for which it may wait. With the next
	// step it is written too.
	before, began = api.writes.Load(), time.Now()

	for time.Since(began) < 3*gap {
		r.Saw(timeline.Sighting{Server: "box", Step: timeline.Clean, Time: time.Now()})
	}

	r.Saw(timeline.Sighting{Server: "box", Step: timeline.Clean, Detail: "again", Time: time.Now()})
	boots("the next step is written, and the counts", func(boots []v1alpha2.Boot) bool {
		steps := boots[0].Steps

		return steps[len(steps)-1].Detail == "again" && steps[len(steps)-2].Repeated > 3
	})

	if writes := api.writes.Load() - before; writes > 1 {
		t.Errorf("%d writes, one was due", writes)
	}

	testRepeats(t, api, server)
}

// testRepeats: counts are written in the end, also if nothing else happens.
func testRepeats(t *testing.T, api client.Client, server *v1alpha2.Server) {
	t.Helper()

	r := timeline.New(timeline.Config{
		Client: api, Find: func(context.Context, string, string) string { return "" }, Events: events.NewFakeRecorder(100),
		Log: slog.New(slog.DiscardHandler), Pause: 20 * time.Millisecond,
	})
	apitest.Run(t, r)

	last := server.Status.Boots[0].Steps[len(server.Status.Boots[0].Steps)-1]
	r.Saw(timeline.Sighting{Server: "box", Step: last.Step, Detail: last.Detail, Time: time.Now()})

	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		err := api.Get(ctx, client.ObjectKeyFromObject(server), server)
		steps := server.Status.Boots[0].Steps

		return steps[len(steps)-1].Repeated == last.Repeated+1, err
	})
	if err != nil {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
