package agent

import (
	"fmt"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/console"
)

// screen tells who the machine is and what happens next, where no orders are given.
func (r *registrar) screen(hardware *api.HardwareInformation, reply *api.CreateServerResponse) console.Screen {
	known := r.facts(hardware)
	known.accepted, known.wipe = reply.GetWipe() || reply.GetSetupBmc(), reply.GetWipe()
	return registeredScreen(known)
}

func (r *registrar) facts(hardware *api.HardwareInformation) facts {
	return facts{
		hardware:  hardware,
		nic:       r.link.Interface + "  " + r.link.MAC.String(),
		address:   r.link.Address.String(),
		appliance: r.endpoint,
		bmc:       r.bmc.shown(),
	}
}

type facts struct {
	hardware *api.HardwareInformation
	accepted bool
	// wipe tells that the disks shall be wiped.
	wipe      bool
	nic       string
	address   string
	appliance string
	// bmc is how it stands with the account on the BMC, "" when nothing was done.
	bmc string
}

// registeredScreen is what a registered machine shows while it waits. A reply that asks
// for something says that the server is accepted; one that does not says nothing: the
// protocol does not tell a server that waits to be accepted from an accepted clean one.
func registeredScreen(f facts) console.Screen {
	uuid := f.hardware.GetSystem().GetUuid()
	screen := console.Screen{
		Title: "This machine is registered.",
		Rows:  f.rows(uuid),
		Advice: []string{
			"Unless it is accepted already, accept it with:",
			"  kubectl patch server " + uuid + ` --type merge \`,
			`    -p '{"spec":{"accepted":true}}'`,
			"Its disks are left as they are.",
			"Keep it on, or switch it off: it stays registered.",
		},
	}
	if f.accepted {
		screen.Title = "This machine is registered and accepted."
		screen.Advice = []string{"Its disks are left as they are."}
		if f.wipe {
			screen.Advice = append([]string{"The appliance asks for the next step, which this version of the agent does not do."}, screen.Advice...)
		}
	}
	return screen
}

// rows tell which machine this is.
func (f facts) rows(server string) []console.Row {
	rows := []console.Row{
		{Label: "server", Value: server},
		{Label: "machine", Value: machineName(f.hardware.GetSystem())},
		{Label: "hardware", Value: summary(f.hardware)},
		{Label: "boot nic", Value: f.nic},
		{Label: "address", Value: f.address},
		{Label: "appliance", Value: f.appliance},
	}
	if f.bmc != "" {
		rows = append(rows, console.Row{Label: "bmc", Value: f.bmc})
	}
	return rows
}

// orderScreen is what a machine shows that is told what to do, but for a wipe.
func orderScreen(f facts, order *api.WaitResponse, plan *api.Plan) console.Screen {
	screen := console.Screen{Rows: f.rows(order.GetServer())}
	switch order.GetOrder() {
	case api.Order_REBOOT:
		screen.Title = "This machine is allocated: it starts again, from the network."
		return screen
	case api.Order_POWER_OFF:
		screen.Title = "This machine is switched off."
		return screen
	}
	screen.Title, screen.Advice = stayText(order)
	if order.GetReason() == api.Reason_NOT_ACCEPTED {
		screen.Rows = append(screen.Rows, console.Row{Label: "wipe plan", Value: planSummary(plan)})
	}
	return screen
}

// stayText says why a machine waits, and what a person can do.
func stayText(order *api.WaitResponse) (title string, advice []string) {
	server := order.GetServer()
	switch order.GetReason() {
	case api.Reason_NOT_ACCEPTED:
		return "This machine is registered, and waits to be accepted.", []string{
			"Accept it with:",
			"  kubectl patch server " + server + ` --type merge \`,
			`    -p '{"spec":{"accepted":true}}'`,
			"or, on the appliance, with:",
			"  sidero-appliance accept " + server,
			"Until then its disks are left as they are. Keep it on, or switch it off.",
		}
	case api.Reason_CLEAN_TURNED_OFF:
		return "This machine is wiped and ready: the appliance turns it off until it is used.", nil
	case api.Reason_CLEAN:
		return "This machine is wiped and ready: it waits to be used.", []string{
			"Nothing can switch it on from afar: keep it on, or start it from the network when it is used.",
		}
	case api.Reason_DUPLICATE:
		return "Another machine claims to be this one: nothing is done with either.", []string{
			"See which machines they are, and decide, with:",
			"  kubectl describe server " + server,
		}
	case api.Reason_PAUSED:
		return "This machine is registered, and paused.", []string{
			"End the pause with:",
			"  kubectl annotate server " + server + ` \`,
			"    cluster.x-k8s.io/paused-",
		}
	case api.Reason_LEAVING:
		return "This machine is given back, or deleted: it waits for what comes next.", nil
	case api.Reason_UNCLEAR:
		return "It is not clear which disks of this machine are to be wiped: none is.", []string{
			"See who says what, and set spec.wipe of the server, with:",
			"  kubectl describe server " + server,
			"  kubectl edit server " + server,
		}
	default:
		return "This machine is registered, and waits.", nil
	}
}

// planSummary says what acceptance would mean for the disks.
func planSummary(plan *api.Plan) string {
	switch {
	case plan == nil:
		return "not known yet"
	case plan.GetProblem() != "":
		return "none, because " + plan.GetProblem()
	}
	var wiped []string
	for _, disk := range plan.GetDisks() {
		if disk.GetAction() == actionWipe {
			wiped = append(wiped, disk.GetName())
		}
	}
	if len(wiped) == 0 {
		return "no disk"
	}
	return fmt.Sprintf("%s (%d of %d disks), once it is accepted", strings.Join(wiped, " "), len(wiped), len(plan.GetDisks()))
}

// wipeScreen is what a machine shows that wipes its disks, or has failed to.
func wipeScreen(f facts, server string, disks []*api.WipedDisk, failure error) console.Screen {
	screen := console.Screen{Title: "The disks of this machine are being wiped.", Rows: f.rows(server)}
	for _, disk := range disks {
		row := console.Row{Label: disk.GetName(), Value: fmt.Sprintf("%s, %s", disk.GetState(), disk.GetMethod())}
		if disk.GetTotal() > 0 && disk.GetState() == stateRunning {
			row.Value += fmt.Sprintf(", %d%%", int64(float64(disk.GetDone())/float64(disk.GetTotal())*100))
		}
		if disk.GetError() != "" {
			row.Value += ": " + disk.GetError()
		}
		screen.Rows = append(screen.Rows, row)
	}
	if failure != nil {
		screen.Title = "The wipe of this machine has FAILED."
		screen.Rows = append(screen.Rows, console.Row{Label: "cause", Value: strings.ReplaceAll(failure.Error(), "\n", "; ")})
		screen.Advice = []string{
			"It is tried again. See what is planned for the disks, and what failed, with:",
			"  kubectl describe server " + server,
		}
	}
	return screen
}

func machineName(system *api.SystemInformation) string {
	name := system.GetManufacturer() + " " + system.GetProductName()
	if serial := system.GetSerialNumber(); serial != "" {
		name += ", serial " + serial
	}
	return name
}

func summary(hardware *api.HardwareInformation) string {
	const gib = 1 << 30
	return fmt.Sprintf("%d cores, %d MB memory, %d disks with %.1f GiB, %d network interfaces",
		hardware.GetCompute().GetTotalCoreCount(), hardware.GetMemory().GetTotalSize(),
		hardware.GetStorage().GetDeviceCount(), float64(hardware.GetStorage().GetTotalSize())/gib,
		hardware.GetNetwork().GetInterfaceCount())
}
