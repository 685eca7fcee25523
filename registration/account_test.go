package registration_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// TestAccount goes through the life of a machine's account on its BMC, each step from where the one before has left it.
func TestAccount(t *testing.T) {
	b := newBench(t, startPlane(t), registration.Policy{AutoBMCSetup: true, RebootTimeout: time.Minute})

	for _, step := range []struct {
		name string
		run  func(*testing.T, bench)
	}{
		{"a machine that nobody has accepted is not asked for one, nor heard", testAccountUnaccepted},
		{"an accepted one is, until it has told it", testAccountFirst},
		{"nobody else is heard", testAccountUnasked},
		{"a person wants another password", testAccountRotation},
		{"an address comes with a login", testAccountStays},
		{"the Secret is deleted", testAccountSecretDeleted},
		{"a person logs in otherwise", testAccountOfPerson},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, b) }) {
			return
		}
	}
}

// asked is what account the machine is asked for, and whether Sidero's agent is.
func (b bench) asked(t *testing.T) (*api.BMCSetup, bool) {
	t.Helper()

	response, err := b.service.CreateServer(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}

	return b.order(t).GetBmcSetup(), response.GetSetupBmc()
}

func (b bench) tellBMC(t *testing.T, info *api.BMCInfo) codes.Code {
	t.Helper()

	_, err := b.service.UpdateBMCInfo(t.Context(), &api.UpdateBMCInfoRequest{Uuid: machine, BmcInfo: info})

	return status.Code(err)
}

func (b bench) tellProblem(t *testing.T) {
	t.Helper()

	problem := &api.ReportRequest_BmcProblem{BmcProblem: &api.BMCProblem{Problem: "it \x1bhangs"}}
	if code := b.report(t, 0, &api.ReportRequest{Report: problem}); code != codes.OK {
		t.Errorf("a problem is answered %s", code)
	}
}

// secret is the one that holds the account, "" for both when there is none.
func (b bench) secret(t *testing.T) (user, pass string) {
	t.Helper()

	secret := &corev1.Secret{}

	err := b.admin.Get(t.Context(), client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: machine + "-bmc"}, secret)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}

	return string(secret.Data["user"]), string(secret.Data["pass"])
}

func testAccountUnaccepted(t *testing.T, b bench) {
	if setup, sidero := b.asked(t); setup != nil || sidero {
		t.Errorf("asked for %v, %t", setup, sidero)
	}

	for len(b.events.Events) > 0 {
		<-b.events.Events
	}

	b.tellProblem(t)

	if len(b.events.Events) > 0 {
		t.Errorf("event %q", <-b.events.Events)
	}

	if code := b.tellBMC(t, &api.BMCInfo{Ip: "10.0.9.1", User: "sidero", Pass: "one"}); code != codes.FailedPrecondition {
		t.Errorf("an account is answered %s", code)
	}

	if user, _ := b.secret(t); user != "" || b.server(t).Spec.BMC != nil {
		t.Errorf("user %q, BMC %v", user, b.server(t).Spec.BMC)
	}
}

func testAccountFirst(t *testing.T, b bench) {
	b.patch(t, `{"spec":{"accepted":true}}`)

	if setup, sidero := b.asked(t); setup == nil || setup.GetUserInUse() != "" || setup.GetEndpointKnown() || !sidero {
		t.Errorf("asked for %v, %t", setup, sidero)
	}

	b.tellProblem(t)

	if event := <-b.events.Events; !strings.Contains(event, "Warning BMC Setup") || !strings.HasSuffix(event, "tried again: it hangs") {
		t.Errorf("event %q", event)
	}

	if _, err := b.service.MarkServerAsWiped(t.Context(), &api.MarkServerAsWipedRequest{Uuid: machine}); err != nil {
		t.Fatal(err)
	}

	testAccountWait(t, b)
	b.patch(t, `{"spec":{"bmc":{"endpoint":"bmc-1.example","port":6230}}}`)

	if setup, _ := b.asked(t); !setup.GetEndpointKnown() {
		t.Errorf("asked for %v", setup)
	}

	if code := b.tellBMC(t, &api.BMCInfo{Ip: "10.0.9.1", Port: 623, User: "sidero", Pass: "one"}); code != codes.OK {
		t.Fatal(code)
	}

	user, pass := b.secret(t)
	if bmc := b.server(t).Spec.BMC; user != "sidero" || pass != "one" || bmc.Endpoint != "bmc-1.example" || bmc.Port != 6230 || bmc.PassFrom == nil {
		t.Errorf("%s %s, BMC %+v", user, pass, bmc)
	}

	if setup, sidero := b.asked(t); setup != nil || sidero {
		t.Errorf("asked again for %v, %t", setup, sidero)
	}
}

// countingClient counts ServerBindings read, which only a decision needs.
type countingClient struct {
	client.Client

	reads int
}

func (c *countingClient) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if _, is := object.(*v1alpha3.ServerBinding); is {
		c.reads++
	}

	return c.Client.Get(ctx, key, object, options...)
}

