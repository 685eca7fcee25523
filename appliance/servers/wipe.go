package servers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// WipePlan shows which disks of a server a wipe would write to, and what the last one did.
func (p *Pool) WipePlan(ctx context.Context, name string) error {
	return p.one(ctx, name, func(s *v1alpha2.Server) error {
		p.say(fmt.Sprintf("get server %s -o jsonpath='{.status.wipe}'", s.Name))

		if s.Status.Wipe == nil {
			return errNoPlan
		}

		return p.showPlan(p.Out, s)
	})
}

var errNoPlan = errors.New("its agent has not told yet what a wipe would do: start the machine from the network, and look again")

// Wipe has an idle server wiped again, after a person has confirmed it, or has said yes before.
func (p *Pool) Wipe(ctx context.Context, name string, yes bool) error {
	return p.one(ctx, name, func(s *v1alpha2.Server) error {
		if err := p.idle(ctx, s); err != nil {
			return err
		}

		if !s.Status.IsClean {
			p.tell(s, "is to be wiped already%s", waitingFor(s))

			return nil
		}

		if !yes {
			if err := p.confirmWipe(ctx, s); err != nil {
				return err
			}
		}

		err := p.do(ctx, s, step{
			kubectl: fmt.Sprintf("annotate server %s --overwrite %s=again", s.Name, v1alpha2.WipeRequestAnnotation),
			patch:   fmt.Sprintf(`{"metadata":{"annotations":{%q:"again"}}}`, v1alpha2.WipeRequestAnnotation),
		})
		if err != nil {
			return err
		}

		p.tell(s, "is wiped next")

		return nil
	})
}

// idle tells why a server is not wiped. The controllers look themselves before they wipe anything: this is for people.
func (p *Pool) idle(ctx context.Context, s *v1alpha2.Server) error {
	binding, err := p.binding(ctx, s.Name)

	switch {
	case err != nil:
		return err
	case !s.DeletionTimestamp.IsZero():
		return errors.New("it is being deleted, so it is not wiped")
	case binding != nil || s.Status.InUse:
		return fmt.Errorf("it is in use, so it is not wiped: \"sidero-appliance release %s\" tells how to take it back, and it is wiped then", s.Name)
	case !s.Spec.Accepted:
		return fmt.Errorf("it is not accepted, so it is not wiped: \"sidero-appliance accept %s\" accepts it, and it is wiped then", s.Name)
	case s.Duplicate():
		return errDuplicate
	default:
		return nil
	}
}

func waitingFor(s *v1alpha2.Server) string {
	if s.Status.WaitingFor == "" {
		return ""
	}

	return "; it waits for " + s.Status.WaitingFor
}

func (p *Pool) confirmWipe(ctx context.Context, s *v1alpha2.Server) error {
	if s.Status.Wipe == nil {
		fmt.Fprintf(p.Err, "%s\n%s\n", title(s), "Its agent has not told which disks that are.")
	} else if err := p.showPlan(p.Err, s); err != nil {
		return err
	}

	fmt.Fprintln(p.Err, "What is on the disks that are wiped is lost for ever.")

	return p.confirm(ctx, "wipe")
}

// showPlan prints what is planned for the disks of a server that has told it.
func (p *Pool) showPlan(w io.Writer, s *v1alpha2.Server) error {
	wipe := s.Status.Wipe
	fmt.Fprintln(w, title(s))

	for _, when := range []struct {
		what string
		age  string
	}{
		{"planned", age(p.Now(), wipe.PlannedAt)},
		{"last wipe begun", age(p.Now(), wipe.StartedAt)},
		{"last wipe ended", age(p.Now(), wipe.FinishedAt)},
	} {
		if when.age != "" {
			fmt.Fprintf(w, "%s %s ago\n", when.what, when.age)
		}
	}

	if wipe.PolicyFrom != "" {
		fmt.Fprintf(w, "policy (%s)\n", printable(wipe.PolicyFrom))
	}

	if wipe.Problem != "" {
		fmt.Fprintf(w, "problem: %s\n", printable(wipe.Problem))
	}

	return table(w, []column[v1alpha2.WipeDiskStatus]{
		{"DISK", false, func(d *v1alpha2.WipeDiskStatus) string { return d.Name }},
		{"ACTION", false, func(d *v1alpha2.WipeDiskStatus) string { return d.Action }},
		{"METHOD", false, func(d *v1alpha2.WipeDiskStatus) string { return d.Method }},
		{"STATE", false, state},
		{"WHAT", false, func(d *v1alpha2.WipeDiskStatus) string { return d.Description }},
		{"WHY", false, why},
	}, wipe.Disks)
}

// state of a disk, with how far it is.
func state(d *v1alpha2.WipeDiskStatus) string {
	if d.State != diskRunning || d.Total <= 0 {
		return d.State
	}

	return fmt.Sprintf("%s %d%%", d.State, int(100*float64(d.Done)/float64(d.Total)))
}

// diskRunning is the state of a disk that is being wiped.
const diskRunning = "running"

// why a disk is wiped or kept, and why that did not work.
func why(d *v1alpha2.WipeDiskStatus) string {
	switch {
	case d.Error == "":
		return d.Reason
	case d.Reason == "":
		return "failed: " + d.Error
	default:
		return d.Reason + "; failed: " + d.Error
	}
}
