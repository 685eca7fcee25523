package openapi

import (
	"maps"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	kubernetes "k8s.io/kubernetes/pkg/generated/openapi"
)

// Kubernetes returns the definitions of those of Kubernetes's API groups that are served here. All of them, with the
// workloads that nothing runs, would cost some 13 MB of memory for as long as the process lives.
func Kubernetes(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	return choose(ref, []string{
		"io.k8s.apimachinery.",
		"io.k8s.apiextensions-apiserver.",
		"io.k8s.kube-aggregator.",
		"io.k8s.api.admissionregistration.",
		"io.k8s.api.authentication.",
		"io.k8s.api.authorization.",
		"io.k8s.api.coordination.",
		"io.k8s.api.core.",
		"io.k8s.api.events.",
		"io.k8s.api.flowcontrol.",
		"io.k8s.api.rbac.",
	})
}

// Native returns the definitions of the native groups and of what they refer to in Kubernetes's.
func Native(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	definitions := choose(ref, []string{
		"io.k8s.apimachinery.",
		"io.k8s.api.autoscaling.v1.Scale",
		"io.k8s.api.core.v1.NodeAddress",
		"io.k8s.api.core.v1.ObjectReference",
		"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
	})
	maps.Copy(definitions, GetOpenAPIDefinitions(ref))

	return definitions
}

func choose(ref common.ReferenceCallback, prefixes []string) map[string]common.OpenAPIDefinition {
	chosen := map[string]common.OpenAPIDefinition{}

	for name, definition := range kubernetes.GetOpenAPIDefinitions(ref) {
		for _, prefix := range prefixes {
			if strings.HasPrefix(name, prefix) {
				chosen[name] = definition

				break
			}
		}
	}

	return chosen
}
