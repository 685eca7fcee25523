package servers_test

import (
	"context"
	"io"
	"log/slog"
	"regexp"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/offline"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
	"github.com/sidero-appliance/sidero-appliance/controllers"
	"github.com/sidero-appliance/sidero-appliance/controllers/kube"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/environment"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/server"
	drivers "github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/simulator"
)

// happensWithin bounds the wait for what the controllers do.
const happensWithin = 30 * time.Second

// TestAnOperatorsDay is that of a person of the group sidero:operator, with the controllers that run in the appliance and a
// machine with a BMC.
func TestAnOperatorsDay(t *testing.T) {
	plane := apitest.Start(t)
	runControllers(t, plane)

	bmc, err := simulator.Start(simulator.Config{})
	must(t, err)
	t.Cleanup(func() { must(t, bmc.Close()) })

	r := newRoom(t, plane)
	r.make("box", func(s *v1alpha2.Server) {
		s.Spec.BMC = &v1alpha2.BMC{Endpoint: "127.0.0.1", Port: int64(bmc.Port()), User: "admin", Pass: "password"}
	})

	admin := r.Client
	r.Client, err = servers.NewClient(plane.Client(t, user.DefaultInfo{Name: "joe", Groups: []string{bootstrap.Operators}}))
	must(t, err)

	eventually(t, "operators have their rights", func(ctx context.Context) (bool, error) {
		return r.List(ctx, nil, servers.Name) == nil, nil
	})
	r.out.Reset()
	r.err.Reset()

	must(t, r.Accept(t.Context(), []string{"box"}))
	eventually(t, "it is started for its wipe", func(context.Context) (bool, error) { return bmc.Powered(), nil })

	clean := func() { // as the service does that the machine's agent tells of its wipe
		s := r.get("box")
		before := s.DeepCopy()
		s.Status.IsClean = true
		s.Status.Conditions = s.Status.Conditions.Without(v1alpha2.ConditionPowerCycle)
		must(t, admin.Status().Patch(t.Context(), s, client.MergeFrom(before)))
		eventually(t, "it is clean and off", func(context.Context) (bool, error) {
			return r.get("box").Status.Phase == string(server.Clean) && !bmc.Powered(), nil
		})
	}
	clean()

	r.pause(`"true"`)
	r.out.Reset()
	r.switches(servers.On, bmc, true, "^box: power is on\n$")
	r.switches(servers.Cycle, bmc, true, "^box: power cycle asked for, and nothing went wrong: power is on\n$")
	r.switches(servers.Off, bmc, false, "^box: power is off\n$")

	bmc.Lie(simulator.Lies{IgnorePower: true})
	r.fails(servers.On, `^box: (it is asked for power on, but its power is off: |it was not done \(Failed\): |its power control does not work )`)
	bmc.Lie(simulator.Lies{Silent: true})
	r.fails(servers.On, `^box: (it was not done \(Failed\): power on: |its power control does not work )`)
	bmc.Lie(simulator.Lies{})
	eventually(t, "its power control works again", func(context.Context) (bool, error) {
		s := r.get("box")

		return s.Status.Power == v1alpha2.PowerOff && s.Status.Conditions.Is(v1alpha2.ConditionPowerControl, corev1.ConditionTrue), nil
	})
	r.switches(servers.On, bmc, true, "^box: power is on\n$")
	r.switches(servers.Off, bmc, false, "^box: power is off\n$")
	r.pause("null")

	must(t, r.Wipe(t.Context(), "box", true))
	eventually(t, "its wipe is taken up", func(context.Context) (bool, error) {
		s := r.get("box")

		return !s.Status.IsClean && s.Annotations[v1alpha2.WipeRequestAnnotation] == "", nil
	})
	eventually(t, "it is started for a wipe again", func(context.Context) (bool, error) { return bmc.Powered(), nil })
	clean()
}

// runControllers runs those of roles and those of servers.
func runControllers(t *testing.T, plane *apitest.Plane) {
	t.Helper()

	log := slog.New(slog.DiscardHandler)
	roles, err := bootstrap.New(bootstrap.Config{Client: plane.Client(t, pki.Owner), Logger: log})
	must(t, err)
	apitest.Run(t, roles)

	aggregation, err := kube.New(plane.Client(t, pki.Owner))
	must(t, err)
	apitest.Run(t, aggregation)

	kept, err := store.Open(t.TempDir())
	must(t, err)

	folder, err := offline.Open(t.TempDir())
	must(t, err)

	options := drivers.DefaultOptions()
	options.Timeout, options.Tries = time.Second, 1
	options.Pause = drivers.Backoff{First: 100 * time.Millisecond, Most: time.Second}

	c, err := controllers.New(controllers.Config{
		Client:       plane.Client(t, bootstrap.Controllers),
		Environments: environment.Config{TalosReleases: "file:///nowhere", Downloads: download.Config{Store: kept, Offline: folder, Log: log}},
		Servers:      server.Config{RebootTimeout: time.Minute, Firmware: drivers.UEFI, Power: options, Poll: 200 * time.Millisecond},
		Logger:       logr.FromSlogHandler(slog.NewTextHandler(io.Discard, nil)),
	})
	must(t, err)
	apitest.Run(t, c)
}

// pause keeps the controllers from doing anything of their own accord, or with null (in JSON) no more.
func (r *room) pause(value string) {
	r.t.Helper()

	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"cluster.x-k8s.io/paused":`+value+`}}}`))
	must(r.t, r.Client.Patch(r.t.Context(), r.get("box"), patch))
}

// switches orders power and expects that the machine has it.
func (r *room) switches(order servers.Order, bmc *simulator.Server, on bool, says string) {
	r.t.Helper()

	must(r.t, r.Power(r.t.Context(), []string{"box"}, order, happensWithin))

	if got := r.out.String(); bmc.Powered() != on || !regexp.MustCompile(says).MatchString(got) {
		r.t.Errorf("power %s: the machine has power %t, printed %q", order, bmc.Powered(), got)
	}

	r.out.Reset()
	r.err.Reset()
}

// fails orders power that the machine does not get.
func (r *room) fails(order servers.Order, says string) {
	r.t.Helper()

	const patience = 10 * time.Second

	err := r.Power(r.t.Context(), []string{"box"}, order, patience)
	if err == nil || !regexp.MustCompile(says).MatchString(err.Error()) {
		r.t.Errorf("power %s: %v, want %s", order, err, says)
	}

	r.out.Reset()
	r.err.Reset()
}

func eventually(t *testing.T, what string, holds wait.ConditionWithContextFunc) {
	t.Helper()

	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, happensWithin, true, holds); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
