// Package manifest writes the manifest of a cluster from Sidero's cluster template, as clusterctl does, and tells beforehand
// whether the servers that there are suffice for it.
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
	Endpoint          = "CONTROL_PLANE_ENDPOINT"
	Port              = "CONTROL_PLANE_PORT"
	ControlPlaneClass = "CONTROL_PLANE_SERVERCLASS"
	WorkerClass       = "WORKER_SERVERCLASS"
	ControlPlanes     = "CONTROL_PLANE_MACHINE_COUNT"
	Workers           = "WORKER_MACHINE_COUNT"
	KubernetesVersion = "KUBERNETES_VERSION"
	TalosVersion      = "TALOS_VERSION"
)

// Cluster is what a manifest is made from.
type Cluster struct {
	Name string
	// Endpoint is the host name or address of the cluster's API. That of VirtualIP when it is empty.
	Endpoint                       string
	Port                           int64
	ControlPlaneClass, WorkerClass string
	ControlPlanes, Workers         int64
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

	pairs := []string{"${CLUSTER_NAME}", c.Name}
	for name, value := range map[string]string{
		Endpoint: strconv.Quote(c.Endpoint), Port: strconv.FormatInt(c.Port, 10),
		ControlPlaneClass: strconv.Quote(c.ControlPlaneClass), WorkerClass: strconv.Quote(c.WorkerClass),
		ControlPlanes: strconv.FormatInt(c.ControlPlanes, 10), Workers: strconv.FormatInt(c.Workers, 10),
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

	wrong := func(what, value string, reasons ...string) {
		all = append(all, fmt.Errorf("%s %q: %s", what, value, strings.Join(reasons, ", ")))
	}

	if reasons := validation.IsDNS1123Label(c.Name); reasons != nil {
		wrong("name", c.Name, reasons...)
	}

	if c.Endpoint == "" {
		all = append(all, errors.New("where is the cluster's API to be reached? give --endpoint, the address of a load balancer, or "+
			"--virtual-ip, a free address in the network of the machines"))
	} else if _, err := netip.ParseAddr(c.Endpoint); err != nil && validation.IsDNS1123Subdomain(c.Endpoint) != nil {
		wrong("endpoint", c.Endpoint, "must be an address or a host name")
	}

	if _, err := netip.ParseAddr(c.VirtualIP); c.VirtualIP != "" && err != nil {
		wrong("virtual IP", c.VirtualIP, "must be an address")
	}

	if c.Port < 1 || c.Port > 65535 {
		wrong("port", strconv.FormatInt(c.Port, 10), "must be between 1 and 65535")
	}

	for _, class := range []string{c.ControlPlaneClass, c.WorkerClass} {
		if reasons := validation.IsDNS1123Subdomain(class); reasons != nil {
			wrong("server class", class, reasons...)
		}
	}

	if c.ControlPlanes < 1 || c.ControlPlanes%2 == 0 {
		wrong("control plane machines", strconv.FormatInt(c.ControlPlanes, 10), "must be an odd number, for etcd's quorum")
	}

	if c.Workers < 0 {
		wrong("worker machines", strconv.FormatInt(c.Workers, 10), "must not be negative")
	}

	if _, err := version.ParseSemantic(c.KubernetesVersion); err != nil || !strings.HasPrefix(c.KubernetesVersion, "v") {
		wrong("Kubernetes version", c.KubernetesVersion, "must be such as "+repository.KubernetesVersion)
	}

	if _, err := version.ParseGeneric(c.TalosVersion); err != nil || !strings.HasPrefix(c.TalosVersion, "v") {
		wrong("Talos version", c.TalosVersion, "must be such as "+repository.TalosVersion)
	}

	return errors.Join(all...)
}

// Shortages tells of classes that do not suffice for a cluster now. available are how many servers each class that there is
// has to give.
func Shortages(c Cluster, available map[string]int64) []string {
	type demand struct {
		class string
		count int64
	}

	demands := []demand{{c.ControlPlaneClass, c.ControlPlanes}, {c.WorkerClass, c.Workers}}
	if c.ControlPlaneClass == c.WorkerClass {
		demands = []demand{{c.ControlPlaneClass, c.ControlPlanes + c.Workers}}
	}

	var all []string

	for _, d := range demands {
		has, ok := available[d.class]

		switch {
		case d.count == 0:
		case !ok:
			all = append(all, fmt.Sprintf("there is no server class %s: the machines wait until you make it", d.class))
		case has < d.count:
			all = append(all, fmt.Sprintf("server class %s has %d servers available, and the cluster wants %d: the others wait; "+
				"\"sidero-appliance servers\" shows what servers wait for", d.class, has, d.count))
		}
	}

	return all
}
