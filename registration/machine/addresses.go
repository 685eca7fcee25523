package machine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

const maxPort = 65535

// ParseAddresses checks the addresses that a machine reports.
func ParseAddresses(sent []*api.Address) ([]corev1.NodeAddress, error) {
	if len(sent) > maxList {
		return nil, fmt.Errorf("there are %d addresses, at most %d are allowed", len(sent), maxList)
	}

	var addresses []corev1.NodeAddress

	for _, a := range sent {
		kind := corev1.NodeAddressType(a.GetType())
		if !slices.Contains([]corev1.NodeAddressType{
			corev1.NodeInternalIP, corev1.NodeExternalIP, corev1.NodeHostName, corev1.NodeInternalDNS, corev1.NodeExternalDNS,
		}, kind) {
			return nil, fmt.Errorf("address type %.64q is unknown", a.GetType())
		}

		if err := checkAddress(kind, a.GetAddress()); err != nil {
			return nil, err
		}

		addresses = append(addresses, corev1.NodeAddress{Type: kind, Address: a.GetAddress()})
	}

	return addresses, nil
}

func checkAddress(kind corev1.NodeAddressType, address string) error {
	if kind == corev1.NodeInternalIP || kind == corev1.NodeExternalIP {
		// A zone may hold anything, and means nothing on another machine.
		if ip, err := netip.ParseAddr(address); err != nil || ip.Zone() != "" {
			return fmt.Errorf("address %.64q is no IP address", address)
		}

		return nil
	}

	return checkHostname(address)
}

func checkHostname(name string) error {
	if len(name) > maxHostname {
		return fmt.Errorf("host name is %d bytes long, at most %d are allowed", len(name), maxHostname)
	}

	if problems := validation.IsDNS1123Subdomain(strings.ToLower(name)); len(problems) > 0 {
		return fmt.Errorf("host name %.64q: %s", name, strings.Join(problems, "; "))
	}

	return nil
}

// CheckBMC refuses what cannot be how a BMC is reached.
func CheckBMC(info *api.BMCInfo) error {
	if err := Bound(info); err != nil {
		return err
	}

	if info.GetPort() > maxPort {
		return fmt.Errorf("port %d of the BMC is above %d", info.GetPort(), maxPort)
	}

	// Credentials are sent there: an address in the network, and neither one of the appliance itself nor a name, which may stand
	// for any.
	if ip := info.GetIp(); ip != "" {
		if parsed, err := netip.ParseAddr(ip); err != nil || parsed.Zone() != "" || !parsed.Unmap().IsGlobalUnicast() {
			return fmt.Errorf("address %.64q of the BMC is not one that it can be reached by from another machine", ip)
		}
	}

	return nil
}
