package registration_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// box is a machine that speaks to the appliance over the wire. All boxes have one UUID.
type box struct {
	t      *testing.T
	serial string
	mac    string
	// sidero tells that it runs Sidero's agent, which tells no more than its protocol has.
	sidero bool

	agent  api.AgentClient
	orders api.OrdersClient
}

func (b *box) connect(endpoint string) *box {
	b.t.Helper()

	connection, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.t.Fatal(err)
	}

	b.t.Cleanup(func() { connection.Close() })
	b.agent, b.orders = api.NewAgentClient(connection), api.NewOrdersClient(connection)

	return b
}

func (b *box) ctx() context.Context {
	if b.sidero {
		return b.t.Context()
	}

	ctx, err := api.WithIdentity(b.t.Context(), &api.Identity{SerialNumber: b.serial, BootMac: b.mac, Macs: []string{b.mac}})
	if err != nil {
		b.t.Error(err)
	}

	return ctx
}

func (b *box) register() (*api.CreateServerResponse, error) {
	told := request()
	told.Hardware.System.SerialNumber = b.serial
	told.Hardware.Network.Interfaces[0].Mac = b.mac

	return b.agent.CreateServer(b.ctx(), told)
}

// next is what the box is told to do now.
func (b *box) next() *api.WaitResponse {
	b.t.Helper()

	next, err := b.orders.Wait(b.ctx(), &api.WaitRequest{Uuid: machine})
	if err != nil {
		b.t.Fatal(err)
	}

	return next
}

// told waits until the box is told this.
func (b *box) told(order api.Order, reason api.Reason) *api.WaitResponse {
	b.t.Helper()

	var next *api.WaitResponse

	err := wait.PollUntilContextTimeout(b.t.Context(), 20*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
		next = b.next()

		return next.GetOrder() == order && next.GetReason() == reason, nil
	})
	if err != nil {
		b.t.Fatalf("told %v, want %s %s", next, order, reason)
	}

	return next
}

// lies says everything that could have another machine's server taken for wiped, or harm it.
func (b *box) lies(sequence uint64) []codes.Code {
	ctx := b.ctx()
	_, heartbeat := b.agent.Heartbeat(ctx, &api.HeartbeatRequest{Uuid: machine})
	_, marked := b.agent.MarkServerAsWiped(ctx, &api.MarkServerAsWipedRequest{Uuid: machine})
	_, addresses := b.agent.ReconcileServerAddresses(ctx, &api.ReconcileServerAddressesRequest{
		Uuid: machine, Address: []*api.Address{{Type: "InternalIP", Address: "10.6.6.6"}},
	})
	_, bmc := b.agent.UpdateBMCInfo(ctx, &api.UpdateBMCInfoRequest{Uuid: machine, BmcInfo: &api.BMCInfo{Ip: "10.6.6.7", User: "u", Pass: "p"}})

	said := []codes.Code{status.Code(heartbeat), status.Code(marked), status.Code(addresses), status.Code(bmc)}

	for _, report := range []*api.ReportRequest{progress("running", 1), result("done", "")} {
		report.Uuid, report.Sequence = machine, sequence
		_, err := b.orders.Report(ctx, report)
		said = append(said, status.Code(err))
	}

	return said
}

// named is a Server; what is not there is nil.
func (b bench) named(t *testing.T, name string) *v1alpha2.Server {
	t.Helper()

	server := &v1alpha2.Server{}
	if err := b.admin.Get(t.Context(), client.ObjectKey{Name: name}, server); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}

	return server
}

func (b bench) tellOf(t *testing.T, name, patch string) {
	t.Helper()

	if err := b.admin.Patch(t.Context(), b.named(t, name), client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

func disputed(s *v1alpha2.Server) (v1alpha2.Condition, bool) {
	return s.Status.Conditions.Find(v1alpha2.ConditionDuplicateIdentity)
}

func (b bench) settled(t *testing.T, name, what string, so func(*v1alpha2.Server) bool) {
	t.Helper()

	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
		return so(b.named(t, name)), nil
	})
	if err != nil {
		t.Fatalf("no %s: %+v", what, b.named(t, name).Status.Conditions)
	}
}

const own = `{"metadata":{"annotations":{"metal.sidero.dev/identity":"own"}}}`

