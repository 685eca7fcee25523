package machineconfig

import (
	"cmp"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configpatcher"
	"github.com/siderolabs/talos/pkg/machinery/config/encoder"
	"github.com/siderolabs/talos/pkg/machinery/config/generate"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/stdpatches"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/constants"
)

// installDisk is where Talos is installed when no patch says otherwise: that of "talosctl gen config", so that a patch that
// replaces it finds it. A disk selector goes before it.
const installDisk = "/dev/sda"

var kubernetesVersion = regexp.MustCompile(`^\d+\.\d+\.\d+([-+].*)?$`)

// Cluster is what a configuration says of the cluster.
type Cluster struct {
	Name string
	// Host and Port are where the Kubernetes API is reached.
	Host string
	Port int
	// DNSDomain, Pods and Services are Talos's own when empty.
	DNSDomain      string
	Pods, Services []string
}

// Node is one whose configuration is made.
type Node struct {
	// Role is init, controlplane, worker or join: the older name of worker.
	Role    string
	Cluster Cluster
	// TalosVersion is the version of Talos that reads the configuration, and KubernetesVersion the one that the node is to run:
	// the newest known when empty.
	TalosVersion, KubernetesVersion string
	// Hostname of the node. Talos finds one itself when it is empty.
	Hostname string
}

// Generate makes a node's configuration, without anybody's patches.
func Generate(node Node, s *Secrets) ([]byte, error) {
	if err := Accepts(node); err != nil {
		return nil, err
	}

	role, _ := machine.ParseType(node.Role)      //nolint:errcheck // accepted
	contract, _ := contractOf(node.TalosVersion) //nolint:errcheck // accepted

	input, err := input(node, contract, s)
	if err != nil {
		return nil, err
	}

	made, err := input.Config(role)
	if err != nil {
		return nil, fmt.Errorf("make configuration: %w", discreet(err))
	}

	if made, err = withHostname(made, contract, node.Hostname); err != nil {
		return nil, err
	}

	text, err := made.EncodeBytes(encoder.WithComments(encoder.CommentsDisabled))
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", discreet(err))
	}

	return text, nil
}

func input(node Node, contract *config.VersionContract, s *Secrets) (*generate.Input, error) {
	options := []generate.Option{
		generate.WithVersionContract(contract), generate.WithSecretsBundle(s.bundle), generate.WithInstallDisk(installDisk),
		generate.WithDNSDomain(cmp.Or(node.Cluster.DNSDomain, constants.DefaultDNSDomain)),
	}

	// Clusters that are older than discovery cannot use it.
	if s.bundle.Cluster.ID == "" || s.bundle.Cluster.Secret == "" {
		options = append(options, generate.WithClusterDiscovery(false))
	}

	endpoint := "https://" + net.JoinHostPort(node.Cluster.Host, strconv.Itoa(node.Cluster.Port))

	input, err := generate.NewInput(node.Cluster.Name, endpoint, kubernetesOf(node), options...)
	if err != nil {
		return nil, fmt.Errorf("make configuration: %w", discreet(err))
	}

	if len(node.Cluster.Pods) > 0 {
		input.PodNet = node.Cluster.Pods
	}

	if len(node.Cluster.Services) > 0 {
		input.ServiceNet = node.Cluster.Services
	}

	return input, nil
}

func withHostname(made config.Provider, contract *config.VersionContract, hostname string) (config.Provider, error) {
	if hostname == "" {
		return made, nil
	}

	text, err := stdpatches.WithStaticHostname(contract, hostname)
	if err != nil {
		return nil, fmt.Errorf("set host name: %w", discreet(err))
	}

	patch, err := configpatcher.LoadPatch(text)
	if err != nil {
		return nil, fmt.Errorf("set host name: %w", discreet(err))
	}

	patched, err := configpatcher.Apply(configpatcher.WithConfig(made), []configpatcher.Patch{patch})
	if err != nil {
		return nil, fmt.Errorf("set host name: %w", discreet(err))
	}

	return patched.Config() //nolint:wrapcheck // it is decoded already
}

// oldestMinor is that of the oldest Talos of which configurations are made, 0.9, as in Sidero.
const oldestMinor = 9

// contractOf is what Talos of a version expects. None is the newest known.
func contractOf(version string) (*config.VersionContract, error) {
	if version == "" {
		return config.TalosVersionCurrent, nil
	}

	contract, err := config.ParseContractFromVersion(version)
	if err != nil || contract.Major < 1 && contract.Minor < oldestMinor {
		return nil, fmt.Errorf("version of Talos %q must be like v1.13, and not older than v0.9", version)
	}

	return contract, nil
}

// Accepts tells whether a configuration can be made, whatever the secrets.
func Accepts(node Node) error {
	if role, err := machine.ParseType(node.Role); err != nil || role == machine.TypeUnknown {
		return fmt.Errorf("make configuration: %q is no role of a node", node.Role)
	}

	if _, err := contractOf(node.TalosVersion); err != nil {
		return err
	}

	if version := kubernetesOf(node); !kubernetesVersion.MatchString(version) {
		return fmt.Errorf("version of Kubernetes %q must be like v1.35.0", node.KubernetesVersion)
	}

	return nil
}

func kubernetesOf(node Node) string {
	return strings.TrimPrefix(cmp.Or(node.KubernetesVersion, constants.DefaultKubernetesVersion), "v")
}
