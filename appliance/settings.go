package appliance

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/sidero-appliance/sidero-appliance/metadata"
	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
	"github.com/sidero-appliance/sidero-appliance/power"
)

const (
	environmentPrefix = "SIDERO_APPLIANCE_"
	upstreamPrefix    = "SIDERO_CONTROLLER_MANAGER_"
)

// setting is one thing that can be configured. Its flag's name gives the name
// of its variable and of its key in the configuration file.
type setting struct {
	flag     string
	value    pflag.Value // writes to the Config that the setting is bound to
	usage    string
	fallback string // the default in words, where the value does not say it
	upstream string // the name Sidero's own variable has after SIDERO_CONTROLLER_MANAGER_
	aliasOf  string // the flag that this is Sidero's name for
	notFile  bool   // has no key in the configuration file
}

// settings returns the table of all settings, bound to c.
func settings(c *Config) []setting {
	return []setting{
		{flag: "config", value: text(&c.File), notFile: true, fallback: DefaultConfigFile + " if present",
			usage: "configuration file (YAML)"},
		{flag: "data-dir", value: text(&c.DataDir),
			usage: "directory for everything the appliance keeps"},
		{flag: "interface", value: list(&c.Interfaces), fallback: "the default route's",
			usage: "network interface to answer DHCP and serve TFTP on; repeat it, or separate names by commas. HTTP and registration are open on all interfaces"},
		{flag: "advertise-address", value: text(&c.AdvertiseAddress), fallback: "the interface's first IPv4 address; with several interfaces there is none",
			usage: "IP address or host name of this appliance that machines and kubeconfigs use"},
		{flag: "secure-port", value: number(&c.SecurePort),
			usage: "TCP port of the Kubernetes-style API"},
		{flag: "http-port", value: number(&c.HTTPPort), upstream: "CONTAINER_API_PORT",
			usage: "TCP port that machines boot from and register at"},
		{flag: "dhcp", value: dhcpMode(&c.DHCP),
			usage: "proxy: tell machines how to boot, beside the network's DHCP server; off: answer no DHCP"},
		{flag: "kubeconfig", value: text(&c.Kubeconfig), fallback: adminKubeconfig + " in --data-dir",
			usage: "file that the appliance keeps the administrator's kubeconfig in"},
		{flag: "controllers", value: list(&c.Controllers),
			usage: "sets of controllers to run: * for all, NAME, or -NAME to leave one out; known: " + strings.Join(controllerSets(), ", ")},
		{flag: "cluster-api-concurrency", value: number(&c.ClusterAPIConcurrency),
			usage: "how many objects each of Cluster API's controllers works on at the same time; from 1 to 1000"},
		{flag: "cluster-api-features", value: dashIsEmpty(&c.ClusterAPIFeatures), fallback: "none",
			usage: "features of Cluster API to switch on or off, such as MachinePool=false,MachineTaintPropagation=true; ClusterTopology and MachinePool are on, the others as Cluster API has them; - is none"},
		{flag: "talos-release-url", value: text(&c.TalosReleaseURL),
			usage: "where the default Environment downloads Talos from"},
		{flag: "asset-directory", value: list(&c.AssetDirectories), fallback: "assets/files in --data-dir, which is always one",
			usage: "directory of this machine that Environments may take files from, by file:// URLs; repeat it, or separate names by commas. Whatever is in it can be read by machines"},
		{flag: "auto-accept-servers", value: boolean(&c.AutoAcceptServers), upstream: "AUTO_ACCEPT_SERVERS",
			usage: "accept every machine that registers, without asking a person"},
		{flag: "auto-bmc-setup", value: boolean(&c.AutoBMCSetup), upstream: "AUTO_BMC_SETUP",
			usage: "let the agent create a user on a machine's BMC"},
		{flag: "insecure-wipe", value: boolean(&c.InsecureWipe), upstream: "INSECURE_WIPE",
			usage: "wipe disks the fast way; false overwrites every byte"},
		{flag: "server-reboot-timeout", value: duration(&c.ServerRebootTimeout), upstream: "SERVER_REBOOT_TIMEOUT",
			usage: "how long to wait for a sign of life from a machine that is to be wiped before it is power-cycled again; at least 1s"},
		{flag: "ipmi-pxe-method", value: oneOf(&c.IPMIPXEMethod, power.UEFI, power.BIOS), upstream: "IPMI_PXE_METHOD",
			usage: "firmware that BMCs are asked to boot from the network with, where a Server does not say: uefi or bios"},
		{flag: "boot-from-disk-method", value: oneOf(&c.BootFromDiskMethod, bootplan.IPXEExit, bootplan.HTTP404, bootplan.IPXESANBoot), upstream: "BOOT_FROM_DISK_METHOD",
			usage: "how machines that are installed leave the network boot, where neither their Server nor its class says: ipxe-exit, http-404 or ipxe-sanboot"},
		{flag: "metadata-access", value: oneOf(&c.MetadataAccess, metadata.AccessToken, metadata.AccessOpen),
			usage: "who may fetch machine configurations, which hold secrets of clusters: token, the machine itself with a token, in its boot windows; open, anybody who knows a UUID, as with Sidero"},
		{flag: "wireguard-endpoint", value: dashIsEmpty(&c.WireGuardEndpoint), upstream: "SIDEROLINK_ENDPOINT", fallback: "the same as --advertise-address",
			usage: "IP address or host name that machines in use send to for SideroLink, over which they report; - is not set"},
		{flag: "wireguard-port", value: number(&c.WireGuardPort), upstream: "SIDEROLINK_PORT",
			usage: "UDP port of SideroLink"},
		{flag: "negative-address-filter", value: list(&c.NegativeAddressFilter), upstream: "EVENTS_NEGATIVE_ADDRESS_FILTER", fallback: "none",
			usage: "network, such as 10.244.0.0/16, whose addresses are none of a machine's although it says so; repeat it, or separate networks by commas; - is none"},
		{flag: "test-power-simulated-explicit-failure-prob", value: share(&c.TestPowerExplicit), upstream: "TEST_POWER_EXPLICIT_FAILURE",
			usage: "for tests: the share of calls of the power API that fail, from 0 to 1"},
		{flag: "test-power-simulated-silent-failure-prob", value: share(&c.TestPowerSilent), upstream: "TEST_POWER_SILENT_FAILURE",
			usage: "for tests: the share of calls of the power API that do nothing and say they did, from 0 to 1"},
		{flag: "extra-agent-kernel-args", value: dashIsEmpty(&c.ExtraAgentKernelArgs), upstream: "EXTRA_AGENT_KERNEL_ARGS",
			usage: "arguments to add to the agent's kernel command line; - is none"},
		{flag: "disable-dhcp-proxy", value: noProxy{&c.DHCP}, upstream: "DISABLE_DHCP_PROXY", aliasOf: "dhcp",
			usage: "Sidero's name for --dhcp=off"},
		{flag: "api-endpoint", value: endpoint{dashIsEmpty(&c.AdvertiseAddress)}, upstream: "API_ENDPOINT", aliasOf: "advertise-address",
			usage: "Sidero's name for --advertise-address; - is not set"},
		{flag: "api-port", value: number(&c.APIPort), upstream: "API_PORT", fallback: "the same as --http-port",
			usage: "TCP port that machines are told to use, if something forwards it to --http-port"},
		{flag: "log-level", value: logLevel(&c.LogLevel),
			usage: "debug, info, warn or error"},
		{flag: "log-format", value: oneOf(&c.LogFormat, LogText, LogJSON),
			usage: "text or json"},
	}
}

// key is the setting's name in the configuration file: data-dir is dataDir.
func (s setting) key() string {
	words := strings.Split(s.flag, "-")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

// variables are the setting's names in the environment; an earlier one wins.
func (s setting) variables() []string {
	names := []string{environmentPrefix + strings.ToUpper(strings.ReplaceAll(s.flag, "-", "_"))}
	if s.upstream != "" {
		names = append(names, upstreamPrefix+s.upstream)
	}
	return names
}

// defaultText is the setting's default in words.
func (s setting) defaultText() string {
	if s.fallback != "" {
		return s.fallback
	}
	return s.value.String()
}

// bindFlags adds a flag for every setting. Each writes to a configuration of its
// own, so that what an alias was given stays apart from what its target was.
func bindFlags(flags *pflag.FlagSet) {
	for i := range settings(&Config{}) {
		c := Defaults()
		s := settings(&c)[i]
		usage := s.usage
		if s.fallback != "" {
			usage += " (default " + s.fallback + ")"
		}
		f := flags.VarPF(s.value, s.flag, "", usage)
		if s.fallback != "" || s.aliasOf != "" {
			f.DefValue = ""
		}
		if s.value.Type() == "bool" {
			f.NoOptDefVal = "true"
		}
	}
}
