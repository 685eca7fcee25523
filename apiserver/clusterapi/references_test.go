package clusterapi_test

import (
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// testUnknownKind writes objects of every kind that names kinds of providers, each with names that nobody defined.
func testUnknownKind(t *testing.T, p plane) {
	const reference = "apiGroup: infrastructure.cluster.x-k8s.io, kind: Nowhere, name: x"

	const versioned = "apiVersion: infrastructure.cluster.x-k8s.io/v1beta1, kind: Nowhere, name: x"

	machine := "{clusterName: c, bootstrap: {configRef: {" + reference + "}}, infrastructureRef: {" + reference + "}}"
	template := "template: {metadata: {labels: {a: b}}, spec: " + machine + "}}"
	machines := "{clusterName: c, selector: {matchLabels: {a: b}}, " + template

	for _, c := range []struct {
		kind, spec string
		paths      []string
	}{
		{"Cluster", "{infrastructureRef: {" + reference + "}, controlPlaneRef: {" + reference + "}}",
			[]string{"spec.infrastructureRef.kind", "spec.controlPlaneRef.kind"}},
		{"Machine", machine, []string{"spec.bootstrap.configRef.kind", "spec.infrastructureRef.kind"}},
		{"MachineSet", machines, []string{"spec.template.spec.bootstrap.configRef.kind", "spec.template.spec.infrastructureRef.kind"}},
		{"MachineDeployment", machines, []string{"spec.template.spec.bootstrap.configRef.kind"}},
		{"MachinePool", "{clusterName: c, " + template, []string{"spec.template.spec.infrastructureRef.kind"}},
		{"MachineHealthCheck", "{clusterName: c, selector: {matchLabels: {a: b}}, remediation: {templateRef: {" + versioned + "}}}",
			[]string{"spec.remediation.templateRef.kind"}},
		{"ClusterClass", "{infrastructure: {templateRef: {" + versioned + "}}, controlPlane: {templateRef: {" + versioned + "}}, " +
			"workers: {machineDeployments: [{class: a, bootstrap: {templateRef: {" + versioned + "}}, infrastructure: {templateRef: {" + versioned + "}}}]}}",
			[]string{"spec.infrastructure.templateRef.kind", "spec.controlPlane.templateRef.kind", "spec.workers.machineDeployments[0].bootstrap.templateRef.kind"}},
	} {
		refused(t, p.client.Create(t.Context(), object(t, c.kind, "unknown", c.spec)), append(c.paths,
			`no kind Nowhere in group "infrastructure.cluster.x-k8s.io" is known here`, "CustomResourceDefinition")...)
	}

	refused(t, p.client.Create(t.Context(), cluster("unknown", "Nowhere")), "spec.infrastructureRef.kind: Invalid value: \"Nowhere\"")
}

// testClassInUse deletes a ClusterClass that a Cluster was made of, and one that none was.
func testClassInUse(t *testing.T, p plane) {
	const ref = "{apiVersion: infrastructure.cluster.x-k8s.io/v1alpha7, kind: ExampleClusterTemplate, name: x}"

	for _, name := range []string{"used", "unused"} {
		p.apply(t, "ClusterClass", name, "{infrastructure: {templateRef: "+ref+"}, controlPlane: {templateRef: "+ref+"}}")
	}

	p.apply(t, "Cluster", "of-class", "{topology: {classRef: {name: used}, version: v1.33.1}}")

	class := &clusterv1.ClusterClass{ObjectMeta: meta("used")}
	refused(t, p.client.Delete(t.Context(), class), "ClusterClass cannot be deleted because it is used by Cluster(s): default/of-class")

	class.Name = "unused"
	must(t, p.client.Delete(t.Context(), class))
}
