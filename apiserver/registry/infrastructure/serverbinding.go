package infrastructure

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

func serverBindings() registry.Kind[*v1alpha3.ServerBinding] {
	return registry.Kind[*v1alpha3.ServerBinding]{
		Resource:       v1alpha3.GroupVersion.WithResource("serverbindings").GroupResource(),
		Singular:       "serverbinding",
		Categories:     []string{category},
		New:            func() *v1alpha3.ServerBinding { return &v1alpha3.ServerBinding{} },
		NewList:        func() runtime.Object { return &v1alpha3.ServerBindingList{} },
		Spec:           func(b *v1alpha3.ServerBinding) any { return &b.Spec },
		Status:         func(b *v1alpha3.ServerBinding) any { return &b.Status },
		Validate:       validateServerBinding,
		ValidateStatus: func(b *v1alpha3.ServerBinding) (errs errorList) { return validateConditions(b.Status.Conditions) },
		Columns: []registry.Column[*v1alpha3.ServerBinding]{
			{
				Name: "Ready", Type: "string", Description: "whether there is a server of the binding's name",
				Cell: func(b *v1alpha3.ServerBinding) any { return whenTrue(b.Status.Ready) },
			},
			{
				Name: "Server", Type: "string", Description: "server that is allocated", Priority: 1,
				Cell: func(b *v1alpha3.ServerBinding) any { return b.Name },
			},
			{
				Name: "ServerClass", Type: "string", Description: "class that the server was taken from", Priority: 1,
				Cell: func(b *v1alpha3.ServerBinding) any { return nameOf(b.Spec.ServerClassRef) },
			},
			{
				Name: "MetalMachine", Type: "string", Description: "machine that the server is allocated to", Priority: 1,
				Cell: func(b *v1alpha3.ServerBinding) any { return registry.Text(b.Spec.MetalMachineRef.Name) },
			},
			clusterColumn[*v1alpha3.ServerBinding](1),
			registry.Age[*v1alpha3.ServerBinding](),
		},
	}
}

// nameOf is the name in a reference, or nothing.
func nameOf(reference *corev1.ObjectReference) any {
	if reference == nil {
		return nil
	}

	return registry.Text(reference.Name)
}

// whenTrue is blank when a value is false, as upstream's columns are: its objects leave the field out then.
func whenTrue(value bool) any {
	if !value {
		return nil
	}

	return "true"
}
