package node

import (
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
)

// sequence tells that one of Talos's sequences begins or ends.
func (n *node) sequence(name string, action machine.SequenceEvent_Action) {
	n.link.Publish(&machine.SequenceEvent{Sequence: name, Action: action})
}

// failed tells that a sequence has ended early. One that ends with a restart does so, too.
func (n *node) failed(name, reason string) {
	n.link.Publish(&machine.SequenceEvent{
		Sequence: name, Action: machine.SequenceEvent_NOOP, Error: &common.Error{Code: common.Code_FATAL, Message: reason},
	})
}

// phase does a part of a sequence, and tells.
func (n *node) phase(name string, do func() error) error {
	n.link.Publish(&machine.PhaseEvent{Phase: name, Action: machine.PhaseEvent_START})

	if err := do(); err != nil {
		return err
	}

	n.link.Publish(&machine.PhaseEvent{Phase: name, Action: machine.PhaseEvent_STOP})

	return nil
}

// stage tells what the machine does.
func (n *node) stage(stage machine.MachineStatusEvent_MachineStage, ready bool) {
	n.link.Publish(&machine.MachineStatusEvent{Stage: stage, Status: &machine.MachineStatusEvent_MachineStatus{Ready: ready}})
}

// addresses tells how the node is reached, in SideroLink too.
func (n *node) addresses(hostname string) {
	event := &machine.AddressEvent{Hostname: hostname}
	for _, address := range n.Network.Addresses {
		event.Addresses = append(event.Addresses, address.String())
	}

	if tunnel := n.link.Address(); tunnel.IsValid() {
		event.Addresses = append(event.Addresses, tunnel.String())
	}

	n.link.Publish(event)
}
