package bootstrap

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
)

// ready are facts by which a configuration is made.
func ready() facts {
	f := facts{config: &v1alpha3.TalosConfig{}, machine: &clusterv1.Machine{}, cluster: &clusterv1.Cluster{}}
	f.config.Spec.GenerateType = v1alpha3.GenerateWorker
	f.machine.Name, f.machine.Spec.Version, f.machine.Spec.InfrastructureRef.Name = "m-1", "v1.35.2", "infra-1"
	f.cluster.Name = "lab"
	f.cluster.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "10.0.0.9", Port: 6443}
	f.cluster.Status.Initialization.InfrastructureProvisioned = ptr.To(true)

	return f
}

// TestNext goes through what can hold up a configuration, in the order in which it is looked at.
func TestNext(t *testing.T) {
	made := func(f *facts) { f.config.Status.Ready, f.config.Status.DataSecretName = true, ptr.To("s") }
	paused := func(f *facts) { f.config.Annotations = map[string]string{clusterv1.PausedAnnotation: ""} }
	ownerless := func(f *facts) { f.machine, f.cluster = nil, nil }
	early := func(f *facts) { f.cluster.Status.Initialization.InfrastructureProvisioned = nil }
	nowhere := func(f *facts) { f.cluster.Spec.ControlPlaneEndpoint.Host = "" }
	moved := func(f *facts) { f.machine.Spec.Bootstrap.DataSecretName = ptr.To("s") }
	deleted := func(f *facts) { f.config.DeletionTimestamp = &metav1.Time{Time: time.Now()} }

	for i, test := range []struct {
		edits  []func(*facts)
		action action
		reason string
	}{
		{nil, generate, ""},
		{[]func(*facts){ownerless}, wait, v1alpha3.ReasonWaitingForOwner},
		{[]func(*facts){func(f *facts) { f.cluster = nil }}, wait, v1alpha3.ReasonWaitingForOwner},
		{[]func(*facts){early}, wait, v1alpha3.ReasonWaitingForInfrastructure},
		{[]func(*facts){nowhere}, wait, v1alpha3.ReasonWaitingForEndpoint},
		{[]func(*facts){nowhere, early}, wait, v1alpha3.ReasonWaitingForInfrastructure},
		{[]func(*facts){nowhere, func(f *facts) { f.config.Spec.GenerateType = v1alpha3.GenerateNone }}, generate, ""},
		{[]func(*facts){moved}, adopt, ""},
		{[]func(*facts){moved, early}, wait, v1alpha3.ReasonWaitingForInfrastructure},
		{[]func(*facts){made}, keep, ""},
		{[]func(*facts){made, early}, keep, ""},
		{[]func(*facts){made, ownerless}, leave, ""},
		{[]func(*facts){paused}, leave, ""},
		{[]func(*facts){made, paused}, leave, ""},
		{[]func(*facts){func(f *facts) { f.cluster.Spec.Paused = ptr.To(true) }}, leave, ""},
		{[]func(*facts){deleted, paused}, release, ""},
		{[]func(*facts){deleted, ownerless}, release, ""},
		{[]func(*facts){func(f *facts) { f.config.Status.Ready = true }}, generate, ""},
	} {
		f := ready()
		for _, edit := range test.edits {
			edit(&f)
		}

		if got := next(f); got.action != test.action || got.reason != test.reason || (got.message == "") != (test.reason == "") {
			t.Errorf("%d: %v, want %s %s", i, got, test.action, test.reason)
		}
	}
}

// TestDescribe takes from each object what it says of a node.
func TestDescribe(t *testing.T) {
	f := ready()
	f.cluster.Spec.ClusterNetwork = clusterv1.ClusterNetwork{
		ServiceDomain: "lab.internal", Pods: clusterv1.NetworkRanges{CIDRBlocks: []string{"10.1.0.0/16"}},
		Services: clusterv1.NetworkRanges{CIDRBlocks: []string{"10.2.0.0/16"}},
	}
	f.config.Spec.TalosVersion = "v1.13"

	want := "{worker {lab 10.0.0.9 6443 lab.internal [10.1.0.0/16] [10.2.0.0/16]} v1.13 v1.35.2 %s}"

	for source, name := range map[v1alpha3.HostnameSource]string{
		"": "", v1alpha3.HostnameFromMachine: "m-1", v1alpha3.HostnameFromInfrastructure: "infra-1",
	} {
		f.config.Spec.Hostname.Source = source

		if got := fmt.Sprint(describe(f)); got != fmt.Sprintf(want, name) {
			t.Errorf("%q: %s", source, got)
		}
	}
}

// TestEndpoints takes the addresses that are reached, of machines that stay, each once.
func TestEndpoints(t *testing.T) {
	machine := func(deleted bool, addresses ...clusterv1.MachineAddress) clusterv1.Machine {
		m := clusterv1.Machine{Status: clusterv1.MachineStatus{Addresses: addresses}}
		if deleted {
			m.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		}

		return m
	}
	at := func(kind clusterv1.MachineAddressType, address string) clusterv1.MachineAddress {
		return clusterv1.MachineAddress{Type: kind, Address: address}
	}

	got := endpoints([]clusterv1.Machine{
		machine(false, at(clusterv1.MachineInternalIP, "10.0.0.2"), at(clusterv1.MachineHostName, "two")),
		machine(false, at(clusterv1.MachineExternalIP, "10.0.0.1"), at(clusterv1.MachineInternalIP, "10.0.0.2"),
			at(clusterv1.MachineInternalDNS, "x")),
		machine(true, at(clusterv1.MachineInternalIP, "10.0.0.3")),
	})
	if !slices.Equal(got, []string{"10.0.0.1", "10.0.0.2"}) {
		t.Errorf("got %v", got)
	}
}
