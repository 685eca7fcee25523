package servers

import (
	"context"
	"errors"
	"fmt"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Accept accepts servers: from then on they are wiped, switched on and off, and given to clusters.
func (p *Pool) Accept(ctx context.Context, names []string) error {
	return p.each(ctx, names, func(s *v1alpha2.Server) error { return p.accept(ctx, s) })
}

// AcceptAll accepts every server that is not accepted, other than those that are being deleted or whose identity is in doubt.
func (p *Pool) AcceptAll(ctx context.Context) error {
	all, err := p.all(ctx)
	if err != nil {
		return err
	}

	var waiting []v1alpha2.Server

	for _, s := range all {
		if !s.Spec.Accepted && s.DeletionTimestamp.IsZero() && !s.Duplicate() {
			waiting = append(waiting, s)
		}
	}

	if len(waiting) == 0 {
		fmt.Fprintln(p.Err, "No server waits to be accepted.")
	}

	return about(ctx, waiting, func(s *v1alpha2.Server) error { return p.accept(ctx, s) })
}

func (p *Pool) accept(ctx context.Context, s *v1alpha2.Server) error {
	switch {
	case s.Duplicate():
		return errDuplicate
	case s.Spec.Accepted:
		p.tell(s, "is accepted already")

		return nil
	}

	if err := p.do(ctx, s, patchSpec(s, `{"accepted":true}`)); err != nil {
		return err
	}

	if s.Status.IsClean {
		p.tell(s, "accepted")
	} else {
		p.tell(s, "accepted; it is wiped before its first use")
	}

	return nil
}

// Cordon keeps servers out of every class, or lets them in again.
func (p *Pool) Cordon(ctx context.Context, names []string, cordoned bool) error {
	done := "uncordoned"
	if cordoned {
		done = "cordoned"
	}

	return p.each(ctx, names, func(s *v1alpha2.Server) error {
		if s.Spec.Cordoned == cordoned {
			p.tell(s, "is %s already", done)

			return nil
		}

		if err := p.do(ctx, s, patchSpec(s, fmt.Sprintf(`{"cordoned":%t}`, cordoned))); err != nil {
			return err
		}

		p.tell(s, "%s", done)

		return nil
	})
}

func patchSpec(s *v1alpha2.Server, fields string) step {
	patch := `{"spec":` + fields + `}`

	return step{kubectl: fmt.Sprintf("patch server %s --type merge -p '%s'", s.Name, patch), patch: patch}
}

var errDuplicate = errors.New("another machine claims the same identity, so nobody knows which one this is: the server's condition DuplicateIdentity tells how to decide")
