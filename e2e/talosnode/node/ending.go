package node

import (
	"context"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
)

// Ending is how a node that runs is to end.
type Ending struct {
	// Sequence of Talos, and the stage that tells of it.
	Sequence string
	Stage    machine.MachineStatusEvent_MachineStage
	// First is done while everything still runs; the node goes on when it fails. Optional.
	First func(context.Context) error
	// Last is done when nothing runs any more. Optional.
	Last    func() error
	Outcome Outcome
}

// end ends the node; if it cannot, the node goes on until it is asked again.
func (r *running) end(ctx context.Context, e Ending, lower, upper *layer) (Outcome, error) {
	for {
		r.log.Info("ends as it was asked to", "sequence", e.Sequence)

		failed := r.sequence(e.Sequence, func() error {
			if e.First == nil {
				return nil
			}

			return e.First(ctx)
		})
		if failed == nil {
			break
		}

		r.log.Error("cannot end", "sequence", e.Sequence, "error", failed)

		select {
		case <-ctx.Done():
			return 0, ctx.Err() //nolint:wrapcheck // the caller's own
		case err := <-r.broken:
			return 0, err
		case e = <-r.Ends():
		}
	}

	r.stage(e.Stage, false)
	upper.stop()
	lower.stop()

	if e.Last != nil {
		if err := e.Last(); err != nil {
			return 0, err
		}
	}

	r.restarts(e.Sequence)

	return e.Outcome, nil
}
