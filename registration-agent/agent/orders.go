package agent

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/step"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

// waitTimeout is longer than an appliance lets a machine wait for its answer.
const waitTimeout = 75 * time.Second

// orders is what a registered machine is told, and does.
type orders struct {
	*registrar
	client api.OrdersClient

	// order is the last one, nil before the first.
	order *api.WaitResponse
	// asked is when the appliance was asked last.
	asked time.Time
	// planned is the plan that the appliance knows, nil when it has to be told anew.
	planned *api.Plan
	// job is the wipe under way, or the one that failed and is tried again at retryAt.
	job     *job
	retryAt time.Time
	pause   time.Duration
}

var (
	// errNoOrders is the end of a conversation with a server that has no such service:
	// Sidero's, or an older appliance.
	errNoOrders = errors.New("the server gives no orders")
	// errInterrupted tells that the machine has something to do before it waits on.
	errInterrupted = errors.New("interrupted")
)

// follow does what the appliance says until the time is there to register again. It
// ends with errNoOrders, with ctx, or with a defect of the machine.
func (o *orders) follow(ctx context.Context, until time.Time) error {
	o.planned = nil // a disk may have come or gone
	pace := o.agent.Pace
	for wait := pace.FirstRetry; time.Now().Before(until); {
		o.settle()
		o.asked = time.Now()
		order, err := o.ask(ctx, until)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errInterrupted):
			continue
		case status.Code(err) == codes.Unimplemented:
			o.stop()
			return errNoOrders
		case status.Code(err) == codes.NotFound:
			return pause.For(ctx, wait) // it has to register
		case err != nil:
			o.complain("wait for orders of", err)
			if err := pause.For(ctx, wait); err != nil {
				return err
			}
			wait = min(2*wait, pace.LastRetry)
			o.conn.ResetConnectBackoff()
			continue
		}
		if err := o.obey(ctx, order); err != nil {
			return err
		}
		o.tellNews(ctx)
		// An appliance that always answers at once is not asked without end.
		if err := pause.For(ctx, pace.FirstRetry-time.Since(o.asked)); err != nil {
			return err
		}
		wait = pace.FirstRetry
	}
	return nil
}

// settle notes how a wipe has ended, and when one that failed is tried again.
func (o *orders) settle() {
	if o.job == nil || !o.job.ended() || !o.retryAt.IsZero() {
		return
	}
	failure := o.job.failed()
	if failure == nil {
		o.job, o.pause = nil, 0
		return
	}
	pace := o.agent.Pace
	o.pause = min(max(2*o.pause, pace.FirstWipeRetry), pace.LastWipeRetry)
	o.retryAt = time.Now().Add(o.pause)
	o.agent.Logger.Error("wipe failed", "server", o.order.GetServer(), "error", failure.Error(), "again_in", o.pause)
}

