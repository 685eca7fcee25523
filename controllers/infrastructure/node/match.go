package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// errNoNode is that of a machine whose node has not registered.
var errNoNode = errors.New("no Node is")

// match finds the Node of a server: the one that bears its name, or, when none does, the one whose firmware does.
func match(nodes []corev1.Node, server string) (*corev1.Node, error) {
	for _, is := range []func(*corev1.Node) bool{
		func(n *corev1.Node) bool { return n.Labels[v1alpha2.NodeLabel] == server },
		func(n *corev1.Node) bool {
			return n.Labels[v1alpha2.NodeLabel] == "" && strings.EqualFold(n.Status.NodeInfo.SystemUUID, server)
		},
	} {
		var found []*corev1.Node

		for i := range nodes {
			if is(&nodes[i]) {
				found = append(found, &nodes[i])
			}
		}

		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return nil, fmt.Errorf("%d Nodes are of server %s: delete those that are not in use, %s or %s", len(found), server, found[0].Name, found[1].Name)
		}
	}

	return nil, fmt.Errorf("%w of server %s yet", errNoNode, server)
}

// patch is the merge patch that a Node needs, nil when it needs none. A provider ID is given once: Kubernetes allows no other.
func patch(node *corev1.Node, server string) ([]byte, error) {
	id, change := "sidero://"+server, map[string]any{}

	switch node.Spec.ProviderID {
	case id:
	case "":
		change["spec"] = map[string]string{"providerID": id}
	default:
		return nil, fmt.Errorf("node %s has the provider ID %s: delete the Node, which the kubelet makes again", node.Name, node.Spec.ProviderID)
	}

	if node.Labels[v1alpha2.NodeLabel] != server {
		change["metadata"] = map[string]any{"labels": map[string]string{v1alpha2.NodeLabel: server}}
	}

	if len(change) == 0 {
		return nil, nil
	}

	text, err := json.Marshal(change)
	if err != nil {
		return nil, fmt.Errorf("write patch: %w", err)
	}

	return text, nil
}

// reached is how a Node is reached, by its own account.
func reached(node *corev1.Node) (addresses []string, hostname string) {
	for _, a := range node.Status.Addresses {
		switch a.Type {
		case corev1.NodeInternalIP:
			addresses = append(addresses, a.Address)
		case corev1.NodeHostName:
			hostname = a.Address
		case corev1.NodeExternalIP, corev1.NodeInternalDNS, corev1.NodeExternalDNS:
		}
	}

	return addresses, hostname
}