// TestDuplicates tries to break safety invariant 6 of the design: two machines that claim one UUID are never treated as one.
// The witness is what the machines are told over the wire.
func TestDuplicates(t *testing.T) {
	plane := startPlane(t)

	for _, test := range []struct {
		name   string
		policy registration.Policy
		run    func(*testing.T, bench, string)
	}{
		{"a machine in use, and one more", registration.Policy{InsecureWipe: true, AutoBMCSetup: true}, testNewcomer},
		{"a machine that waits for its wipe, and one with Sidero's agent", registration.Policy{InsecureWipe: true, AutoBMCSetup: true}, testSiderosNewcomer},
		{"the same machine with new parts", registration.Policy{}, testNewParts},
		{"many at once, all accepted by themselves", registration.Policy{AutoAccept: true, AutoBMCSetup: true}, testDuplicatesAtOnce},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, plane, test.policy)
			if err := b.admin.DeleteAllOf(t.Context(), &v1alpha2.Server{}); err != nil {
				t.Fatal(err)
			}

			test.run(t, b, serve(t, b, plane))
		})
	}
}

func testNewcomer(t *testing.T, b bench, endpoint string) {
	first := (&box{t: t, serial: "CZ1A", mac: "00:25:90:00:00:0a"}).connect(endpoint)
	second := (&box{t: t, serial: "CZ2B", mac: "00:25:90:00:00:0b"}).connect(endpoint)
	name := machine + "-00259000000b"

	first.mustRegister(t)
	b.tellOf(t, machine, `{"spec":{"accepted":true}}`)
	first.told(api.Order_WIPE, api.Reason_NONE)
	bind(t, b)

	bound := first.told(api.Order_REBOOT, api.Reason_NONE).GetSequence()

	before := b.named(t, machine)

	for range 3 { // it is the same one each time
		if told := second.mustRegister(t); told.GetWipe() || told.GetSetupBmc() {
			t.Fatalf("the newcomer is told %v", told)
		}
	}

	if next := second.told(api.Order_STAY, api.Reason_DUPLICATE); next.GetServer() != name {
		t.Errorf("the newcomer is %s", next.GetServer())
	}

	first.told(api.Order_STAY, api.Reason_DUPLICATE)

	for _, server := range []*v1alpha2.Server{b.named(t, machine), b.named(t, name)} {
		other := map[string]string{machine: name, name: machine}[server.Name]
		c, _ := disputed(server)
		if c.Status != "True" || !strings.Contains(c.Message, other) || !strings.Contains(c.Message, "metal.sidero.dev/identity=own") {
			t.Errorf("%s: %+v", server.Name, c)
		}
	}

	want := []codes.Code{codes.OK, codes.OK, codes.OK, codes.FailedPrecondition, codes.FailedPrecondition, codes.FailedPrecondition}
	if said := second.lies(bound); !slices.Equal(said, want) {
		t.Errorf("the newcomer's words are answered %v", said)
	}

	after := b.named(t, machine)
	same := apiequality.Semantic.DeepEqual
	if !same(before.Spec, after.Spec) || after.Status.IsClean || !same(before.Status.Addresses, after.Status.Addresses) {
		t.Errorf("the newcomer changed the first machine's server to %+v %+v", after.Spec, after.Status)
	}

	// Accepted by somebody who has not read: still nothing is done to it.
	b.tellOf(t, name, `{"spec":{"accepted":true}}`)

	if told := second.mustRegister(t); told.GetWipe() || told.GetSetupBmc() {
		t.Errorf("the newcomer is told %v", told)
	}

	second.told(api.Order_STAY, api.Reason_DUPLICATE)
	testDecisions(t, b, first, second)
}

// testDecisions: a person decides for each, and in the end one machine is gone.
func testDecisions(t *testing.T, b bench, first, second *box) {
	name := machine + "-00259000000b"

	b.tellOf(t, name, own)

	if next := second.told(api.Order_WIPE, api.Reason_NONE); next.GetServer() != name {
		t.Errorf("the second is %s", next.GetServer())
	}

	first.told(api.Order_STAY, api.Reason_DUPLICATE)
	b.tellOf(t, machine, own)
	first.told(api.Order_REBOOT, api.Reason_NONE)

	if next := second.next(); next.GetServer() != name || next.GetOrder() != api.Order_WIPE {
		t.Errorf("the second is told %v", next)
	}

	if err := b.admin.Delete(t.Context(), b.named(t, name)); err != nil {
		t.Fatal(err)
	}

	b.settled(t, machine, "end of the dispute", func(s *v1alpha2.Server) bool {
		_, has := disputed(s)

		return !has
	})

	unbind(t, b)
}

func (b *box) mustRegister(t *testing.T) *api.CreateServerResponse {
	t.Helper()

	told, err := b.register()
	if err != nil {
		t.Fatal(err)
	}

	return told
}

