package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/guard"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

// showEvery keeps the progress from pushing everything else off the console.
const showEvery = time.Minute

// job is a wipe that was ordered, from its plan to the report of its result.
type job struct {
	orders *orders
	order  *api.WaitResponse
	uuid   string
	facts  facts
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	failure  error
	plan     wipe.Plan
	progress map[string]wipe.Progress
	// moved is when a disk got further last.
	moved time.Time
}

// begin carries out an order to wipe, until it is done or stopped.
func (o *orders) begin(ctx context.Context, order *api.WaitResponse) *job {
	ctx, cancel := context.WithCancel(ctx)
	j := &job{
		orders: o, order: order, uuid: o.uuid(), facts: o.facts(o.hardware),
		cancel: cancel, done: make(chan struct{}), progress: map[string]wipe.Progress{},
	}
	go func() {
		defer close(j.done)
		defer cancel()
		err := guard.Run(o.agent.Logger, func() error { return j.run(ctx) })
		j.mu.Lock()
		j.failure = err
		j.mu.Unlock()
		if ctx.Err() == nil {
			j.show()
		}
	}()
	return j
}

// stop ends a job and waits until it has ended. What was begun on a disk may have been
// done.
func (j *job) stop() {
	j.cancel()
	<-j.done
}

func (j *job) ended() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// failed is why the wipe failed, once it has ended.
func (j *job) failed() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failure
}

// show tells how far the wipe is.
func (j *job) show() {
	j.orders.display(wipeScreen(j.facts, j.order.GetServer(), j.disks(), j.failed()))
}

func (j *job) run(ctx context.Context) error {
	plan, told, err := j.orders.makePlan(ctx, j.order.GetPolicy())
	if err := j.deliver(ctx, &api.ReportRequest{Report: &api.ReportRequest_Plan{Plan: told}}); err != nil {
		return err
	}
	if err != nil {
		return errors.Join(err, j.deliver(ctx, j.result(err.Error())))
	}
	j.mu.Lock()
	j.plan = plan
	j.mu.Unlock()
	// The appliance's last word before anything is written.
	if err := j.deliver(ctx, j.tell()); err != nil {
		return err
	}
	j.show()
	j.orders.agent.Logger.Info("wipe begins", "server", j.order.GetServer(), "method", j.order.GetPolicy().GetMethod())
	began := time.Now()
	failed := j.wipe(ctx, plan)
	if ctx.Err() != nil {
		j.orders.agent.Logger.Warn("wipe stopped, because it is no more ordered", "server", j.order.GetServer())
		return ctx.Err()
	}
	problem := ""
	if failed != nil && !j.someFailed() {
		problem = failed.Error()
	}
	if err := j.deliver(ctx, j.result(problem)); err != nil {
		return err
	}
	if failed == nil {
		j.orders.agent.Logger.Info("wipe done", "server", j.order.GetServer(), "duration", time.Since(began).Round(time.Millisecond))
	}
	return failed
}

// wipe works on the disks, and tells how far they are meanwhile. When none gets further for
// too long it is given up, so that people are told.
func (j *job) wipe(ctx context.Context, plan wipe.Plan) error {
	ctx, cancel := context.WithCancel(ctx)
	j.mu.Lock()
	j.moved = time.Now()
	j.mu.Unlock()
	reporting := make(chan struct{})
	go func() {
		defer close(reporting)
		shown := time.Now()
		for pause.For(ctx, j.orders.agent.Pace.Progress) == nil {
			if time.Since(shown) >= showEvery {
				shown = time.Now()
				j.show()
			}
			if j.stuck() {
				cancel()
			}
			// Only a refusal counts: the wipe goes on while the appliance is away.
			if _, err := call(ctx, j.orders.client.Report, j.of(j.tell())); refused(err) {
				j.cancel()
			}
		}
	}()
	outcomes, err := j.orders.agent.Machine.Wipe(ctx, plan, j.note)
	cancel()
	<-reporting
	for _, outcome := range outcomes {
		j.note(outcome)
	}
	return err
}

func (j *job) note(progress wipe.Progress) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress[progress.Disk.Name] = progress
	j.moved = time.Now()
}

// stuck tells whether the wipe gets no further. A disk that erases itself tells nothing for
// hours.
func (j *job) stuck() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, progress := range j.progress {
		if progress.Erasing {
			return false
		}
	}
	limit := j.orders.agent.Pace.Stuck
	return limit > 0 && time.Since(j.moved) >= limit
}

// disks are those to be wiped, as the appliance is told of them.
func (j *job) disks() []*api.WipedDisk {
	j.mu.Lock()
	defer j.mu.Unlock()
	var disks []*api.WipedDisk
	room := roomFor(len(j.plan.Disks))
	for _, step := range j.plan.Disks {
		if step.Action != wipe.Wipe {
			continue
		}
		progress, begun := j.progress[step.Disk.Name]
		if !begun {
			progress = wipe.Progress{State: wipe.Waiting, Method: step.Method}
		}
		disks = append(disks, tellDisk(step, progress, room))
	}
	return disks
}

func (j *job) someFailed() bool {
	for _, disk := range j.disks() {
		if disk.GetState() == stateFailed {
			return true
		}
	}
	return false
}

func (j *job) tell() *api.ReportRequest {
	return &api.ReportRequest{Report: &api.ReportRequest_Progress{Progress: &api.Progress{Disks: j.disks()}}}
}

func (j *job) result(problem string) *api.ReportRequest {
	return &api.ReportRequest{Report: &api.ReportRequest_Result{Result: &api.Result{Disks: j.disks(), Problem: cut(problem, longest)}}}
}

func (j *job) of(report *api.ReportRequest) *api.ReportRequest {
	report.Uuid, report.Sequence = j.uuid, j.order.GetSequence()
	return report
}

// deliver reports, trying until the appliance has it. An error is a refusal.
func (j *job) deliver(ctx context.Context, report *api.ReportRequest) error {
	pace := j.orders.agent.Pace
	for wait := pace.FirstRetry; ; wait = min(2*wait, pace.LastRetry) {
		_, err := call(ctx, j.orders.client.Report, j.of(report))
		switch {
		case err == nil:
			return nil
		case refused(err):
			return fmt.Errorf("report to the appliance: %w", err)
		}
		if err := pause.For(ctx, wait); err != nil {
			return err
		}
	}
}

// refused tells that saying it again is of no use.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.FailedPrecondition, codes.NotFound, codes.InvalidArgument, codes.Unimplemented:
		return true
	default:
		return false
	}
}
