package supervisor

import (
	"context"
	"slices"
)

// Check is the readiness of one component: Err is nil if it serves.
type Check struct {
	Name string
	Err  error
}

// Checks asks every component, in start order, whether it serves. Those with an
// excepted name are not asked, and not in the answer: a component whose own
// readiness includes that of the others excepts itself.
func (s *Supervisor) Checks(ctx context.Context, except ...string) []Check {
	s.mu.Lock()
	started, stopping := len(s.started), s.stopping
	s.mu.Unlock()
	checks := make([]Check, 0, len(s.cfg.Components))
	for i, c := range s.cfg.Components {
		check := Check{Name: c.Name()}
		if slices.Contains(except, check.Name) {
			continue
		}
		switch {
		case stopping:
			check.Err = errStopping
		case i >= started:
			check.Err = errNotStarted
		default:
			check.Err = c.Ready(ctx)
		}
		checks = append(checks, check)
	}
	return checks
}