func testSiderosNewcomer(t *testing.T, b bench, endpoint string) {
	first := (&box{t: t, serial: "Default string", mac: "00:25:90:00:00:0a", sidero: true}).connect(endpoint)
	second := (&box{t: t, serial: "Default string", mac: "00:25:90:00:00:0b", sidero: true}).connect(endpoint)

	first.mustRegister(t)
	b.tellOf(t, machine, `{"spec":{"accepted":true}}`)

	if told := first.mustRegister(t); !told.GetWipe() || !told.GetSetupBmc() {
		t.Fatalf("the first is told %v", told)
	}

	if told := second.mustRegister(t); told.GetWipe() || told.GetSetupBmc() {
		t.Fatalf("the newcomer is told %v", told)
	}

	if told := first.mustRegister(t); told.GetWipe() || told.GetSetupBmc() {
		t.Errorf("the first is told %v, although nobody knows which it is", told)
	}

	b.tellOf(t, machine, own)
	b.settled(t, machine, "decision", func(s *v1alpha2.Server) bool { return !s.Duplicate() })

	// Its word counts for its own server over the connection that it has registered with, and for none over another.
	second.lies(0)
	second.connect(endpoint)

	if said := second.lies(0); slices.Contains(said, codes.OK) {
		t.Errorf("answered %v", said)
	}

	if s := b.named(t, machine); s.Status.IsClean || s.Spec.BMC != nil || len(s.Status.Addresses) > 0 {
		t.Errorf("the newcomer changed the first machine's server to %+v %+v", s.Spec, s.Status)
	}

	_, err := first.agent.MarkServerAsWiped(t.Context(), &api.MarkServerAsWipedRequest{Uuid: machine})
	if clean := b.named(t, machine).Status.IsClean; err != nil || !clean {
		t.Errorf("the first is clean: %t, %v", clean, err)
	}
}

// testNewParts: a person tells that the newcomer is the old machine, which is then known by its new parts.
func testNewParts(t *testing.T, b bench, endpoint string) {
	old := (&box{t: t, mac: "00:25:90:00:00:0a"}).connect(endpoint)
	mended := (&box{t: t, mac: "00:25:90:00:00:0b"}).connect(endpoint)
	name := machine + "-00259000000b"

	old.mustRegister(t)
	mended.mustRegister(t)
	b.tellOf(t, machine, fmt.Sprintf(`{"metadata":{"annotations":{"metal.sidero.dev/identity":%q}}}`, name))

	if err := b.admin.Delete(t.Context(), b.named(t, name)); err != nil {
		t.Fatal(err)
	}

	b.settled(t, machine, "end of the dispute", func(s *v1alpha2.Server) bool { return !s.Duplicate() })
	mended.mustRegister(t)

	if next := mended.next(); next.GetServer() != machine || b.named(t, name).Name != "" {
		t.Errorf("the mended machine is %s", next.GetServer())
	}
}

// testDuplicatesAtOnce: each of eight machines registers three times at once. They are eight servers, and only the first is
// accepted without a person.
func testDuplicatesAtOnce(t *testing.T, b bench, endpoint string) {
	var group errgroup.Group

	boxes := make([]*box, 8)
	for i := range boxes {
		boxes[i] = (&box{t: t, mac: fmt.Sprintf("00:25:90:00:01:%02x", i)}).connect(endpoint)

		for range 3 {
			group.Go(func() error {
				_, err := boxes[i].register()

				return err
			})
		}
	}

	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}

	servers := &v1alpha2.ServerList{}
	if err := b.admin.List(t.Context(), servers); err != nil || len(servers.Items) != len(boxes) {
		t.Fatalf("%d machines are %d servers, %v", len(boxes), len(servers.Items), err)
	}

	for i := range servers.Items {
		if c, has := disputed(&servers.Items[i]); has && (strings.Count(c.Message, machine) > 9 || !strings.Contains(c.Message, " and 4 more ")) {
			t.Errorf("%s tells %q", servers.Items[i].Name, c.Message)
		}

		if s := &servers.Items[i]; s.Spec.Accepted != (s.Name == machine) || !s.Duplicate() {
			t.Errorf("%s: accepted %t, duplicate %t", s.Name, s.Spec.Accepted, s.Duplicate())
		}
	}

	known := map[string]bool{}

	for _, one := range boxes {
		next := one.told(api.Order_STAY, api.Reason_DUPLICATE)
		if known[next.GetServer()] {
			t.Errorf("two machines are %s", next.GetServer())
		}

		known[next.GetServer()] = true
	}
}
