package registration_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/registration"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// testOrders goes through the life of one machine, each step from where the one before has left it.
func testOrders(t *testing.T, b bench, plane *apitest.Plane) {
	if err := b.admin.Delete(t.Context(), b.server(t)); err != nil {
		t.Fatal(err)
	}

	if _, err := b.service.CreateServer(t.Context(), request()); err != nil {
		t.Fatal(err)
	}

	<-b.events.Events // that it registered

	for _, step := range []struct {
		name string
		run  func(*testing.T, bench)
	}{
		{"a machine that nobody has accepted stays, and tells its plan", testPlanBeforeAcceptance},
		{"its reports of a wipe are refused", testReportsRefused},
		{"acceptance wakes it", func(t *testing.T, b bench) { testWake(t, b, plane) }},
		{"classes say what is wiped", func(t *testing.T, b bench) { testClassPolicies(t, b, plane) }},
		{"nothing new", testHold},
		{"too many under one name", testCrowd},
		{"the appliance stops", testStop},
		{"a stale cache", testStaleCache},
		{"a failed disk", testFailedWipe},
		{"wiped", testWiped},
		{"turned off", testTurnedOff},
		{"allocated", testAllocatedOrders},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, b) }) {
			return
		}
	}
}

// order asks for orders as one who knows none.
func (b bench) order(t *testing.T) *api.WaitResponse {
	t.Helper()

	next, err := b.service.Wait(t.Context(), &api.WaitRequest{Uuid: machine})
	if err != nil {
		t.Fatal(err)
	}

	return next
}

func (b bench) report(t *testing.T, sequence uint64, report *api.ReportRequest) codes.Code {
	t.Helper()

	report.Uuid, report.Sequence = machine, sequence
	_, err := b.service.Report(t.Context(), report)

	return status.Code(err)
}

