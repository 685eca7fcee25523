package bootplan

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
)

// DefaultEnvironment is booted where neither a Server nor its class names another.
const DefaultEnvironment = "default"

// FromDisk is the way a machine is told to leave the network boot. The values are Sidero's.
type FromDisk string

// The ways to boot from disk.
const (
	IPXEExit    FromDisk = "ipxe-exit"
	HTTP404     FromDisk = "http-404"
	IPXESANBoot FromDisk = "ipxe-sanboot"
)

// Choices are what may be said of a machine in three places: its Server, its class, and the appliance's settings.
type Choices struct {
	// Environment is the name of one.
	Environment string
	FromDisk    FromDisk
}

// Allocation is what the API knows of a server in use.
type Allocation struct {
	// Installed tells that an operating system is on its disk.
	Installed bool
	// PXEBootAlways boots it from the network nevertheless.
	PXEBootAlways bool
	// Anew tells that a person lets it have its configuration again, and that what is on its disk has not fetched it: as after a
	// "talosctl reset" of the whole disk it has to start from the network, also when it was installed.
	Anew bool
	// Server and Class are what these say; Class is empty when the server was taken by its name.
	Server, Class Choices
	// MissingClass is the name of the class that the server was taken from, when there is no such class.
	MissingClass string
	// Environment is the one of EnvironmentName.
	Environment Environment
	// Token is by which the machine fetches its configuration; empty when nobody asks for one.
	Token string
}

// Environment is what the API knows of one. The zero value does not exist.
type Environment struct {
	Exists, Ready bool
	// Initrd tells that its kernel has an initial RAM disk.
	Initrd bool
	// Args for the kernel.
	Args []string
}

// EnvironmentName is that of the Environment to boot: what the Server says goes before its class, and that before the default.
func (a Allocation) EnvironmentName() string {
	return cmp.Or(a.Server.Environment, a.Class.Environment, DefaultEnvironment)
}

// Disk tells whether it starts from its disk, as a rule.
func (a Allocation) Disk() bool { return a.Installed && !a.PXEBootAlways }

// lacks is the plan of a machine for which there is not what it is to boot.
func (a Allocation) lacks() (Plan, bool) {
	switch {
	case a.MissingClass != "" && a.Server.Environment == "":
		return Plan{Action: NotFound, Reason: fmt.Sprintf("There is no ServerClass %s, which this machine was taken from", a.MissingClass)}, true
	case !a.Environment.Exists:
		return Plan{Action: NotFound, Reason: fmt.Sprintf("There is no Environment %s, which this machine is to boot", a.EnvironmentName())}, true
	case !a.Environment.Ready:
		return Plan{Action: NotReady, Reason: fmt.Sprintf("The files of Environment %s are not here yet", a.EnvironmentName())}, true
	default:
		return Plan{}, false
	}
}

// anew is what is said of a machine that is not sent to its disk.
func (a Allocation) anew() string {
	if a.Disk() && a.Anew {
		return " and to have its configuration again"
	}
	return ""
}

// Talos says where nodes report to. What is empty is left out of their kernel arguments.
type Talos struct {
	// API is SideroLink's HOST:PORT, Logs a URL and Events a HOST:PORT.
	API, Logs, Events string
}

// allocated decides for a machine in use.
func allocated(facts Facts) Plan {
	a, name := *facts.Server.Allocation, facts.Server.Allocation.EnvironmentName()
	lacking, lacks := a.lacks()
	switch {
	case a.Disk() && (!a.Anew || lacks):
		return Plan{
			Action: BootFromDisk, FromDisk: cmp.Or(a.Server.FromDisk, a.Class.FromDisk, facts.FromDisk, IPXEExit),
			Reason: "This machine is in use and has an operating system: starting it from its disk",
		}
	case lacks:
		return lacking
	case facts.Request.Loader.outdated():
		return newerIPXE(facts.Request.Arch)
	}
	plan := Plan{
		Action: BootEnvironment, Environment: name,
		Reason: fmt.Sprintf("This machine is in use%s: starting Environment %s", a.anew(), name),
		Args:   talosArgs(a, facts),
	}
	if a.Environment.Initrd {
		plan.Initrds = []string{"initramfs.xz"}
	}
	return plan
}

// talosArgs are an Environment's, and Sidero's, each unless the Environment has one of the kind.
func talosArgs(a Allocation, facts Facts) []string {
	args := make([]string, 0, len(a.Environment.Args)+4)
	for _, entry := range a.Environment.Args {
		args = append(args, withToken(entry, facts.Agent.Endpoint, a.Token))
	}
	address := "http://" + facts.Agent.Endpoint + configPath + "?uuid=" + uuidFor(facts)
	if a.Token != "" {
		address += "&" + tokenKey + "=" + a.Token
	}
	for _, own := range []struct{ key, value string }{
		{configKey, address},
		{"siderolink.api=", joining(facts)},
		{"talos.logging.kernel=", facts.Talos.Logs},
		{"talos.events.sink=", facts.Talos.Events},
	} {
		if own.value != "" && !hasPrefix(args, own.key) {
			args = append(args, own.key+own.value)
		}
	}
	return args
}

const (
	configKey  = "talos.config="
	configPath = "/configdata"
	tokenKey   = "token"
)

// uuidFor is empty where Talos fills in the machine's UUID itself, as in Sidero. Where several machines have the UUID that is not
// the name of the Server.
func uuidFor(facts Facts) string {
	if facts.Server.Name == facts.Request.UUID {
		return ""
	}
	return url.QueryEscape(facts.Server.Name)
}

// joining is where the machine joins SideroLink. It tells its UUID there; where several machines have it, the token of the address,
// which Talos gives back as it is, tells which Server it is.
func joining(facts Facts) string {
	name := uuidFor(facts)
	if name == "" || facts.Talos.API == "" {
		return facts.Talos.API
	}
	return "grpc://" + facts.Talos.API + "/?jointoken=" + name
}

func hasPrefix(args []string, prefix string) bool {
	for _, entry := range args {
		for _, arg := range strings.Fields(entry) {
			if strings.HasPrefix(arg, prefix) {
				return true
			}
		}
	}
	return false
}

// withToken adds the token to arguments that have a machine fetch its configuration from this appliance. Addresses elsewhere never
// get it, nor does one that has a token already. The text stays as it is: iPXE fills in the settings that it names, such as ${uuid}.
func withToken(entry, endpoint, token string) string {
	if token == "" || !strings.Contains(entry, configKey) {
		return entry
	}
	words := strings.Fields(entry)
	for i, word := range words {
		address, ok := strings.CutPrefix(word, configKey)
		if !ok {
			continue
		}
		base, query, hasQuery := strings.Cut(address, "?")
		if base != "http://"+endpoint+configPath || hasToken(query) {
			continue
		}
		separator := "?"
		if hasQuery {
			separator = "&"
		}
		words[i] = word + separator + tokenKey + "=" + token
	}
	return strings.Join(words, " ")
}

func hasToken(query string) bool {
	for _, pair := range strings.Split(query, "&") {
		if name, _, _ := strings.Cut(pair, "="); name == tokenKey {
			return true
		}
	}
	return false
}
