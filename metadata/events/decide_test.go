package events_test

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/protobuf/proto"

	"github.com/sidero-appliance/sidero-appliance/metadata/events"
)

func TestDecide(t *testing.T) {
	loaded := []events.Finding{{Aspect: events.ConfigValidated, True: true}, {Aspect: events.ConfigLoaded, True: true}}
	installed := events.Finding{Aspect: events.Installed, True: true}
	installing := events.Finding{Aspect: events.Installed, Reason: events.ReasonInstalling}
	facts := events.Facts{Tunnel: netip.MustParseAddr("fd00::5"), Hidden: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}}
	sequence := func(name string, action machine.SequenceEvent_Action, err *common.Error) proto.Message {
		return &machine.SequenceEvent{Sequence: name, Action: action, Error: err}
	}
	phase := func(name string, action machine.PhaseEvent_Action) proto.Message {
		return &machine.PhaseEvent{Phase: name, Action: action}
	}
	stage := func(stage machine.MachineStatusEvent_MachineStage, ready bool) proto.Message {
		return &machine.MachineStatusEvent{Stage: stage, Status: &machine.MachineStatusEvent_MachineStatus{Ready: ready}}
	}
	for _, test := range []struct {
		name  string
		event proto.Message
		facts events.Facts
		want  events.Effect
	}{
		{
			"addresses", &machine.AddressEvent{Hostname: "n1", Addresses: []string{"192.0.2.7", "fd00::5", "10.1.2.3", "fe80::1%eth0", "nonsense", "", "2001:db8::1"}}, facts,
			events.Effect{Addressing: &events.Addressing{Hostname: "n1", Addresses: []string{"192.0.2.7", "2001:db8::1"}}},
		},
		{"no addresses", &machine.AddressEvent{}, facts, events.Effect{Addressing: &events.Addressing{}}},
		{
			"configuration not loaded", &machine.ConfigLoadErrorEvent{Error: "e"}, facts,
			events.Effect{Findings: []events.Finding{{Aspect: events.ConfigLoaded, Reason: events.ReasonLoadFailed, Message: "e"}}, Step: "configuration could not be loaded: e"},
		},
		{
			"configuration not valid", &machine.ConfigValidationErrorEvent{Error: "e"}, facts,
			events.Effect{Findings: []events.Finding{{Aspect: events.ConfigValidated, Reason: events.ReasonValidationFailed, Message: "e"}}, Step: "configuration is not valid: e"},
		},
		{
			"configuration not loaded, with what a patch holds",
			&machine.ConfigLoadErrorEvent{Error: "unknown keys found during decoding:\nmachine:\n  registries:\n    auht: hunter2\n"}, facts,
			events.Effect{
				Findings: []events.Finding{{Aspect: events.ConfigLoaded, Reason: events.ReasonLoadFailed, Message: "unknown keys: machine.registries.auht"}},
				Step:     "configuration could not be loaded: unknown keys: machine.registries.auht",
			},
		},
		{"phase install starts", phase("install", machine.PhaseEvent_START), facts, events.Effect{Findings: []events.Finding{installing}, Step: "installs"}},
		{"phase install ends", phase("install", machine.PhaseEvent_STOP), facts, events.Effect{}},
		{"phase saveConfig starts", phase("saveConfig", machine.PhaseEvent_START), facts, events.Effect{Findings: loaded, Loaded: true}},
		{"phase saveConfig ends", phase("saveConfig", machine.PhaseEvent_STOP), facts, events.Effect{}},
		{"other phase", phase("user", machine.PhaseEvent_START), facts, events.Effect{}},
		{
			"install ends with a restart", sequence("install", machine.SequenceEvent_NOOP, &common.Error{Code: common.Code_FATAL, Message: "unix.Reboot(0x1234567)"}), facts,
			events.Effect{Findings: []events.Finding{installed}, Step: "installed, restarts"},
		},
		{
			"install fails", sequence("install", machine.SequenceEvent_NOOP, &common.Error{Code: common.Code_FATAL, Message: "no disk"}), facts,
			events.Effect{Findings: []events.Finding{{Aspect: events.Installed, Reason: events.ReasonInstallFailed, Message: "no disk"}}, Step: "installation failed: no disk"},
		},
		{"install without an error, whose code would be that of a fatal one", sequence("install", machine.SequenceEvent_NOOP, nil), facts, events.Effect{}},
		{"install with a lesser error", sequence("install", machine.SequenceEvent_NOOP, &common.Error{Code: common.Code_LOCKED, Message: "x"}), facts, events.Effect{}},
		{"install starts", sequence("install", machine.SequenceEvent_START, nil), facts, events.Effect{}},
		{"boot starts", sequence("boot", machine.SequenceEvent_START, nil), facts, events.Effect{Findings: append(loaded[:2:2], installed), Loaded: true, Step: "boots"}},
		{"boot starts before an unattended installation", sequence("boot", machine.SequenceEvent_START, nil), events.Facts{Unattended: true}, events.Effect{Findings: loaded, Loaded: true, Step: "boots"}},
		{"boot ends", sequence("boot", machine.SequenceEvent_STOP, nil), facts, events.Effect{}},
		{"other sequence", sequence("reset", machine.SequenceEvent_START, nil), facts, events.Effect{}},
		{"stage installing", stage(machine.MachineStatusEvent_INSTALLING, false), facts, events.Effect{Findings: []events.Finding{installing}}},
		{"stage running", stage(machine.MachineStatusEvent_RUNNING, false), facts, events.Effect{Findings: []events.Finding{installed}}},
		{"stage running and ready", stage(machine.MachineStatusEvent_RUNNING, true), facts, events.Effect{Findings: []events.Finding{installed}, Step: "runs and is ready"}},
		{"stage maintenance", stage(machine.MachineStatusEvent_MAINTENANCE, true), facts, events.Effect{}},
		{"task", &machine.TaskEvent{Task: "x"}, facts, events.Effect{}},
		{"service", &machine.ServiceStateEvent{Service: "etcd"}, facts, events.Effect{}},
		{"restart", &machine.RestartEvent{}, facts, events.Effect{}},
		{"nothing", nil, facts, events.Effect{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := events.Decide(test.event, test.facts); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}
