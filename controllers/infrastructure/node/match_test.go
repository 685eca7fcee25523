package node

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// named is a Node whose label and whose firmware name a server.
func named(name, label, firmware string) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.NodeInfo.SystemUUID = firmware

	if label != "" {
		n.Labels = map[string]string{v1alpha2.NodeLabel: label}
	}

	return n
}

func TestMatch(t *testing.T) {
	for name, c := range map[string]struct {
		nodes  []corev1.Node
		want   string
		failed string
	}{
		"none":                         {nil, "", "no Node is of server a"},
		"others":                       {[]corev1.Node{named("n", "b", ""), named("m", "", "c")}, "", "no Node is of server a"},
		"by label":                     {[]corev1.Node{named("n", "b", ""), named("m", "a", "")}, "m", ""},
		"by firmware":                  {[]corev1.Node{named("n", "b", ""), named("m", "", "A")}, "m", ""},
		"the label before firmware":    {[]corev1.Node{named("n", "", "a"), named("m", "a", "")}, "m", ""},
		"firmware that a label denies": {[]corev1.Node{named("n", "b", "a")}, "", "no Node is of server a"},
		"several":                      {[]corev1.Node{named("n", "a", ""), named("m", "a", "")}, "", "2 Nodes are of server a"},
		"several by firmware":          {[]corev1.Node{named("n", "", "a"), named("m", "", "a")}, "", "2 Nodes are of server a"},
	} {
		got, err := match(c.nodes, "a")
		if c.failed != "" {
			if err == nil || !strings.Contains(err.Error(), c.failed) {
				t.Errorf("%s: %v", name, err)
			}

			continue
		}

		if err != nil || got.Name != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestPatch(t *testing.T) {
	for name, c := range map[string]struct {
		label, id    string
		want, failed string
	}{
		"new":              {"", "", `{"metadata":{"labels":{"metal.sidero.dev/uuid":"a"}},"spec":{"providerID":"sidero://a"}}`, ""},
		"labelled":         {"a", "", `{"spec":{"providerID":"sidero://a"}}`, ""},
		"in order":         {"a", "sidero://a", "", ""},
		"without label":    {"", "sidero://a", `{"metadata":{"labels":{"metal.sidero.dev/uuid":"a"}}}`, ""},
		"another provider": {"a", "cloud://7", "", "has the provider ID cloud://7"},
	} {
		node := named("n", c.label, "a")
		node.Spec.ProviderID = c.id

		got, err := patch(&node, "a")
		if failed := err != nil && c.failed != "" && strings.Contains(err.Error(), c.failed); string(got) != c.want || failed != (c.failed != "") {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestReached(t *testing.T) {
	node := corev1.Node{}
	node.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: "h"}, {Type: corev1.NodeInternalIP, Address: "10.0.0.1"},
		{Type: corev1.NodeExternalIP, Address: "192.0.2.1"}, {Type: corev1.NodeInternalIP, Address: "fd00::1"},
	}

	if addresses, hostname := reached(&node); hostname != "h" || !slices.Equal(addresses, []string{"10.0.0.1", "fd00::1"}) {
		t.Errorf("%v, %s", addresses, hostname)
	}
}

// TestSteady wants the same text of the same failure each time: a condition that changes is written.
func TestSteady(t *testing.T) {
	failed := func(port int) string {
		return steady(&net.OpError{
			Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: port}, Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 6443},
			Err: errors.New("connection reset"),
		}).Error()
	}

	if failed(1) != failed(2) || failed(1) != "read 10.0.0.9:6443: connection reset" {
		t.Error(failed(1))
	}
}
