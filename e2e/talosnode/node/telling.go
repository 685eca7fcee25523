package node

import (
	"fmt"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
)

// sequence does one of Talos's sequences, and tells when it begins and ends, and why it has failed.
func (n *node) sequence(name string, do func() error) error {
	n.link.Publish(&machine.SequenceEvent{Sequence: name, Action: machine.SequenceEvent_START})

	err := do()

	n.link.Publish(&machine.SequenceEvent{Sequence: name, Action: machine.SequenceEvent_STOP})

	if err != nil {
		n.fails(name, err.Error())
	}

	return err
}

// fails tells that a sequence has ended early.
func (n *node) fails(name, reason string) {
	n.link.Publish(&machine.SequenceEvent{
		Sequence: name, Action: machine.SequenceEvent_NOOP, Error: &common.Error{Code: common.Code_FATAL, Message: "sequence failed: " + reason},
	})
}

// restarts tells that a sequence has come to its restart of the machine, which is an error in Talos.
func (n *node) restarts(name string) {
	n.fails(name, fmt.Sprintf("error running phase in %s sequence: task 1/1: failed, unix.Reboot(1234567)", name))
}

// phase does a part of a sequence, and tells.
func (n *node) phase(name string, do func() error) error {
	n.link.Publish(&machine.PhaseEvent{Phase: name, Action: machine.PhaseEvent_START})
	defer n.link.Publish(&machine.PhaseEvent{Phase: name, Action: machine.PhaseEvent_STOP})

	return do()
}

// nothing is what an empty sequence or phase does.
func nothing() error { return nil }

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
