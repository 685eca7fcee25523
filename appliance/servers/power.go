package servers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Order is what is asked of a machine's power.
type Order string

// The orders.
const (
	On    Order = "on"
	Off   Order = "off"
	Cycle Order = "cycle"
)

// settles is how long after the appliance took up an order its success is believed. Meanwhile the appliance has looked at the
// power again, or nothing has gone wrong where that says nothing.
const settles = 5 * time.Second

// pausedAnnotation is Cluster API's. The controllers do nothing of their own accord to what has it.
const pausedAnnotation = "cluster.x-k8s.io/paused"

// Power asks for the power of servers, all at once, and waits until they have it. With no time to wait it only asks.
func (p *Pool) Power(ctx context.Context, names []string, order Order, timeout time.Duration) error {
	var asked []request

	errs := p.each(ctx, names, func(s *v1alpha2.Server) error {
		r, err := p.ask(ctx, s, order)
		if err == nil {
			asked = append(asked, r)
		}

		return err
	})

	if timeout <= 0 {
		for _, r := range asked {
			p.tell(r.before, "asked for power %s", order)
		}

		return errs
	}

	return errors.Join(errs, p.await(ctx, asked, timeout))
}

// ask writes the order down for the controllers.
func (p *Pool) ask(ctx context.Context, s *v1alpha2.Server, order Order) (request, error) {
	if err := powerless(s, order); err != nil {
		return request{}, err
	}

	if note := undone(s, order); note != "" {
		fmt.Fprintf(p.Err, "%s: %s\n", title(s), note)
	}

	before := s.DeepCopy()
	err := p.do(ctx, s, step{
		kubectl: fmt.Sprintf("annotate server %s --overwrite %s=%s", s.Name, v1alpha2.PowerRequestAnnotation, order),
		patch:   fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha2.PowerRequestAnnotation, order),
	})

	return request{before: before, order: order}, err
}

// powerless tells why a server's power is not switched. What nothing controls its agent may still turn off.
func powerless(s *v1alpha2.Server, order Order) error {
	switch {
	case !s.Spec.Accepted:
		return fmt.Errorf("it is not accepted, so nothing is done to it: accept it first with \"sidero-appliance accept %s\"", s.Name)
	case s.Duplicate():
		return errDuplicate
	case order == Off && !s.Status.InUse:
		return nil
	case s.Spec.PowerDriver() == v1alpha2.PowerManual:
		return errors.New("nothing controls its power, so somebody has to go there: spec.bmc or spec.power of the server changes that")
	case s.Spec.PowerDriver() == v1alpha2.PowerIPMI && !s.Spec.BMC.HasLogin():
		return errors.New("its BMC's user and password are not known yet: its agent sets them up, or you write them into spec.bmc")
	default:
		return nil
	}
}

// undone warns of what the controllers will do against an order.
func undone(s *v1alpha2.Server, order Order) string {
	if _, paused := s.Annotations[pausedAnnotation]; paused {
		return ""
	}

	switch {
	case order == Off && s.Status.InUse:
		return "it is in use, and is turned on again unless it is paused"
	case order != Off && s.Status.IsClean && !s.Status.InUse:
		return "it is clean and not in use, and is turned off again unless it is paused"
	default:
		return ""
	}
}

// request is an order that the appliance was asked to carry out.
type request struct {
	before *v1alpha2.Server
	order  Order
	// taken is when it was first seen that the appliance took it up.
	taken time.Time
}

// await looks at servers until each has the power that was asked for, or cannot have it, or the time is over.
func (p *Pool) await(ctx context.Context, asked []request, timeout time.Duration) error {
	var errs []error

	deadline := p.Now().Add(timeout)
	tick := time.NewTicker(p.Poll)

	defer tick.Stop()

	for len(asked) > 0 {
		var pending []request

		for _, r := range asked {
			done, err := p.check(ctx, &r, !p.Now().Before(deadline))
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", title(r.before), err))
			} else if !done {
				pending = append(pending, r)
			}
		}

		if asked = pending; len(asked) == 0 {
			break
		}

		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(append(errs, errors.New("interrupted: what was asked for is done nevertheless"))...)
		}
	}

	return errors.Join(errs...)
}

// check looks at a server once, and prints what came of the request when that is known.
func (p *Pool) check(ctx context.Context, r *request, late bool) (done bool, err error) {
	now := &v1alpha2.Server{}
	if err := p.Client.Get(ctx, client.ObjectKeyFromObject(r.before), now); err != nil {
		if ctx.Err() != nil {
			return false, nil // interrupted
		}

		return true, p.explain(fmt.Errorf("look whether it is done: %w", err))
	}

	if _, open := now.Annotations[v1alpha2.PowerRequestAnnotation]; !open && r.taken.IsZero() {
		r.taken = p.Now()
	}

	text, err := outcome(r.before, now, r.order, !r.taken.IsZero() && p.Now().Sub(r.taken) >= settles)
	if text == "" && err == nil && late {
		err = overdue(now, r.order)
	}

	if text != "" {
		p.tell(now, "%s", text)
	}

	return text != "" || err != nil, err
}

