package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

// dispatcher gives the order that a test has set, and keeps what it is told.
type dispatcher struct {
	api.UnimplementedOrdersServer

	mu       sync.Mutex
	order    *api.WaitResponse
	sequence uint64
	changed  chan struct{}
	answers  []error                        // of the next calls of Wait
	refuse   func(*api.ReportRequest) error // nil takes every report

	waits   chan *api.WaitRequest
	reports chan *api.ReportRequest
}

func newDispatcher(first *api.WaitResponse) *dispatcher {
	d := &dispatcher{changed: make(chan struct{}), waits: make(chan *api.WaitRequest, 4096), reports: make(chan *api.ReportRequest, 4096)}
	d.tell(first)
	return d
}

func (d *dispatcher) tell(order *api.WaitResponse) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sequence++
	order.Sequence, order.Server = d.sequence, uuid
	d.order = order
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *dispatcher) Wait(ctx context.Context, request *api.WaitRequest) (*api.WaitResponse, error) {
	d.waits <- request
	d.mu.Lock()
	if len(d.answers) > 0 {
		defer d.mu.Unlock()
		answer := d.answers[0]
		d.answers = d.answers[1:]
		return nil, answer
	}
	order, changed := d.order, d.changed
	d.mu.Unlock()
	if order.GetSequence() == request.GetSequence() {
		select {
		case <-changed:
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.order, nil
}

func (d *dispatcher) Report(_ context.Context, report *api.ReportRequest) (*api.ReportResponse, error) {
	d.mu.Lock()
	refuse := d.refuse
	d.mu.Unlock()
	if refuse != nil {
		if err := refuse(report); err != nil {
			return nil, err
		}
	}
	d.reports <- report
	return &api.ReportResponse{}, nil
}

// awaitPlan returns the next plan, awaitResult the next result, whatever comes before.
func (d *dispatcher) awaitPlan(t *testing.T) *api.Plan {
	t.Helper()
	for {
		if plan := await(t, "plan", d.reports).GetPlan(); plan != nil {
			return plan
		}
	}
}

func (d *dispatcher) awaitResult(t *testing.T) *api.ReportRequest {
	t.Helper()
	for {
		if report := await(t, "result", d.reports); report.GetResult() != nil {
			return report
		}
	}
}

func (d *dispatcher) awaitState(t *testing.T, state api.State) {
	t.Helper()
	for await(t, "question in state "+state.String(), d.waits).GetState() != state {
		continue
	}
}

func stay(reason api.Reason) *api.WaitResponse {
	return &api.WaitResponse{Order: api.Order_STAY, Reason: reason, Policy: &api.WipePolicy{Disks: "all", Method: "fast"}}
}

func wipeOrder() *api.WaitResponse {
	return &api.WaitResponse{Order: api.Order_WIPE, Policy: &api.WipePolicy{Disks: "all", Method: "fast", Keep: []*api.DiskSelector{{Serial: "K"}}}}
}

// rig is a machine with disks, one of which is to be kept, and what was done to it.
type rig struct {
	Machine
	wipes  chan wipe.Plan
	ended  chan string
	refuse error
}

// newRig has an agent at work. wiping is what a wipe does.
func newRig(t *testing.T, d *dispatcher, wiping func(context.Context, wipe.Plan, func(wipe.Progress)) ([]wipe.Progress, error)) (*rig, screens) {
	t.Helper()
	return newPacedRig(t, d, hasty(), wiping)
}

func hasty() Pace {
	return Pace{
		Restart: time.Millisecond, FirstRetry: time.Millisecond, LastRetry: 10 * time.Millisecond, Refresh: time.Hour,
		Progress: time.Millisecond, FirstWipeRetry: time.Millisecond, LastWipeRetry: 2 * time.Millisecond, Leave: time.Millisecond,
	}
}

func newPacedRig(
	t *testing.T, d *dispatcher, pace Pace, wiping func(context.Context, wipe.Plan, func(wipe.Progress)) ([]wipe.Progress, error),
) (*rig, screens) {
	t.Helper()
	a := &appliance{orders: d}
	r := &rig{Machine: machine(a.serve(t, "127.0.0.1:0")), wipes: make(chan wipe.Plan, 64), ended: make(chan string, 64)}
	r.Disks = func(context.Context) ([]disk.Disk, error) {
		return []disk.Disk{
			{Name: "sda", Path: "/dev/sda", Size: 1000, Serial: "A", Transport: disk.SATA},
			{Name: "sdb", Path: "/dev/sdb", Size: 2000, Serial: "K", Transport: disk.SATA},
		}, nil
	}
	r.Machine.Wipe = func(ctx context.Context, plan wipe.Plan, progress func(wipe.Progress)) ([]wipe.Progress, error) {
		r.wipes <- plan
		return wiping(ctx, plan, progress)
	}
	r.Reboot = func() error { r.ended <- "reboot"; return r.refuse }
	r.PowerOff = func() error { r.ended <- "off"; return r.refuse }
	return r, startPaced(t, r.Machine, slog.New(slog.DiscardHandler), pace)
}

func outcomes(plan wipe.Plan, state wipe.State, cause string) []wipe.Progress {
	var out []wipe.Progress
	for _, step := range plan.Disks {
		if step.Action == wipe.Wipe {
			out = append(out, wipe.Progress{Disk: step.Disk, State: state, Method: step.Method, Done: 10, Total: 10, Error: cause})
		}
	}
	return out
}

func succeed(_ context.Context, plan wipe.Plan, progress func(wipe.Progress)) ([]wipe.Progress, error) {
	for _, one := range outcomes(plan, wipe.Wiping, "") {
		progress(one)
	}
	return outcomes(plan, wipe.Done, ""), nil
}

func untilStopped(ctx context.Context, plan wipe.Plan, _ func(wipe.Progress)) ([]wipe.Progress, error) {
	<-ctx.Done()
	return outcomes(plan, wipe.Failed, ctx.Err().Error()), ctx.Err()
}

func TestStayAndPlan(t *testing.T) {
	d := newDispatcher(stay(api.Reason_NOT_ACCEPTED))
	r, shown := newRig(t, d, succeed)
	plan := d.awaitPlan(t)
	if len(plan.GetDisks()) != 2 || plan.GetDisks()[0].GetAction() != "wipe" || plan.GetDisks()[0].GetMethod() != "fast" || !strings.Contains(plan.GetDisks()[0].GetDescription(), "serial A") {
		t.Errorf("plan is %v", plan)
	}
	screen := shown.await(t, "waits to be accepted")
	advice := strings.Join(screen.Advice, "\n")
	for _, want := range []string{"kubectl patch server " + uuid + " --type merge \\\n    -p '{\"spec\":{\"accepted\":true}}'", "sidero-appliance accept " + uuid} {
		if !strings.Contains(advice, want) {
			t.Errorf("advice is %s, without %s", advice, want)
		}
	}
	if last := screen.Rows[len(screen.Rows)-1].Value; last != "sda sdb (2 of 2 disks), once it is accepted" {
		t.Errorf("the screen says %q of the disks", last)
	}
	for reason, want := range map[api.Reason]string{
		api.Reason_CLEAN: "waits to be used", api.Reason_CLEAN_TURNED_OFF: "turns it off", api.Reason_DUPLICATE: "claims to be this one",
		api.Reason_PAUSED: "paused", api.Reason_LEAVING: "given back", api.Reason_UNCLEAR: "not clear", api.Reason(99): "and waits",
	} {
		d.tell(stay(reason))
		shown.await(t, want)
	}
	changed := stay(api.Reason_NOT_ACCEPTED)
	changed.Policy = &api.WipePolicy{Disks: "installDisk", Method: "zero", InstallDisk: &api.DiskSelector{Model: "none"}}
	d.tell(changed)
	for plan = d.awaitPlan(t); plan.GetProblem() == ""; {
		plan = d.awaitPlan(t)
	}
	if !strings.Contains(plan.GetProblem(), `no disk has model "none"`) || len(plan.GetDisks()) != 2 || plan.GetDisks()[0].GetAction() != "keep" {
		t.Errorf("plan is %v", plan)
	}
	if len(r.wipes) > 0 || len(r.ended) > 0 {
		t.Error("a machine that was told to stay did something")
	}
}

func TestWipe(t *testing.T) {
	d := newDispatcher(wipeOrder())
	r, shown := newRig(t, d, succeed)
	if await(t, "plan", d.reports).GetPlan() == nil || await(t, "beginning", d.reports).GetProgress().GetDisks()[0].GetState() != "planned" {
		t.Error("the wipe did not begin with its plan and its announcement")
	}
	plan := await(t, "wipe", r.wipes)
	if plan.Disks[0].Action != wipe.Wipe || plan.Disks[1].Action != wipe.Kept {
		t.Errorf("plan is %+v", plan)
	}
	result := d.awaitResult(t)
	if disks := result.GetResult().GetDisks(); len(disks) != 1 || disks[0].GetName() != "sda" || disks[0].GetState() != "done" || result.GetSequence() != 1 || result.GetUuid() != uuid || result.GetResult().GetProblem() != "" {
		t.Errorf("result is %v", result)
	}
	d.tell(stay(api.Reason_CLEAN))
	shown.await(t, "waits to be used")
}

// TestRefusedWipe: the appliance has the last word before anything is written.
func TestRefusedWipe(t *testing.T) {
	d := newDispatcher(stay(api.Reason_CLEAN))
	refused := make(chan struct{}, 4096)
	d.refuse = func(report *api.ReportRequest) error {
		if report.GetProgress() == nil {
			return nil
		}
		refused <- struct{}{}
		return status.Error(codes.FailedPrecondition, "not ordered")
	}
	r, _ := newRig(t, d, succeed)
	d.tell(wipeOrder())
	for range 3 { // and when it is tried again
		await(t, "refusal", refused)
	}
	if len(r.wipes) > 0 {
		t.Error("wiped all the same")
	}
}

func TestWipeIsStopped(t *testing.T) {
	for name, stop := range map[string]func(*dispatcher){
		"by another order":  func(d *dispatcher) { d.tell(stay(api.Reason_NOT_ACCEPTED)) },
		"by another policy": func(d *dispatcher) { d.tell(wipeOrder()) },
		"by the allocation": func(d *dispatcher) { d.tell(&api.WaitResponse{Order: api.Order_REBOOT}) },
		"by a server's word": func(d *dispatcher) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.refuse = func(report *api.ReportRequest) error { return status.Error(codes.FailedPrecondition, "not ordered") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDispatcher(wipeOrder())
			stopped := make(chan struct{}, 64)
			r, _ := newRig(t, d, func(ctx context.Context, plan wipe.Plan, progress func(wipe.Progress)) ([]wipe.Progress, error) {
				defer func() { stopped <- struct{}{} }()
				return untilStopped(ctx, plan, progress)
			})
			await(t, "wipe", r.wipes)
			stop(d)
			await(t, "end of the wipe", stopped)
			for len(d.reports) > 0 {
				if report := <-d.reports; report.GetResult() != nil {
					t.Errorf("a wipe that was stopped has the result %v", report)
				}
			}
		})
	}
}

// TestStuckWipe: the kernel waits for a disk for ever. People are told; a disk that erases itself has all the time that it needs.
func TestStuckWipe(t *testing.T) {
	pace := hasty()
	pace.Stuck = 20 * time.Millisecond
	erases := make(chan struct{}, 64)
	erased := make(chan struct{})
	d := newDispatcher(wipeOrder())
	_, shown := newPacedRig(t, d, pace, func(ctx context.Context, plan wipe.Plan, progress func(wipe.Progress)) ([]wipe.Progress, error) {
		select {
		case <-erased:
			return untilStopped(ctx, plan, progress)
		default:
		}
		for _, one := range outcomes(plan, wipe.Wiping, "") {
			one.Erasing = true
			progress(one)
		}
		erases <- struct{}{}
		select {
		case <-ctx.Done():
			t.Error("a disk was stopped that erases itself")
		case <-erased:
		}
		return outcomes(plan, wipe.Failed, "it does not answer any more"), errors.New("wipe /dev/sda")
	})
	await(t, "erasing", erases)
	for range 3 * pace.Stuck / pace.Progress { // time enough
		await(t, "progress", d.reports)
	}
	close(erased)
	for d.awaitResult(t).GetResult().GetDisks()[0].GetError() != context.Canceled.Error() {
		continue
	}
	shown.await(t, "has FAILED")
}

// TestFailedWipe is told, and tried again until it works.
func TestFailedWipe(t *testing.T) {
	var mu sync.Mutex
	failures := 2
	d := newDispatcher(wipeOrder())
	_, shown := newRig(t, d, func(ctx context.Context, plan wipe.Plan, progress func(wipe.Progress)) ([]wipe.Progress, error) {
		mu.Lock()
		defer mu.Unlock()
		if failures == 0 {
			return succeed(ctx, plan, progress)
		}
		failures--
		return outcomes(plan, wipe.Failed, "the disk failed"), errors.New("wipe /dev/sda: the disk failed")
	})
	for range 2 {
		result := d.awaitResult(t).GetResult()
		if result.GetDisks()[0].GetState() != "failed" || result.GetDisks()[0].GetError() != "the disk failed" || result.GetProblem() != "" {
			t.Errorf("result is %v", result)
		}
	}
	shown.await(t, "has FAILED")
	d.awaitState(t, api.State_RETRYING)
	if result := d.awaitResult(t).GetResult(); result.GetDisks()[0].GetState() != "done" {
		t.Errorf("result is %v", result)
	}
}

// TestWipeWithoutPlan: a policy that does not fit the disks wipes none.
func TestWipeWithoutPlan(t *testing.T) {
	order := wipeOrder()
	order.Policy = &api.WipePolicy{Disks: "everything", Method: "fast"}
	d := newDispatcher(order)
	r, shown := newRig(t, d, succeed)
	if result := d.awaitResult(t).GetResult(); !strings.Contains(result.GetProblem(), `scope "everything" is none of`) || len(result.GetDisks()) > 0 {
		t.Errorf("result is %v", result)
	}
	shown.await(t, "has FAILED")
	d.tell(wipeOrder())
	await(t, "wipe by a policy that fits", r.wipes)
}

func TestLeave(t *testing.T) {
	for order, want := range map[api.Order]string{api.Order_REBOOT: "reboot", api.Order_POWER_OFF: "off"} {
		t.Run(want, func(t *testing.T) {
			r, _ := newRig(t, newDispatcher(&api.WaitResponse{Order: order}), succeed)
			if did := await(t, want, r.ended); did != want {
				t.Errorf("did %s", did)
			}
		})
	}
}

// TestOrdersComeBack: whatever the appliance does, the machine asks again.
func TestOrdersComeBack(t *testing.T) {
	for name, test := range map[string]struct {
		code  codes.Code
		shows string
	}{
		"away":             {codes.Unavailable, "gets no orders"},
		"its defect":       {codes.Internal, "gets no orders"},
		"no such machine":  {codes.NotFound, "waits to be used"},
		"an older version": {codes.Unimplemented, "accept it with"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDispatcher(stay(api.Reason_CLEAN))
			d.answers = []error{status.Error(test.code, "no"), status.Error(test.code, "no")}
			a := &appliance{orders: d}
			m := machine(a.serve(t, "127.0.0.1:0"))
			m.Disks = func(context.Context) ([]disk.Disk, error) { return nil, errors.New("no sysfs") }
			shown := startPaced(t, m, slog.New(slog.DiscardHandler), Pace{
				Restart: time.Millisecond, FirstRetry: time.Millisecond, LastRetry: 10 * time.Millisecond, Refresh: 200 * time.Millisecond,
			})
			shown.await(t, test.shows)
			shown.await(t, "waits to be used")
			if plan := d.awaitPlan(t); !strings.Contains(plan.GetProblem(), "no sysfs") {
				t.Errorf("plan is %v", plan)
			}
		})
	}
}

