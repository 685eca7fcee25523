package appliance

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/sidero-appliance/sidero-appliance/controllers/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/metadata"
	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
	"github.com/sidero-appliance/sidero-appliance/power"
)

// DefaultConfigFile is read if it exists and no other file is named.
const DefaultConfigFile = "/etc/sidero-appliance/config.yaml"

// Ports that cannot be changed: firmware and documents rely on them.
const (
	HealthPort              = 8082 // tcp, on the loopback only
	DHCPPort                = 67   // udp
	DHCPBootPort            = 4011 // udp, PXE 2.1 section 2.2.3: the boot server's port
	TFTPPort                = 69   // udp
	adminKubeconfig         = "admin.kubeconfig"
	allControllers          = "*"
	controllerSetKube       = "kube"
	controllerSetMetal      = "metal"
	controllerSetClusterAPI = "cluster-api"
	controllerSetMachines   = "infrastructure"
	controllerSetTalos      = "talos-bootstrap"
	controllerSetPlanes     = "talos-control-plane"
)

// DHCPMode is how the appliance answers machines that ask for a network boot.
type DHCPMode string

const (
	// DHCPProxy adds boot instructions beside the network's own DHCP server.
	DHCPProxy DHCPMode = "proxy"
	// DHCPOff answers no DHCP; the network's own server gives the instructions.
	DHCPOff DHCPMode = "off"
)

// LogFormat is how log lines look.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Config is everything that can be set. What each field means is said once, in
// the tables of settings and structures, from which flags, variables, file keys
// and docs/flags.md are made.
type Config struct {
	File                  string // the configuration file; empty: DefaultConfigFile if it exists
	DataDir               string
	Interfaces            []string // empty: the default route's
	AdvertiseAddress      string   // IP address or host name; empty: the first IPv4 address of the one interface
	SecurePort            int
	HTTPPort              int
	APIPort               int // 0: HTTPPort
	DHCP                  DHCPMode
	Kubeconfig            string // empty: admin.kubeconfig in DataDir
	Controllers           []string
	ClusterAPIConcurrency int    // objects of a kind at the same time
	ClusterAPIFeatures    string // NAME=true|false, separated by commas
	TalosReleaseURL       string
	AssetDirectories      []string // besides assets/files in DataDir
	AutoAcceptServers     bool
	AutoBMCSetup          bool
	InsecureWipe          bool
	ServerRebootTimeout   time.Duration
	IPMIPXEMethod         power.Firmware
	BootFromDiskMethod    bootplan.FromDisk
	MetadataAccess        metadata.Access
	WireGuardEndpoint     string // IP address or host name; empty: the advertised address
	WireGuardPort         int
	NegativeAddressFilter []string // CIDRs; - is none
	TestPowerExplicit     float64
	TestPowerSilent       float64
	ExtraAgentKernelArgs  string
	LogLevel              slog.Level
	LogFormat             LogFormat
	WebhookServices       []WebhookService
}

// Defaults is the configuration of an appliance that was told nothing.
func Defaults() Config {
	return Config{
		DataDir:               "/var/lib/sidero-appliance",
		SecurePort:            6443,
		HTTPPort:              8081,
		DHCP:                  DHCPProxy,
		Controllers:           []string{allControllers},
		ClusterAPIConcurrency: clusterapi.Workers,
		TalosReleaseURL:       "https://github.com/siderolabs/talos/releases/download",
		AutoBMCSetup:          true,
		InsecureWipe:          true,
		ServerRebootTimeout:   20 * time.Minute,
		IPMIPXEMethod:         power.UEFI,
		BootFromDiskMethod:    bootplan.IPXEExit,
		MetadataAccess:        metadata.AccessToken,
		WireGuardPort:         51821,
		LogLevel:              slog.LevelInfo,
		LogFormat:             LogText,
	}
}

// KubeconfigPath is where the admin kubeconfig is written.
func (c Config) KubeconfigPath() string {
	if c.Kubeconfig != "" {
		return c.Kubeconfig
	}
	return filepath.Join(c.DataDir, adminKubeconfig)
}

// AdvertisedHTTPPort is the port that machines are told to use for HTTP.
func (c Config) AdvertisedHTTPPort() int {
	if c.APIPort != 0 {
		return c.APIPort
	}
	return c.HTTPPort
}

// controllerSets are the names that --controllers knows.
func controllerSets() []string {
	return []string{controllerSetKube, controllerSetMetal, controllerSetClusterAPI, controllerSetMachines, controllerSetTalos, controllerSetPlanes}
}

// ControllersEnabled says whether the named set of controllers is to run: it is
// named, or everything is ("*", or a list that only switches off), and it is
// not switched off.
func (c Config) ControllersEnabled(set string) bool {
	if slices.Contains(c.Controllers, "-"+set) {
		return false
	}
	onlyOff := !slices.ContainsFunc(c.Controllers, func(s string) bool { return s != "" && s[0] != '-' })
	return onlyOff || slices.Contains(c.Controllers, allControllers) || slices.Contains(c.Controllers, set)
}

// absolute makes the paths independent of the working directory.
func (c *Config) absolute() error {
	paths := []*string{&c.DataDir, &c.Kubeconfig}
	for i := range c.AssetDirectories {
		paths = append(paths, &c.AssetDirectories[i])
	}
	for _, p := range paths {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return fmt.Errorf("find directory %s: %w", *p, err)
		}
		*p = abs
	}
	return nil
}
