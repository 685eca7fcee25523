package conformance_test

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// natives are kinds that are served from Go types: one without namespaces, in both of its versions, one in namespaces, one
// with a scale.
func natives() []subject {
	return []subject{
		{
			GroupVersionKind: schema.GroupVersionKind{Group: "metal.sidero.dev", Version: "v1alpha2", Kind: "Server"},
			resource:         "servers",
			other:            "v1alpha1",
			spec:             map[string]any{"accepted": true},
			text:             text{"spec.hostname", "one", "two"},
			note:             text{"status.power", "on", "off"},
			refused:          value{"spec.pxeMode", "coal"},
			mistyped:         value{"spec.cordoned", "yes"},
			selectable:       value{"spec.accepted", false},
		},
		{ // in a version that is not stored
			GroupVersionKind: schema.GroupVersionKind{Group: "metal.sidero.dev", Version: "v1alpha1", Kind: "Server"},
			resource:         "servers",
			other:            "v1alpha2",
			spec:             map[string]any{"accepted": true},
			text:             text{"spec.hostname", "one", "two"},
			note:             text{"status.power", "on", "off"},
			refused:          value{"spec.pxeMode", "coal"},
			mistyped:         value{"spec.cordoned", "yes"},
			selectable:       value{"spec.accepted", false},
		},
		{
			GroupVersionKind: schema.GroupVersionKind{Group: "infrastructure.cluster.x-k8s.io", Version: "v1alpha3", Kind: "MetalMachine"},
			resource:         "metalmachines",
			namespaced:       true,
			other:            "v1alpha2",
			spec:             map[string]any{"serverRef": map[string]any{"kind": "Server", "name": "box"}},
			text:             text{"spec.providerID", "sidero://one", "sidero://two"},
			note:             text{"status.failureDomain", "left", "right"},
			refused:          value{"spec.serverRef.kind", "Cluster"},
			mistyped:         value{"spec.providerID", int64(7)},
		},
		{
			GroupVersionKind: schema.GroupVersionKind{Group: "controlplane.cluster.x-k8s.io", Version: "v1alpha3", Kind: "TalosControlPlane"},
			resource:         "taloscontrolplanes",
			namespaced:       true,
			spec: map[string]any{
				"version": "v1.34.0",
				"machineTemplate": map[string]any{"spec": map[string]any{"infrastructureRef": map[string]any{
					"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "MetalMachineTemplate", "name": "boxes",
				}}},
				"controlPlaneConfig": map[string]any{"controlplane": map[string]any{"generateType": "controlplane"}},
			},
			text:     text{"spec.controlPlaneConfig.controlplane.talosVersion", "v1.12", "v1.13"},
			note:     text{"status.version", "v1.33.0", "v1.34.0"},
			refused:  value{"spec.replicas", int64(-1)},
			mistyped: value{"spec.replicas", "three"},
			scale:    true,
		},
	}
}

// customs are the kinds that definitions make: in a group of their own, and in versions of native groups that no native
// kind has.
func customs() []subject {
	return []subject{
		custom(schema.GroupVersionKind{Group: "conformance.example.com", Version: "v1", Kind: "Widget"}, "v1beta1", true),
		custom(schema.GroupVersionKind{Group: "conformance.example.com", Version: "v1", Kind: "Gadget"}, "v1beta1", false),
		custom(schema.GroupVersionKind{Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta9", Kind: "Widget"}, "v1beta8", true),
		custom(schema.GroupVersionKind{Group: "metal.sidero.dev", Version: "v1beta9", Kind: "Gadget"}, "v1beta8", false),
	}
}