func TestPolicy(t *testing.T) {
	selector := &api.DiskSelector{Name: "n", Serial: "s", Wwid: "w", Model: "m", Type: "ssd", BusPath: "b", Label: "l", MinSize: 1, MaxSize: -1}
	choice := wipe.Choice{Name: "n", Serial: "s", WWID: "w", Model: "m", Type: "ssd", BusPath: "b", Label: "l", MinSize: 1}
	policy := policyOf(&api.WipePolicy{Disks: "selected", Method: "secure", InstallDisk: selector, Selected: []*api.DiskSelector{selector}, Keep: []*api.DiskSelector{selector}})
	if policy.Scope != wipe.Selected || policy.Method != wipe.Secure || *policy.Install.Choice != choice || policy.Select.Choices[0] != choice || policy.Keep.Choices[0] != choice {
		t.Errorf("policy is %+v", policy)
	}
}

// TestReportsFit: what a machine with very many disks says is not refused.
func TestReportsFit(t *testing.T) {
	var plan wipe.Plan
	for range 1024 {
		plan.Disks = append(plan.Disks, wipe.Step{Disk: wipe.Identity{Name: "nvme100n1", Model: strings.Repeat("é", 400)}, Reason: strings.Repeat("x", 4000), Action: wipe.Wipe})
	}
	if size := len(tellPlan(plan).String()); size > 256<<10 {
		t.Errorf("%d bytes", size)
	}
	for _, text := range []string{strings.Repeat("é", 400), strings.Repeat("x", 501), "\xff"} {
		if got := cut(text, longest); len(got) > longest || strings.Contains(got, "\ufffd") {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
	if got := cut("as it is", longest); got != "as it is" {
		t.Errorf("got %q", got)
	}
}
