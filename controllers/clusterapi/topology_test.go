package clusterapi_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	controllers "github.com/sidero-appliance/sidero-appliance/controllers/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
)

// happensWithin bounds the wait for what the reconcilers do.
const happensWithin = time.Minute

// class and what it refers to is a ClusterClass of Talos clusters on metal, in which a variable patches the templates.
const class = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: talos, namespace: default}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3, kind: MetalClusterTemplate, name: talos}}
  controlPlane:
    templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1alpha3, kind: TalosControlPlaneTemplate, name: talos}
    machineInfrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3, kind: MetalMachineTemplate, name: talos-cp}}
    metadata: {labels: {from: class}}
    readinessGates: [{conditionType: Storage}]
    deletion: {nodeDrainTimeoutSeconds: 30}
  workers:
    machineDeployments:
    - class: worker
      bootstrap: {templateRef: {apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3, kind: TalosConfigTemplate, name: talos}}
      infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3, kind: MetalMachineTemplate, name: talos-w}}
  variables:
  - {name: disk, required: true, schema: {openAPIV3Schema: {type: string}}}
  patches:
  - name: disk
    definitions:
    - selector: {apiVersion: controlplane.cluster.x-k8s.io/v1alpha3, kind: TalosControlPlaneTemplate, matchResources: {controlPlane: true}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/controlPlaneConfig/controlplane/configPatches, valueFrom: {template: "- {op: replace, path: /machine/install/disk, value: {{ .disk }}}"}}
    - selector: {apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3, kind: TalosConfigTemplate, matchResources: {machineDeploymentClass: {names: [worker]}}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/configPatches, valueFrom: {template: "- {op: replace, path: /machine/install/disk, value: {{ .disk }}}"}}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3
kind: MetalClusterTemplate
metadata: {name: talos, namespace: default}
spec: {template: {spec: {controlPlaneEndpoint: {host: 127.0.0.9, port: 6443}}}}
---
apiVersion: controlplane.cluster.x-k8s.io/v1alpha3
kind: TalosControlPlaneTemplate
metadata: {name: talos, namespace: default}
spec:
  template:
    metadata: {annotations: {own: template}}
    spec:
      machineTemplate: {metadata: {labels: {own: machine}}}
      controlPlaneConfig: {controlplane: {generateType: controlplane, talosVersion: v1.13}}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3
kind: MetalMachineTemplate
metadata: {name: talos-cp, namespace: default}
spec: {template: {spec: {serverClassRef: {apiVersion: metal.sidero.dev/v1alpha2, kind: ServerClass, name: any}}}}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3
kind: MetalMachineTemplate
metadata: {name: talos-w, namespace: default}
spec: {template: {spec: {serverClassRef: {apiVersion: metal.sidero.dev/v1alpha2, kind: ServerClass, name: any}}}}
---
apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3
kind: TalosConfigTemplate
metadata: {name: talos, namespace: default}
spec: {template: {spec: {generateType: worker, talosVersion: v1.13}}}
`

const cluster = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: topo, namespace: default}
spec:
  topology:
    classRef: {name: talos}
    version: v1.34.0
    controlPlane:
      replicas: 3
      rollout: {after: "2026-03-09T09:00:00Z"}
    workers:
      machineDeployments: [{class: worker, name: md, replicas: 2}]
    variables: [{name: disk, value: /dev/sda}]
`

// TestTopology makes a Cluster of a ClusterClass, changes it, and wants the reconcilers to find nothing to complain about.
func TestTopology(t *testing.T) {
	a := clustertest.Start(t)
	kubectl := begin(t, a)

	kubectl.With(class).Do(t, "apply", "-f", "-")
	kubectl.Do(t, "wait", "clusterclass", "talos", "--for=condition=VariablesReady", "--timeout=60s")
	kubectl.With(cluster).Do(t, "apply", "-f", "-")

	eventually(t, kubectl, "get tcp -o jsonpath={.items[*].spec.version},{.items[*].spec.replicas},{.items[*].spec.rollout.after},"+
		"{.items[*].spec.machineTemplate.spec.infrastructureRef.kind},{.items[*].spec.machineTemplate.spec.deletion.nodeDrainTimeoutSeconds},"+
		"{.items[*].spec.machineTemplate.spec.readinessGates[*].conditionType},{.items[*].spec.machineTemplate.metadata.labels.own},"+
		"{.items[*].metadata.labels.from},{.items[*].metadata.annotations.own},{.items[*].spec.controlPlaneConfig.controlplane.configPatches[*].value}",
		"v1.34.0,3,2026-03-09T09:00:00Z,MetalMachineTemplate,30,Storage,machine,class,template,/dev/sda")
	eventually(t, kubectl, "get talosconfigs -o jsonpath={.items[*].spec.configPatches[*].value}", "/dev/sda /dev/sda")

	changed := strings.NewReplacer("/dev/sda", "/dev/nvme0n1", "replicas: 3", "replicas: 5").Replace(cluster)
	kubectl.With(changed).Do(t, "apply", "-f", "-")

	eventually(t, kubectl, "get tcp -o jsonpath={.items[*].spec.replicas},{.items[*].spec.controlPlaneConfig.controlplane.configPatches[*].value}",
		"5,/dev/nvme0n1")
	eventually(t, kubectl, "get machinedeployments,machinesets -o jsonpath={.items[*].kind}", "MachineDeployment MachineSet MachineSet")

	if errors := a.Log.Since(0, "level=ERROR"); len(errors) != 0 {
		t.Errorf("%d errors were logged, the first: %s", len(errors), errors[0])
	}
}

// begin runs the reconcilers until the test ends.
func begin(t *testing.T, a *clustertest.API) apitest.Kubectl {
	t.Helper()

	a.Begin(controllers.New(provider.Config{
		Client: a.Plane.Client(t, bootstrap.ClusterAPIControllers), Identity: "test",
		Logger: logr.FromSlogHandler(a.Logger().Handler()), Log: slog.New(slog.DiscardHandler),
	}))

	return a.Plane.Kubectl(t)
}

// eventually waits until kubectl says what is wanted.
func eventually(t *testing.T, kubectl apitest.Kubectl, command, want string) {
	t.Helper()

	var said string

	err := wait.PollUntilContextTimeout(t.Context(), time.Second, happensWithin, true, func(context.Context) (bool, error) {
		said, _ = kubectl.Try(t, strings.Fields(command)...)

		return said == want, nil
	})
	if err != nil {
		t.Fatalf("kubectl %s: %s, want %s", command, said, want)
	}
}