// outcome tells what came of an order, or nothing while that is not known. Settled tells that it was taken up a while ago.
func outcome(before, now *v1alpha2.Server, order Order, settled bool) (string, error) {
	if _, open := now.Annotations[v1alpha2.PowerRequestAnnotation]; open {
		return "", nil
	}

	if err := refusal(before, now); err != nil {
		return "", err
	}

	switch asked, _ := now.Status.Conditions.Find(v1alpha2.ConditionPowerRequested); asked.Reason {
	case v1alpha2.ReasonAgentAsked:
		return "", nil
	case v1alpha2.ReasonAgentObeys:
		return "its agent turns it off", nil
	}

	was, _ := before.Status.Conditions.Find(v1alpha2.ConditionPowerControl)
	control, _ := now.Status.Conditions.Find(v1alpha2.ConditionPowerControl)
	failed := control.Status == "False"

	switch {
	case failed && (was.Status != "False" || !was.LastTransitionTime.Equal(&control.LastTransitionTime)):
		return "", trouble(control)
	case !settled: // at first the power is what it should be, and not what was seen
		return "", nil
	case order != Cycle && now.Status.Power == string(order):
		return "power is " + now.Status.Power, nil
	case failed:
		return "", nil
	case order == Cycle && now.Status.Power == v1alpha2.PowerOn:
		return "power cycle asked for, and nothing went wrong: power is on", nil
	case control.Status == "True" && now.Status.Power == v1alpha2.PowerUnknown:
		return fmt.Sprintf("power %s asked for, and nothing went wrong: its power control cannot tell whether it is on", order), nil
	default:
		return "", nil
	}
}

// refusal is what the appliance says of a request that it did not carry out, nil as long as it says nothing new.
func refusal(before, now *v1alpha2.Server) error {
	was, _ := before.Status.Conditions.Find(v1alpha2.ConditionPowerRequested)
	is, _ := now.Status.Conditions.Find(v1alpha2.ConditionPowerRequested)
	old := was.Status == is.Status && was.Message == is.Message && was.LastTransitionTime.Equal(&is.LastTransitionTime)

	if old || is.Status != "False" {
		return nil
	}

	return fmt.Errorf("it was not done (%s): %s", is.Reason, printable(is.Message))
}

// overdue is about an order of which nothing is known when the time is over.
func overdue(s *v1alpha2.Server, order Order) error {
	control, _ := s.Status.Conditions.Find(v1alpha2.ConditionPowerControl)

	switch _, open := s.Annotations[v1alpha2.PowerRequestAnnotation]; {
	case open:
		return fmt.Errorf("nobody has taken up that it is asked for power %s: see whether the appliance runs, and its metal controllers with it", order)
	case s.AskedOff(time.Now()):
		return errors.New("no power control turns it off, and its agent, which could, has not asked what to do yet: if it does not soon, somebody has to go there")
	case control.Status == "False":
		return trouble(control)
	default:
		return fmt.Errorf("it is asked for power %s, but its power is %s: \"kubectl describe server %s\" tells what was done",
			order, orUnknown(s.Status.Power), s.Name)
	}
}

func trouble(control v1alpha2.Condition) error {
	return fmt.Errorf("its power control does not work (%s): %s", control.Reason, printable(control.Message))
}

func orUnknown(power string) string {
	if power == "" {
		return v1alpha2.PowerUnknown
	}

	return power
}

// PowerStatus shows the power of servers and how it is controlled.
func (p *Pool) PowerStatus(ctx context.Context, names []string) error {
	found, errs := p.find(ctx, names)
	if len(found) == 0 {
		return errs
	}

	p.say("get servers " + strings.Join(namesOf(found), " ") +
		` -o custom-columns='NAME:.metadata.name,POWER:.status.power,PROBLEM:.status.conditions[?(@.type=="PowerControl")].message'`)

	err := table(p.Out, []column[v1alpha2.Server]{
		{"NAME", false, func(s *v1alpha2.Server) string { return s.Name }},
		{"HOSTNAME", false, func(s *v1alpha2.Server) string { return s.Spec.Hostname }},
		{"POWER", false, func(s *v1alpha2.Server) string { return orUnknown(s.Status.Power) }},
		{"DRIVER", false, func(s *v1alpha2.Server) string { return string(s.Spec.PowerDriver()) }},
		{"BMC", false, bmc},
		{"PROBLEM", false, func(s *v1alpha2.Server) string {
			control, _ := s.Status.Conditions.Find(v1alpha2.ConditionPowerControl)

			return control.Message
		}},
	}, found)

	return errors.Join(err, errs)
}
