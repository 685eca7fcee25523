package agent

import (
	"fmt"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/console"
)

// screen tells who the machine is and what happens next.
func (r *registrar) screen(hardware *api.HardwareInformation, reply *api.CreateServerResponse) console.Screen {
	return registeredScreen(facts{
		hardware:  hardware,
		accepted:  reply.GetWipe() || reply.GetSetupBmc(),
		nic:       r.link.Interface + "  " + r.link.MAC.String(),
		address:   r.link.Address.String(),
		appliance: r.endpoint,
	})
}

type facts struct {
	hardware  *api.HardwareInformation
	accepted  bool
	nic       string
	address   string
	appliance string
}

// registeredScreen is what a registered machine shows while it waits. A reply that asks
// for something says that the server is accepted; one that does not says nothing: the
// protocol does not tell a server that waits to be accepted from an accepted clean one.
func registeredScreen(f facts) console.Screen {
	uuid := f.hardware.GetSystem().GetUuid()
	screen := console.Screen{
		Title: "This machine is registered.",
		Rows: []console.Row{
			{Label: "server", Value: uuid},
			{Label: "machine", Value: machineName(f.hardware.GetSystem())},
			{Label: "hardware", Value: summary(f.hardware)},
			{Label: "boot nic", Value: f.nic},
			{Label: "address", Value: f.address},
			{Label: "appliance", Value: f.appliance},
		},
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
		screen.Advice = []string{"The appliance asks for the next step, which this version of the agent does not do.", "Its disks are left as they are."}
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
