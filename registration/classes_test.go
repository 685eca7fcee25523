package registration_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/registration"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// testClassPolicies: an accepted server that says nothing itself is wiped as its classes say, and told so at once.
func testClassPolicies(t *testing.T, b bench, plane *apitest.Plane) {
	b = b.watching(t, plane)

	next := b.toldWhen(t, func() { b.class(t, "first", "A") })
	if next.GetOrder() != api.Order_WIPE || next.GetPolicy().GetDisks() != "installDisk" || next.GetPolicy().GetInstallDisk().GetSerial() != "A" {
		t.Errorf("told %v", next)
	}

	testClassesUnseen(t, b)

	// By Sidero's protocol it would wipe all.
	if response, err := b.service.CreateServer(t.Context(), request()); err != nil || response.GetWipe() {
		t.Errorf("answered %v, %v", response, err)
	}

	next = b.toldWhen(t, func() { b.class(t, "second", "B") })
	if next.GetOrder() != api.Order_STAY || next.GetReason() != api.Reason_UNCLEAR || next.GetPolicy().GetDisks() != "none" {
		t.Errorf("told %v", next)
	}

	if code := b.report(t, next.GetSequence(), progress("running", 1)); code != codes.FailedPrecondition {
		t.Errorf("a wipe by nobody's order is answered %s", code)
	}

	b.planned(t, "ServerClass first and ServerClass second choose different disks to wipe: set spec.wipe of the server, or make them agree",
		v1alpha2.WipePolicy{Disks: "none", Method: "fast"}, "disks: nobody")

	next = b.toldWhen(t, func() { b.patch(t, `{"spec":{"wipe":{"disks":"all","keep":[{"serial":"B"}]}}}`) })
	if next.GetOrder() != api.Order_WIPE || next.GetPolicy().GetDisks() != "all" || len(next.GetPolicy().GetKeep()) != 1 {
		t.Errorf("told %v", next)
	}

	b.planned(t, "", v1alpha2.WipePolicy{Disks: "all", Method: "fast", Keep: []v1alpha2.DiskSelector{{Serial: "B"}}}, "disks: the Server")
	b.patch(t, `{"spec":{"wipe":null}}`)

	for _, name := range []string{"first", "second"} {
		if err := b.admin.Delete(t.Context(), &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}

	b.planned(t, "", v1alpha2.WipePolicy{Disks: "all", Method: "fast"}, "disks: the appliance's default")
}

// class makes one that has the disk of a serial number wiped.
func (b bench) class(t *testing.T, name, serial string) {
	t.Helper()

	class := &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
	class.Spec.Wipe = &v1alpha2.WipePolicy{Disks: v1alpha2.WipeInstallDisk, InstallDisk: &v1alpha2.DiskSelector{Serial: serial}}

	if err := b.admin.Create(t.Context(), class); err != nil {
		t.Fatal(err)
	}
}

// planned tells a plan, and compares what is written of it.
func (b bench) planned(t *testing.T, problem string, policy v1alpha2.WipePolicy, from string) {
	t.Helper()

	if code := b.report(t, 0, plan()); code != codes.OK {
		t.Fatalf("answered %s", code)
	}

	wipe := b.server(t).Status.Wipe
	if wipe.Problem != problem || !strings.HasPrefix(wipe.PolicyFrom, from) {
		t.Errorf("problem %q, policy from %q", wipe.Problem, wipe.PolicyFrom)
	}

	if p := wipe.Policy; p.Disks != policy.Disks || p.Method != policy.Method || len(p.Keep) != len(policy.Keep) {
		t.Errorf("planned by %+v", p)
	}
}

// testClassesUnseen: the cache has not heard of any class.
func testClassesUnseen(t *testing.T, b bench) {
	config := b.config
	config.Cache = noClasses{b.admin}
	b.service = registration.New(config)

	next := b.order(t)
	if next.GetOrder() != api.Order_WIPE || next.GetPolicy().GetDisks() != "installDisk" {
		t.Errorf("told %v", next)
	}

	if code := b.report(t, next.GetSequence(), progress("running", 1)); code != codes.OK {
		t.Errorf("its report is answered %s", code)
	}
}

type noClasses struct{ client.Reader }

func (n noClasses) List(ctx context.Context, into client.ObjectList, options ...client.ListOption) error {
	if _, ok := into.(*v1alpha2.ServerClassList); ok {
		return nil
	}

	return n.Reader.List(ctx, into, options...)
}