func (b bench) patch(t *testing.T, patch string) {
	t.Helper()

	if err := b.admin.Patch(t.Context(), b.server(t), client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

func plan() *api.ReportRequest {
	return &api.ReportRequest{Report: &api.ReportRequest_Plan{Plan: &api.Plan{Disks: []*api.PlannedDisk{
		{Name: "sda", Description: "/dev/sda, 1 TB, Maker\x1b[31m, serial A", Action: "wipe", Method: "fast", Reason: "all disks are to be wiped"},
		{Name: "sdb", Description: "/dev/sdb, 2 TB, serial B", Action: "keep", Reason: "it is to be kept"},
	}}}}
}

func progress(state string, done int64) *api.ReportRequest {
	return &api.ReportRequest{Report: &api.ReportRequest_Progress{Progress: &api.Progress{Disks: []*api.WipedDisk{{Name: "sda", State: state, Done: done, Total: 100}}}}}
}

func result(state, cause string) *api.ReportRequest {
	return &api.ReportRequest{Report: &api.ReportRequest_Result{Result: &api.Result{Disks: []*api.WipedDisk{{Name: "sda", State: state, Done: 100, Total: 100, Error: cause}}}}}
}

func testPlanBeforeAcceptance(t *testing.T, b bench) {
	next := b.order(t)
	if next.GetOrder() != api.Order_STAY || next.GetReason() != api.Reason_NOT_ACCEPTED || next.GetServer() != machine || next.GetPolicy().GetMethod() != "fast" {
		t.Errorf("told %v", next)
	}

	if code := b.report(t, 0, plan()); code != codes.OK {
		t.Fatalf("answered %s", code)
	}

	server := b.server(t)
	if wipe := server.Status.Wipe; wipe == nil || wipe.PlannedAt == nil || len(wipe.Disks) != 2 || wipe.Disks[0].State != "planned" ||
		wipe.Disks[0].Description != "/dev/sda, 1 TB, Maker[31m, serial A" || wipe.Disks[1].Action != "keep" {
		t.Errorf("planned is %+v", wipe)
	}

	if code := b.report(t, 0, plan()); code != codes.OK || b.server(t).ResourceVersion != server.ResourceVersion {
		t.Errorf("the same plan was written again (%s)", code)
	}
}

// testReportsRefused: whatever sequence it makes up, a server that is not accepted is neither wiped nor kept from being
// restarted.
func testReportsRefused(t *testing.T, b bench) {
	before := b.server(t)

	for _, sequence := range []uint64{0, b.order(t).GetSequence()} {
		for _, report := range []*api.ReportRequest{progress("running", 1), result("done", ""), result("failed", "x")} {
			if code := b.report(t, sequence, report); code != codes.FailedPrecondition {
				t.Errorf("%v is answered %s", report, code)
			}
		}
	}

	if _, err := b.service.Wait(t.Context(), &api.WaitRequest{Uuid: machine, State: api.State_RETRYING}); err != nil {
		t.Error(err)
	}

	if b.server(t).ResourceVersion != before.ResourceVersion {
		t.Errorf("the server was changed to %+v", b.server(t).Status)
	}

	if len(b.events.Events) > 0 {
		t.Errorf("event %q", <-b.events.Events)
	}
}

// watching is the service on a cache of its own, as the appliance's.
func (b bench) watching(t *testing.T, plane *apitest.Plane) bench {
	t.Helper()

	objects, err := cache.New(plane.Admin, cache.Options{Scheme: b.admin.Scheme()})
	if err != nil {
		t.Fatal(err)
	}

	if err := registration.Index(t.Context(), objects); err != nil {
		t.Fatal(err)
	}

	config := b.config
	config.Cache, config.Informers = objects, objects
	b.service = registration.New(config)
	running, stop := context.WithCancel(t.Context())

	var ended []<-chan error
	for _, run := range []func(context.Context) error{objects.Start, b.service.Run} {
		end := make(chan error, 1)
		go func() { end <- run(running) }()

		ended = append(ended, end)
	}

	t.Cleanup(func() {
		stop()

		for _, end := range ended {
			if err := <-end; err != nil {
				t.Error(err)
			}
		}
	})

	return b
}

// toldWhen is what a machine is told that waits while something is done. Whether it waits already makes no difference to that.
func (b bench) toldWhen(t *testing.T, done func()) *api.WaitResponse {
	t.Helper()

	known := b.order(t).GetSequence()
	told := make(chan *api.WaitResponse, 1)

	go func() {
		next, err := b.service.Wait(t.Context(), &api.WaitRequest{Uuid: machine, Sequence: known})
		if err != nil {
			t.Error(err)
		}

		told <- next
	}()

	done()

	select {
	case next := <-told:
		return next
	case <-time.After(20 * time.Second):
		t.Fatal("the machine was not woken")

		return nil
	}
}

func testWake(t *testing.T, b bench, plane *apitest.Plane) {
	b = b.watching(t, plane)

	next := b.toldWhen(t, func() { b.patch(t, `{"spec":{"accepted":true}}`) })
	if next.GetOrder() != api.Order_WIPE {
		t.Errorf("told %v", next)
	}
}

func testHold(t *testing.T, b bench) {
	config := b.config
	config.Hold = time.Millisecond
	b.service = registration.New(config)
	known := b.order(t)

	next, err := b.service.Wait(t.Context(), &api.WaitRequest{Uuid: machine, Sequence: known.GetSequence()})
	if err != nil || next.GetSequence() != known.GetSequence() {
		t.Errorf("told %v, %v", next, err)
	}
}

// testCrowd: many that claim one name cannot pile up, and none of them goes without its orders.
func testCrowd(t *testing.T, b bench) {
	known, ctx := b.order(t).GetSequence(), t.Context()
	ended := make(chan error, 10)

	for range cap(ended) {
		go func() {
			next, err := b.service.Wait(ctx, &api.WaitRequest{Uuid: machine, Sequence: known})
			if err == nil && next.GetSequence() != known {
				err = errors.New("told something new")
			}
			ended <- err
		}()
	}

	for range cap(ended) - 4 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func testStop(t *testing.T, b bench) {
	known := b.order(t).GetSequence()
	config := b.config
	config.Informers = noInformers{}
	b.service = registration.New(config)
	ended := make(chan error, 1)

	go func() {
		_, err := b.service.Wait(t.Context(), &api.WaitRequest{Uuid: machine, Sequence: known})
		ended <- err
	}()

	if err := b.service.Run(t.Context()); err == nil {
		t.Error("Run works without informers")
	}

	if err := <-ended; status.Code(err) != codes.Unavailable {
		t.Errorf("answered %v", err)
	}
}

type noInformers struct{ cache.Informers }

func (noInformers) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return nil, errors.New("no informers")
}

// past is a cache that shows what was.
type past struct {
	client.Reader

	server *v1alpha2.Server
}

func (p past) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	if server, ok := into.(*v1alpha2.Server); ok && p.server != nil {
		p.server.DeepCopyInto(server)

		return nil
	}

	return p.Reader.Get(ctx, key, into, options...)
}

// testStaleCache: the cache still shows a server that is accepted, not clean and not bound, which it is no more.
func testStaleCache(t *testing.T, b bench) {
	config := b.config
	config.Cache = past{nothing{b.admin}, b.server(t)}
	stale := b
	stale.service = registration.New(config)

	if next := stale.order(t); next.GetOrder() != api.Order_WIPE {
		t.Fatalf("told %v, this test shows nothing", next)
	}

	b.patch(t, `{"spec":{"accepted":false}}`)

	if next := stale.order(t); next.GetOrder() != api.Order_STAY || next.GetReason() != api.Reason_NOT_ACCEPTED {
		t.Errorf("a server that is accepted no more is told %v", next)
	}

	b.patch(t, `{"spec":{"accepted":true}}`)
	bind(t, b)

	if next := stale.order(t); next.GetOrder() != api.Order_REBOOT {
		t.Errorf("an allocated server is told %v", next)
	}

	unbind(t, b)

	// The other way round: it is behind about a server that is to be wiped.
	old := b.server(t)
	old.Spec.Accepted = false
	config.Cache = past{b.admin, old}
	stale.service = registration.New(config)

	if next := stale.order(t); next.GetOrder() != api.Order_STAY {
		t.Errorf("told %v", next)
	}
}

// nothing is a cache that does not know bindings yet.
type nothing struct{ client.Reader }

func (n nothing) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	if _, ok := into.(*v1alpha3.ServerBinding); ok {
		key.Name = "unknown"
	}

	return n.Reader.Get(ctx, key, into, options...)
}

