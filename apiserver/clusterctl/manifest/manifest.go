// Package manifest writes the manifest of a cluster from Sidero's cluster template, as clusterctl does. It chooses what nobody has
// said by the servers that there are, and tells beforehand whether these suffice.
package manifest

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/repository"
)

// Variables are those of the template, as upstream names them.
const (
	Name              = "CLUSTER_NAME"
	Endpoint          = "CONTROL_PLANE_ENDPOINT"
	Port              = "CONTROL_PLANE_PORT"
	ControlPlaneClass = "CONTROL_PLANE_SERVERCLASS"
	WorkerClass       = "WORKER_SERVERCLASS"
	ControlPlanes     = "CONTROL_PLANE_MACHINE_COUNT"
	Workers           = "WORKER_MACHINE_COUNT"
	KubernetesVersion = "KUBERNETES_VERSION"
	TalosVersion      = "TALOS_VERSION"
)

// DefaultPort is that of a cluster's API.
const DefaultPort = 6443

// Cluster is what a manifest is made from. What is empty, or nil, is for Choose to fill in, except for the name, the endpoint and its port.
type Cluster struct {
	Name string
	// Endpoint is the host name or address of the cluster's API. That of VirtualIP when it is empty.
	Endpoint                       string
	Port                           int64
	ControlPlaneClass, WorkerClass string
	ControlPlanes, Workers         *int64
	KubernetesVersion              string
	TalosVersion                   string
	// VirtualIP is an address that the control plane's machines share by themselves. Optional.
	VirtualIP string
}

// Render is the manifest. The error tells of all that is wrong.
func Render(c Cluster) (string, error) {
	if c.Endpoint == "" {
		c.Endpoint = c.VirtualIP
	}

	if err := c.validate(); err != nil {
		return "", err
	}

	text := repository.Template()
	if c.VirtualIP != "" {
		text = strings.Replace(text, "      generateType: controlplane\n", "      generateType: controlplane\n"+sharing(c.VirtualIP), 1)
	}

	var pairs []string

	for name, value := range map[string]string{
		Name: c.Name, Endpoint: strconv.Quote(c.Endpoint), Port: strconv.FormatInt(c.Port, 10),
		ControlPlaneClass: strconv.Quote(c.ControlPlaneClass), WorkerClass: strconv.Quote(c.WorkerClass),
		ControlPlanes: strconv.FormatInt(*c.ControlPlanes, 10), Workers: strconv.FormatInt(*c.Workers, 10),
		KubernetesVersion: c.KubernetesVersion, TalosVersion: c.TalosVersion,
	} {
		pairs = append(pairs, "${"+name+"}", value)
	}

	return strings.NewReplacer(pairs...).Replace(text), nil
}

// sharing is the patch of Talos's configuration by which machines share an address of their one network.
func sharing(address string) string {
	return `      strategicPatches:
        # On a machine with several network interfaces, name the one that has the address.
        - |
          machine:
            network:
              interfaces:
                - deviceSelector: {physical: true}
                  dhcp: true
                  vip: {ip: "` + address + `"}
`
}

func (c Cluster) validate() error {
	var all []error

	wrong := func(what, variable, value string, reasons ...string) {
		all = append(all, fmt.Errorf("%s (%s) %q: %s", what, variable, value, strings.Join(reasons, ", ")))
	}

	if reasons := validation.IsDNS1123Label(c.Name); reasons != nil {
		wrong("name", Name, c.Name, reasons...)
	}

	if err := c.validateEndpoint(); err != nil {
		all = append(all, err)
	}

	if c.Port < 1 || c.Port > 65535 {
		wrong("--port", Port, strconv.FormatInt(c.Port, 10), "must be between 1 and 65535")
	}

	for _, class := range [][3]string{
		{"--control-plane-class", ControlPlaneClass, c.ControlPlaneClass}, {"--worker-class", WorkerClass, c.WorkerClass},
	} {
		if reasons := validation.IsDNS1123Subdomain(class[2]); reasons != nil {
			wrong(class[0], class[1], class[2], reasons...)
		}
	}

	if count := said(c.ControlPlanes); count < 1 || count%2 == 0 {
		wrong("--control-planes", ControlPlanes, strconv.FormatInt(count, 10), "must be an odd number, for etcd's majority: 1, 3 or 5")
	}

	if count := said(c.Workers); count < 0 {
		wrong("--workers", Workers, strconv.FormatInt(count, 10), "must not be negative")
	}

	if _, err := version.ParseSemantic(c.KubernetesVersion); err != nil || !strings.HasPrefix(c.KubernetesVersion, "v") {
		wrong("--kubernetes-version", KubernetesVersion, c.KubernetesVersion, "must be such as "+repository.KubernetesVersion)
	}

	if _, err := version.ParseGeneric(c.TalosVersion); err != nil || !strings.HasPrefix(c.TalosVersion, "v") {
		wrong("--talos-version", TalosVersion, c.TalosVersion, "must be such as "+repository.TalosVersion)
	}

	return errors.Join(all...)
}

// validateEndpoint is about where the cluster's API is reached, which nobody can guess.
func (c Cluster) validateEndpoint() error {
	if c.Endpoint == "" {
		return fmt.Errorf("where is the cluster's API to be reached? Give --endpoint (%s), the address of a load balancer, or "+
			"--virtual-ip, a free address in the network of the machines, which the control plane shares", Endpoint)
	}

	if _, err := netip.ParseAddr(c.Endpoint); err != nil && validation.IsDNS1123Subdomain(c.Endpoint) != nil {
		return fmt.Errorf("--endpoint (%s) %q: must be an address or a host name, without a port: that is --port", Endpoint, c.Endpoint)
	}

	if _, err := netip.ParseAddr(c.VirtualIP); c.VirtualIP != "" && err != nil {
		return fmt.Errorf("--virtual-ip %q: must be an address", c.VirtualIP)
	}

	return nil
}

// said is a number, and 0 when nobody has said one.
func said(number *int64) int64 {
	if number == nil {
		return 0
	}

	return *number
}