// ask waits for an order, until a wipe ends, or is to be tried again.
func (o *orders) ask(ctx context.Context, until time.Time) (*api.WaitResponse, error) {
	request := &api.WaitRequest{Uuid: o.uuid(), State: o.state(), Sequence: o.order.GetSequence()}
	if o.mayBegin() {
		request.Sequence = 0 // the order is not old news
	} else if !o.retryAt.IsZero() && o.retryAt.Before(until) {
		until = o.retryAt
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if job := o.job; job != nil && !job.ended() {
		go func() {
			select {
			case <-job.done:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	order, err := callWithin(ctx, waitTimeout, o.client.Wait, request)
	if err != nil && ctx.Err() != nil {
		return nil, errInterrupted
	}
	return order, err
}

// mayBegin tells that the known order is one to wipe that waits for nothing.
func (o *orders) mayBegin() bool {
	if o.order.GetOrder() != api.Order_WIPE {
		return false
	}
	return o.job == nil || !o.retryAt.IsZero() && !time.Now().Before(o.retryAt)
}

func (o *orders) state() api.State {
	switch {
	case o.job == nil:
		return api.State_IDLE
	case o.job.ended():
		return api.State_RETRYING
	default:
		return api.State_WIPING
	}
}

// obey does what an order says. One that is known already is the answer to a machine
// that has waited in vain.
func (o *orders) obey(ctx context.Context, order *api.WaitResponse) error {
	isNew := order.GetSequence() != o.order.GetSequence()
	if isNew {
		o.stop()
		o.order, o.planned, o.pause = order, nil, 0
		o.agent.Logger.Info("order", "order", order.GetOrder().String(), "reason", order.GetReason().String(), "server", order.GetServer())
	}
	switch order.GetOrder() {
	case api.Order_WIPE:
		if o.mayBegin() {
			o.job, o.retryAt = o.begin(ctx, o.order), time.Time{}
		}
		// An appliance that knows no account gets none before the machine is clean: with one it
		// might restart the machine to have it wiped, as Sidero does.
		if wanted := wishOf(order, o.asked); wanted == nil || wanted.UserInUse != "" {
			o.bmc.grant(ctx, wanted, o.client)
		}
		return nil
	case api.Order_REBOOT, api.Order_POWER_OFF:
		o.bmc.grant(ctx, wishOf(order, o.asked), o.client)
		o.bmc.await(ctx)
		return o.leave(ctx)
	default:
		o.bmc.grant(ctx, wishOf(order, o.asked), o.client)
		o.tellPlan(ctx)
		o.display(orderScreen(o.facts(o.hardware), o.order, o.planned))
		return nil
	}
}

// stop ends a wipe that is no more ordered.
func (o *orders) stop() {
	if o.job != nil {
		o.job.stop()
	}
	o.job, o.retryAt = nil, time.Time{}
}

// leave ends the agent's work on this machine.
func (o *orders) leave(ctx context.Context) error {
	o.display(orderScreen(o.facts(o.hardware), o.order, o.planned))
	end, doing := o.agent.Machine.Reboot, "start the machine again"
	if o.order.GetOrder() == api.Order_POWER_OFF {
		end, doing = o.agent.Machine.PowerOff, "switch the machine off"
	}
	// Time to read the screen; and a machine that comes back here again and again does
	// so at a pace that leaves it reachable.
	if err := pause.For(ctx, o.agent.Pace.Leave); err != nil {
		return err
	}
	if err := end(); err != nil {
		return step.Failed(doing, err, "nothing on site: the kernel refuses")
	}
	<-ctx.Done() // the kernel stops everything
	return ctx.Err()
}

// makePlan plans a wipe of the disks that there are now. told is the plan, or why there
// is none.
func (o *orders) makePlan(ctx context.Context, policy *api.WipePolicy) (plan wipe.Plan, told *api.Plan, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	disks, err := o.agent.Machine.Disks(ctx)
	if err == nil {
		plan, err = wipe.PlanFor(disks, policyOf(policy))
	}
	if err != nil {
		return wipe.Plan{}, tellProblem(disks, err), err
	}
	for _, note := range plan.Notes {
		o.agent.Logger.Debug("wipe plan", "note", note)
	}
	return plan, tellPlan(plan), nil
}

// tellPlan has the appliance know what a wipe would do, before there is one.
func (o *orders) tellPlan(ctx context.Context) {
	if o.planned != nil {
		return
	}
	_, told, _ := o.makePlan(ctx, o.order.GetPolicy()) //nolint:errcheck // it is told
	_, err := call(ctx, o.client.Report, &api.ReportRequest{Uuid: o.uuid(), Report: &api.ReportRequest_Plan{Plan: told}})
	if err != nil {
		o.agent.Logger.Warn("the appliance does not take the wipe plan; it is told again", "remote", o.endpoint, "error", status.Convert(err).Message())
		return
	}
	o.planned = proto.CloneOf(told)
}
