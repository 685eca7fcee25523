package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/configuration"
)

// Requests are what the machine API has for ending a node, and for changing what is installed.
type Requests struct {
	State State
	// Leave takes the node out of etcd, if it is in it.
	Leave func(context.Context) error
	Log   *slog.Logger

	ends chan Ending
}

// NewRequests makes one that nobody has asked anything.
func NewRequests(state State, leave func(context.Context) error, log *slog.Logger) *Requests {
	return &Requests{State: state, Leave: leave, Log: log, ends: make(chan Ending, 1)}
}

// Ends are how the node is to end.
func (r *Requests) Ends() <-chan Ending { return r.ends }

// request has the node end. What is asked before it has begun to is in vain.
func (r *Requests) request(e Ending) {
	select {
	case r.ends <- e:
	default:
	}
}

// Reboot implements machineapi.Machine.
func (r *Requests) Reboot() {
	r.request(Ending{Sequence: "reboot", Stage: machine.MachineStatusEvent_REBOOTING, Outcome: Reboot})
}

// Shutdown implements machineapi.Machine.
func (r *Requests) Shutdown() {
	r.request(Ending{Sequence: "shutdown", Stage: machine.MachineStatusEvent_SHUTTING_DOWN, Outcome: Shutdown})
}

// Reset implements machineapi.Machine.
func (r *Requests) Reset(request *machine.ResetRequest) error {
	if request.GetMode() == machine.ResetRequest_USER_DISKS || len(request.GetUserDisksToWipe()) > 0 {
		return errors.New("this stand-in for Talos has no other disks than the system's")
	}

	e := Ending{Sequence: "reset", Stage: machine.MachineStatusEvent_RESETTING, Outcome: Shutdown}
	if request.GetReboot() {
		e.Outcome = Reboot
	}

	if request.GetGraceful() {
		e.First = r.Leave
	}

	var labels []string
	for _, partition := range request.GetSystemPartitionsToWipe() {
		labels = append(labels, partition.GetLabel())
	}

	e.Last = func() error {
		r.Log.Info("wipes", "partitions", labels)

		return r.State.Wipe(labels...)
	}
	r.request(e)

	return nil
}

// Upgrade implements machineapi.Machine.
func (r *Requests) Upgrade(image string) error {
	release := Tag(image)
	if release == "" {
		return fmt.Errorf("upgrade: the image %q has no tag", image)
	}

	r.request(Ending{
		Sequence: "upgrade", Stage: machine.MachineStatusEvent_UPGRADING, Outcome: Reboot,
		Last: func() error { return r.change(func(i *Installation) { i.Release = release }) },
	})

	return nil
}

// Apply implements machineapi.Machine.
func (r *Requests) Apply(text []byte) error {
	if _, err := configuration.Load(text); err != nil {
		return err //nolint:wrapcheck // it says what it is
	}

	return r.change(func(i *Installation) { i.Configuration = text })
}

// change writes what is installed anew.
func (r *Requests) change(how func(*Installation)) error {
	installed, err := r.State.Load()
	if err != nil {
		return err //nolint:wrapcheck // it says what it is
	}

	if installed == nil {
		return errors.New("change installation: there is none")
	}

	how(installed)

	return r.State.Install(*installed) //nolint:wrapcheck // it says what it is
}
