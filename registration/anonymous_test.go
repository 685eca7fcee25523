package registration_test

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/sidero-appliance/sidero-appliance/registration"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// TestAnonymous: anybody on the network knows a machine's UUID. That is not enough to speak for it once its agent has told more.
func TestAnonymous(t *testing.T) {
	plane := startPlane(t)
	b := newBench(t, plane, registration.Policy{InsecureWipe: true, AutoBMCSetup: true})
	endpoint := serve(t, b, plane)

	own := (&box{t: t, serial: "CZ1A", mac: "00:25:90:00:00:0a"}).connect(endpoint)
	own.mustRegister(t)
	b.patch(t, `{"spec":{"accepted":true}}`)
	wipe := own.told(api.Order_WIPE, api.Reason_NONE).GetSequence()
	before := b.server(t)

	stranger := (&box{t: t, sidero: true}).connect(endpoint)
	for _, code := range stranger.lies(wipe) {
		if code != codes.FailedPrecondition {
			t.Errorf("a call that tells only the UUID is answered %s", code)
		}
	}

	if after := b.server(t); !apiequality.Semantic.DeepEqual(before.Spec, after.Spec) || !apiequality.Semantic.DeepEqual(before.Status, after.Status) {
		t.Errorf("a stranger changed the server to %+v %+v", after.Spec, after.Status)
	}

	testSiderosAgentAfterOurs(t, b, endpoint)
}

// testSiderosAgentAfterOurs: it tells who it is when it registers, and is known by its connection from then on.
func testSiderosAgentAfterOurs(t *testing.T, b bench, endpoint string) {
	same := (&box{t: t, serial: "CZ1A", mac: "00:25:90:00:00:0a", sidero: true}).connect(endpoint)
	mark := func() {
		t.Helper()

		if _, err := same.agent.MarkServerAsWiped(same.ctx(), &api.MarkServerAsWipedRequest{Uuid: machine}); err != nil {
			t.Fatal(err)
		}
	}

	b.patch(t, `{"spec":{"wipe":{"keep":[{"serial":"K"}]}}}`)

	if told := same.mustRegister(t); told.GetWipe() {
		t.Fatalf("an agent that wipes all disks is told %v, although one is kept", told)
	}

	if mark(); b.server(t).Status.IsClean {
		t.Error("the server is clean by the word of a machine that was not told to wipe")
	}

	if b.patch(t, `{"spec":{"wipe":null}}`); !same.mustRegister(t).GetWipe() {
		t.Fatal("the machine is not told to wipe")
	}

	if mark(); !b.server(t).Status.IsClean {
		t.Error("the wiped server is not clean")
	}

	if said := (&box{t: t, sidero: true}).connect(endpoint).lies(0); slices.Contains(said, codes.OK) {
		t.Errorf("over another connection its UUID is answered %v", said)
	}
}

// TestKnownMachine: two calls cannot make an accepted server another machine's, by adding that one's address first and leaving out
// its own then.
func TestKnownMachine(t *testing.T) {
	plane := startPlane(t)
	b := newBench(t, plane, registration.Policy{})
	agent := (&box{t: t}).connect(serve(t, b, plane)).agent
	own, others := "00:25:90:00:00:0a", "00:25:90:00:00:0b"
	register := func(macs ...string) {
		t.Helper()

		ctx, err := api.WithIdentity(t.Context(), &api.Identity{SerialNumber: "CZ1A", BootMac: macs[0], Macs: macs})
		if err != nil {
			t.Fatal(err)
		}

		if _, err := agent.CreateServer(ctx, request()); err != nil {
			t.Fatal(err)
		}
	}

	register("00:25:90:00:00:0c")
	register(own) // before anybody has accepted it, a part that was replaced is gone

	if known := b.server(t).Status.Identity.MACs; !slices.Equal(known, []string{own}) {
		t.Errorf("known by %v", known)
	}

	b.patch(t, `{"spec":{"accepted":true}}`)
	register(own, others)
	register(others)

	if known := b.server(t).Status.Identity; !slices.Equal(known.MACs, []string{own, others}) || known.SerialNumber != "CZ1A" {
		t.Errorf("known by %+v", known)
	}
}
