package clusterctl_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/repository"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
)

// clusterAPI runs what installs Cluster API's kinds.
func (a appliance) clusterAPI(t *testing.T) {
	t.Helper()

	c, err := clusterapi.New(clusterapi.Config{
		Owner:       a.Client(t, pki.Owner),
		Client:      a.Client(t, bootstrap.ClusterAPI),
		Listener:    a.webhooks,
		Certificate: a.Authority.ServiceCertificate(clusterapi.Names()...),
		Logger:      slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(t, err)
	apitest.Run(t, c)
}

// cluster is a cluster as somebody's manifest has it, with the Secret that its control plane's provider makes.
const cluster = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: described, namespace: default}
spec:
  infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: MetalCluster, name: described}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3
kind: MetalCluster
metadata:
  name: described
  namespace: default
spec:
  controlPlaneEndpoint: {host: 10.9.0.100, port: 6443}
---
apiVersion: v1
kind: Secret
metadata: {name: described-kubeconfig, namespace: default, labels: {cluster.x-k8s.io/cluster-name: described}}
stringData: {value: "apiVersion: v1\nkind: Config\n"}
`

const server = `
---
apiVersion: metal.sidero.dev/v1alpha2
kind: Server
metadata: {name: moved, annotations: {cluster.x-k8s.io/paused: "true"}}
spec: {accepted: true}
`

// testTemplate applies what generate cluster writes.
func testTemplate(t *testing.T, c tool) {
	c.kubectl.Do(t, "create", "namespace", "west")

	run := c.Clusterctl
	run.Environment = []string{"CONTROL_PLANE_ENDPOINT=10.9.0.100"}
	manifest := run.Do(t, "generate", "cluster", "c1", "-n", "west", "--worker-machine-count", "2")

	for _, args := range []string{"apply --validate=strict -f -", "apply --server-side --force-conflicts --validate=strict -f -"} {
		if out := c.kubectl.With(manifest).Do(t, strings.Fields(args)...); strings.Contains(out, "arning") {
			t.Errorf("kubectl %s: %s", args, out)
		}
	}

	for object, want := range map[string]string{
		"cluster c1 {.spec.controlPlaneRef.name}":                                                     "c1-cp",
		"metalcluster c1 {.spec.controlPlaneEndpoint.host}":                                           "10.9.0.100",
		"metalmachinetemplate c1-cp {.spec.template.spec.serverClassRef.name}":                        "any",
		"taloscontrolplane c1-cp {.spec.controlPlaneConfig.controlplane.generateType}":                "controlplane",
		"talosconfigtemplate c1-workers {.spec.template.spec.generateType}":                           "join",
		"machinedeployment c1-workers {.spec.selector.matchLabels.cluster\\.x-k8s\\.io/cluster-name}": "c1",
		"machinedeployment c1-workers {.spec.replicas}":                                               "2",
	} {
		words := strings.Fields(object)
		if got := c.kubectl.Do(t, "get", "-n", "west", words[0], words[1], "-o", "jsonpath="+words[2]); got != want {
			t.Errorf("%s is %q, want %q", object, got, want)
		}
	}

	c.kubectl.With(manifest).Do(t, "delete", "-f", "-")
}

func testDescribe(t *testing.T, c tool) {
	c.kubectl.With(cluster).Do(t, "apply", "-f", "-")

	out := c.Do(t, "describe", "cluster", "described", "--show-conditions=all", "--color=false")
	for _, want := range []string{"Cluster default/described", "└─MetalCluster default/described"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("describe cluster lacks %q:\n%s", want, out)
		}
	}

	if out, err := c.Try(t, "describe", "cluster", "absent"); err == nil || !strings.Contains(out, `"absent" not found`) {
		t.Errorf("describe cluster of one that is not there: %v %s", err, out)
	}
}

func testGetKubeconfig(t *testing.T, c tool) {
	c.kubectl.With(cluster).Do(t, "apply", "-f", "-")

	if out := c.Do(t, "get", "kubeconfig", "described"); strings.TrimSpace(out) != "apiVersion: v1\nkind: Config" {
		t.Errorf("get kubeconfig: %q", out)
	}
}

// TestMove moves a cluster and the machines to another appliance, and what their controllers would have said of them.
func TestMove(t *testing.T) {
	from, to := start(t, t.TempDir(), "v1.0.0"), start(t, t.TempDir(), "v1.0.0")
	from.clusterAPI(t)
	to.clusterAPI(t)

	from.kubectl.With(cluster+server).Do(t, "apply", "-f", "-")

	uid := from.kubectl.Do(t, "get", "cluster", "described", "-o", "jsonpath={.metadata.uid}")
	for _, patch := range []string{
		`metalcluster described {"metadata":{"ownerReferences":[{"apiVersion":"cluster.x-k8s.io/v1beta2","kind":"Cluster","name":"described","uid":"` + uid + `"}]}}`,
		`metalcluster/status described {"status":{"ready":true,"initialization":{"provisioned":true}}}`,
		`cluster/status described {"status":{"initialization":{"infrastructureProvisioned":true,"controlPlaneInitialized":true},"conditions":[` +
			`{"type":"ControlPlaneInitialized","status":"True","reason":"Initialized","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`,
	} {
		words := strings.SplitN(patch, " ", 3)
		kind, subresource, _ := strings.Cut(words[0], "/")
		from.kubectl.Do(t, "patch", kind, words[1], "--type=merge", "--subresource="+subresource, "-p", words[2])
	}

	dir := t.TempDir()
	must(t, repository.Write(dir))

	c := from.Clusterctl(t)
	c.Config = filepath.Join(dir, repository.Config)
	c.Do(t, "move", "--to-kubeconfig", to.Kubeconfig)

	if out := from.kubectl.Do(t, "get", "clusters,metalclusters", "-o", "name"); out != "" {
		t.Errorf("there are still %s", out)
	}

	got := to.kubectl.Do(t, "get", "clusters,metalclusters,secrets,servers", "-o", "name")
	for _, want := range []string{"cluster.x-k8s.io/described", "metalcluster.infrastructure", "secret/described-kubeconfig", "server.metal.sidero.dev/moved"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s did not arrive: %s", want, got)
		}
	}

	// Nobody there knows that a cluster uses it, until its pause is ended.
	if paused := to.kubectl.Do(t, "get", "server", "moved", "-o", `jsonpath={.metadata.annotations.cluster\.x-k8s\.io/paused}`); paused != "true" {
		t.Errorf("the server's pause is %q", paused)
	}

	checkEntries(t, from.inventory(t), "v1.0.0")
	checkEntries(t, to.inventory(t), "v1.0.0")
}