// testAccountWait: machines without a BMC are asked for an account for ever, which must cost nothing.
func testAccountWait(t *testing.T, b bench) {
	t.Helper()

	counting := &countingClient{Client: b.config.Client}
	b.config.Client, b.config.Hold = counting, time.Millisecond
	b.service = registration.New(b.config)

	known := b.order(t)
	if known.GetBmcSetup() == nil || counting.reads == 0 {
		t.Errorf("told %v after %d reads", known, counting.reads)
	}

	counting.reads = 0

	next, err := b.service.Wait(t.Context(), &api.WaitRequest{Uuid: machine, Sequence: known.GetSequence()})
	if err != nil || next.GetSequence() != known.GetSequence() || counting.reads > 0 {
		t.Errorf("told %v, %v, and %d reads, for nothing new", next, err, counting.reads)
	}
}

func testAccountUnasked(t *testing.T, b bench) {
	for pass, want := range map[string]codes.Code{"one": codes.OK, "stranger": codes.FailedPrecondition} {
		if code := b.tellBMC(t, &api.BMCInfo{Ip: "10.6.6.6", User: "sidero", Pass: pass}); code != want {
			t.Errorf("%s is answered %s", pass, code)
		}
	}

	if _, pass := b.secret(t); pass != "one" {
		t.Errorf("the password is %q", pass)
	}
}

func testAccountRotation(t *testing.T, b bench) {
	b.patch(t, `{"metadata":{"annotations":{"`+v1alpha2.RotateBMCAnnotation+`":""}}}`)

	if setup, sidero := b.asked(t); setup.GetUserInUse() != "sidero" || sidero {
		t.Errorf("asked for %v, %t", setup, sidero)
	}

	// Somebody has edited the Secret by hand, and then wants another password.
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: machine + "-bmc"}}
	if err := b.admin.Patch(t.Context(), secret, client.RawPatch("application/merge-patch+json", []byte(`{"stringData":{"pass":"by hand"}}`))); err != nil {
		t.Fatal(err)
	}

	if code := b.tellBMC(t, &api.BMCInfo{Ip: "10.0.9.1", User: "sidero2", Pass: "two"}); code != codes.OK {
		t.Fatal(code)
	}

	if user, pass := b.secret(t); user != "sidero2" || pass != "two" {
		t.Errorf("the Secret has %s %s", user, pass)
	}

	if setup, _ := b.asked(t); setup != nil || len(b.server(t).Annotations) > 0 {
		t.Errorf("asked again for %v, annotations are %v", setup, b.server(t).Annotations)
	}
}

// testAccountStays: the login that is known is sent to no other address than that which came with it.
func testAccountStays(t *testing.T, b bench) {
	b.patch(t, `{"spec":{"bmc":null}}`)

	if code := b.tellBMC(t, &api.BMCInfo{Ip: "10.0.9.1", Port: 623, User: "sidero", Pass: "moved"}); code != codes.OK || b.server(t).Spec.BMC.Endpoint != "10.0.9.1" {
		t.Fatalf("BMC is %+v (%s)", b.server(t).Spec.BMC, code)
	}

	b.patch(t, `{"metadata":{"annotations":{"`+v1alpha2.RotateBMCAnnotation+`":""}}}`)

	for _, info := range []*api.BMCInfo{{Ip: "10.6.6.6", Port: 1623}, {Ip: "10.6.6.6", User: "sidero"}, {Ip: "10.6.6.6", Pass: "x"}} {
		if code := b.tellBMC(t, info); code != codes.OK {
			t.Error(code)
		}
	}

	if bmc := b.server(t).Spec.BMC; bmc.Endpoint != "10.0.9.1" || bmc.Port != 623 {
		t.Errorf("the known login would be sent to %+v", bmc)
	}

	b.patch(t, `{"metadata":{"annotations":{"`+v1alpha2.RotateBMCAnnotation+`":null}}}`)
}

func testAccountSecretDeleted(t *testing.T, b bench) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: machine + "-bmc"}}
	if err := b.admin.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}

	if setup, sidero := b.asked(t); setup == nil || setup.GetUserInUse() != "" || !setup.GetEndpointKnown() || !sidero {
		t.Errorf("asked for %v, %t", setup, sidero)
	}

	if code := b.tellBMC(t, &api.BMCInfo{User: "sidero", Pass: "three"}); code != codes.OK {
		t.Fatal(code)
	}

	if user, pass := b.secret(t); user != "sidero" || pass != "three" {
		t.Errorf("the Secret has %s %s", user, pass)
	}

	if setup, _ := b.asked(t); setup != nil {
		t.Errorf("asked again for %v", setup)
	}
}

func testAccountOfPerson(t *testing.T, b bench) {
	b.patch(t, `{"metadata":{"annotations":{"`+v1alpha2.RotateBMCAnnotation+`":""}},"spec":{"bmc":{"user":"root","pass":"calvin"}}}`)

	if setup, sidero := b.asked(t); setup != nil || sidero {
		t.Errorf("asked for %v, %t", setup, sidero)
	}

	if code := b.tellBMC(t, &api.BMCInfo{Ip: "10.6.6.6", User: "sidero", Pass: "four"}); code != codes.FailedPrecondition {
		t.Errorf("an account is answered %s", code)
	}

	if _, pass := b.secret(t); pass != "three" {
		t.Errorf("the password is %q", pass)
	}
}
