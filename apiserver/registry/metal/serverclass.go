package metal

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

func serverClasses() registry.Kind[*v1alpha2.ServerClass] {
	return registry.Kind[*v1alpha2.ServerClass]{
		Resource:   v1alpha2.GroupVersion.WithResource("serverclasses").GroupResource(),
		Singular:   "serverclass",
		Categories: []string{category},
		New:        func() *v1alpha2.ServerClass { return &v1alpha2.ServerClass{} },
		NewList:    func() runtime.Object { return &v1alpha2.ServerClassList{} },
		Older:      serverClassVersions(),
		Spec:       func(c *v1alpha2.ServerClass) any { return &c.Spec },
		Status:     func(c *v1alpha2.ServerClass) any { return &c.Status },
		Normalise:  normaliseServerClass,
		Validate:   validateServerClass,
		Doubt:      doubtServerClass,
		Columns: []registry.Column[*v1alpha2.ServerClass]{
			{
				Name: "Available", Type: "string", Description: "servers of the class that are not allocated",
				Cell: func(c *v1alpha2.ServerClass) any { return jsonList(c.Status.ServersAvailable) },
			},
			{
				Name: "In Use", Type: "string", Description: "servers of the class that are allocated",
				Cell: func(c *v1alpha2.ServerClass) any { return jsonList(c.Status.ServersInUse) },
			},
			registry.Age[*v1alpha2.ServerClass](),
		},
	}
}

// normaliseServerClass keeps the lists from being null, which upstream's clients do not expect.
func normaliseServerClass(c *v1alpha2.ServerClass) []string {
	if c.Status.ServersAvailable == nil {
		c.Status.ServersAvailable = []string{}
	}

	if c.Status.ServersInUse == nil {
		c.Status.ServersInUse = []string{}
	}

	Canonical(c.Spec.ConfigPatches)

	return nil
}

// jsonList prints a list as the column of a CustomResourceDefinition would.
func jsonList(list []string) any {
	text, err := json.Marshal(list)
	if err != nil {
		return nil
	}

	return string(text)
}