// bind allocates the machine, and notes it as the controller does.
func bind(t *testing.T, b bench) {
	t.Helper()

	binding := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: machine}}
	binding.Spec.MetalMachineRef = corev1.ObjectReference{Kind: "MetalMachine", Namespace: metav1.NamespaceDefault, Name: "m"}

	if err := b.admin.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}

	noteUse(t, b, true)
}

func noteUse(t *testing.T, b bench, inUse bool) {
	t.Helper()

	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{"inUse":%t}}`, inUse))
	if err := b.admin.Status().Patch(t.Context(), b.server(t), patch); err != nil {
		t.Fatal(err)
	}
}

func unbind(t *testing.T, b bench) {
	t.Helper()

	if err := b.admin.Delete(t.Context(), &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: machine}}); err != nil {
		t.Fatal(err)
	}

	noteUse(t, b, false)
}

func testFailedWipe(t *testing.T, b bench) {
	sequence := b.order(t).GetSequence()

	for _, bad := range []*api.ReportRequest{{}, progress("exploding", 1), progress("running", -1), result("done", strings.Repeat("x", 513))} {
		if code := b.report(t, sequence, bad); code != codes.InvalidArgument {
			t.Errorf("%v is answered %s", bad, code)
		}
	}

	if code := b.report(t, sequence, progress("running", 40)); code != codes.OK {
		t.Fatalf("answered %s", code)
	}

	server := b.server(t)
	if c := server.Status.Conditions; len(c) != 1 || c[0].Type != v1alpha2.ConditionPowerCycle || c[0].Status != corev1.ConditionFalse || c[0].Message != "wipe in progress" {
		t.Errorf("conditions are %+v", c)
	}

	if wipe := server.Status.Wipe; wipe.StartedAt == nil || wipe.FinishedAt != nil || wipe.Disks[0].Done != 40 || wipe.Disks[0].Method != "fast" || server.Status.LastSeen == nil {
		t.Errorf("wipe is %+v", wipe)
	}

	if code := b.report(t, sequence, result("failed", "the disk failed; it may be broken")); code != codes.OK {
		t.Fatalf("answered %s", code)
	}

	server = b.server(t)
	if wipe := server.Status.Wipe; server.Status.IsClean || wipe.FinishedAt == nil || wipe.Disks[0].Error != "the disk failed; it may be broken" || wipe.Disks[0].State != "failed" {
		t.Errorf("clean is %t, wipe %+v", server.Status.IsClean, wipe)
	}

	if event := <-b.events.Events; !strings.Contains(event, "Warning Server Wipe") || !strings.Contains(event, "disk sda: the disk failed") {
		t.Errorf("event is %q", event)
	}

	// It may try again, and is not restarted meanwhile.
	if next := b.order(t); next.GetOrder() != api.Order_WIPE || next.GetSequence() != sequence {
		t.Errorf("told %v", next)
	}

	stamped(t, b)
}

// stamped: a machine that waits to try its wipe again has its time for it start again.
func stamped(t *testing.T, b bench) {
	t.Helper()

	server := b.server(t)
	server.Status.Conditions[0].LastTransitionTime = metav1.NewTime(time.Now().Add(-time.Hour))

	if err := b.admin.Status().Update(t.Context(), server); err != nil {
		t.Fatal(err)
	}

	if _, err := b.service.Wait(t.Context(), &api.WaitRequest{Uuid: machine, State: api.State_RETRYING}); err != nil {
		t.Fatal(err)
	}

	if at := b.server(t).Status.Conditions[0].LastTransitionTime; time.Since(at.Time) > time.Minute {
		t.Errorf("its time began at %s", at)
	}
}

// testTurnedOff has somebody ask for a machine to be turned off that nothing else could.
func testTurnedOff(t *testing.T, b bench) {
	server := b.server(t)
	before := server.DeepCopy()
	server.Status.Conditions = server.Status.Conditions.With(v1alpha2.Condition{
		Type: v1alpha2.ConditionPowerRequested, Status: corev1.ConditionUnknown, Reason: v1alpha2.ReasonAgentAsked, LastTransitionTime: metav1.Now(),
	})

	if err := b.admin.Status().Patch(t.Context(), server, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}

	if next := b.order(t); next.GetOrder() != api.Order_POWER_OFF {
		t.Fatalf("told %v", next)
	}

	if c, _ := b.server(t).Status.Conditions.Find(v1alpha2.ConditionPowerRequested); c.Status != corev1.ConditionTrue || c.Reason != v1alpha2.ReasonAgentObeys {
		t.Errorf("the condition is %+v", c)
	}

	if next := b.order(t); next.GetOrder() != api.Order_STAY {
		t.Errorf("when it starts again it is told %v", next)
	}

	server = b.server(t) // the next step knows nothing of this
	before = server.DeepCopy()
	server.Status.Conditions = server.Status.Conditions.Without(v1alpha2.ConditionPowerRequested)

	if err := b.admin.Status().Patch(t.Context(), server, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func testWiped(t *testing.T, b bench) {
	sequence := b.order(t).GetSequence()

	for _, report := range []*api.ReportRequest{result("done", ""), plan(), result("running", "")} {
		if code := b.report(t, sequence+1, report); report.GetPlan() == nil && code != codes.FailedPrecondition {
			t.Errorf("a report by another order is answered %s", code)
		}
	}

	if code := b.report(t, sequence, &api.ReportRequest{Report: &api.ReportRequest_Result{Result: &api.Result{}}}); code != codes.OK || b.server(t).Status.IsClean {
		t.Errorf("a disk was left out, and the server is clean (%s)", code)
	}

	<-b.events.Events

	if code := b.report(t, sequence, result("done", "")); code != codes.OK {
		t.Fatalf("answered %s", code)
	}

	server := b.server(t)
	if wipe := server.Status.Wipe; !server.Status.IsClean || wipe.Problem != "" || wipe.Disks[0].State != "done" || wipe.Disks[0].Error != "" || wipe.Disks[1].State != "" {
		t.Errorf("clean is %t, wipe %+v", server.Status.IsClean, wipe)
	}

	if c := server.Status.Conditions; len(c) != 1 || c[0].Status != corev1.ConditionTrue {
		t.Errorf("conditions are %+v", c)
	}

	if event := <-b.events.Events; !strings.Contains(event, "Normal Server Wipe") {
		t.Errorf("event is %q", event)
	}

	if next := b.order(t); next.GetOrder() != api.Order_STAY || next.GetReason() != api.Reason_CLEAN {
		t.Errorf("told %v", next)
	}

	// What was wiped stays on record, and nobody is told twice.
	if code := b.report(t, sequence, result("done", "")); code != codes.FailedPrecondition {
		t.Errorf("a second result is answered %s", code)
	}

	if code := b.report(t, 0, plan()); code != codes.OK || b.server(t).ResourceVersion != server.ResourceVersion {
		t.Errorf("a new plan took the place of what was done (%s)", code)
	}
}

// testAllocatedOrders: safety invariant 2 of the design, for reports too.
func testAllocatedOrders(t *testing.T, b bench) {
	server := b.server(t)
	server.Status.IsClean = false

	if err := b.admin.Status().Update(t.Context(), server); err != nil {
		t.Fatal(err)
	}

	sequence := b.order(t).GetSequence()
	bind(t, b)

	before := b.server(t)
	if next := b.order(t); next.GetOrder() != api.Order_REBOOT {
		t.Errorf("told %v", next)
	}

	for _, report := range []*api.ReportRequest{progress("running", 1), result("done", ""), result("failed", "x")} {
		if code := b.report(t, sequence, report); code != codes.FailedPrecondition {
			t.Errorf("%v is answered %s", report, code)
		}
	}

	if code := b.report(t, 0, plan()); code != codes.OK || b.server(t).ResourceVersion != before.ResourceVersion {
		t.Errorf("an allocated server was changed to %+v (%s)", b.server(t).Status, code)
	}

	unbind(t, b)
}
