//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/constants"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/bmc"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

const (
	clustersWithin = 55 * time.Minute
	// machinesWithin is for a boot of the agent and a wipe, on each of the machines at once.
	machinesWithin = 5 * time.Minute
	// clusterWithin is for two boots of each machine, etcd and an API server, all emulated on two processors.
	clusterWithin = 12 * time.Minute

	// releases is where Talos's are served, inside the lab: the stand-in's kernel and initramfs, under Talos's names.
	releases = lab.ApplianceAddress + ":8098"
	// talosNode is where "make talosnode" puts them.
	talosNode = "../bin/talosnode"

	nodeDiskSize = 4 << 30
	nodeMemory   = 2048

	// nodeClass is the class of all machines.
	nodeClass = "nodes"
)

// TestClusters makes a cluster of machines with real firmware by Sidero's own template, and takes it apart again. What runs on the
// machines is e2e/talosnode, a stand-in for Talos.
func TestClusters(t *testing.T) {
	if _, err := os.Stat(filepath.Join(talosNode, "manifest.json")); err != nil {
		t.Fatalf("%v: run \"make talosnode\"", err)
	}

	ctx, i := start(t, clustersWithin, "--talos-release-url", "http://"+releases+"/talos")
	c := &clusters{Installation: i, api: admin(t, i), whole: t}
	c.serveReleases(ctx, t)
	c.openEndpoint(ctx, t)

	for _, step := range []struct {
		name  string
		limit time.Duration
		run   func(context.Context, *testing.T)
	}{
		{"machines are clean", machinesWithin, c.prepare},
		{"a cluster is made", clusterWithin, c.create},
		{"two workers", clusterWithin, c.scale("machinedeployment/lab-workers", 2, 3)},
		{"one worker again", clusterWithin, c.scale("machinedeployment/lab-workers", 1, 2)},
		{"a worker that is off is remediated", clusterWithin, c.remediate},
		{"three of a control plane", 2 * clusterWithin, c.scale("taloscontrolplane/lab-cp", 3, 4)},
		{"one of a control plane", clusterWithin, c.scale("taloscontrolplane/lab-cp", 1, 2)},
		{"a cluster is deleted", machinesWithin, c.remove},
		{"a second cluster of the same machines", clusterWithin, c.create},
	} {
		passed := t.Run(step.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ctx, step.limit)
			defer cancel()

			began := time.Now()

			step.run(ctx, t)
			t.Logf("%s after %s", step.name, time.Since(began).Round(time.Second))
		})
		if !passed {
			t.Fatal("the next steps build on this one")
		}
	}
}

// clusters are what the steps work with.
type clusters struct {
	*installation.Installation

	api      client.Client
	machines []*managed
	// whole is the test, whose end is that of machines and connections.
	whole *testing.T
}

// serveReleases serves the stand-in's files, whichever version of Talos is asked for.
func (c *clusters) serveReleases(ctx context.Context, t *testing.T) {
	t.Helper()

	listener, err := c.Lab.Listen(ctx, "tcp", releases)
	listener = must(t, listener, err)

	files := http.NewServeMux()
	files.HandleFunc("GET /talos/{version}/{file}", func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(r.PathValue("file"), "-")
		http.ServeFile(w, r, filepath.Join(talosNode, name))
	})

	server := &http.Server{Handler: files, ReadHeaderTimeout: time.Minute}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
}

// nodeKinds are machines of two firmwares, all with IPMI: as many as the largest cluster of the test has.
func nodeKinds() []kind {
	withIPMI := func(node *lab.Node, m *bmc.Machine) (bmc.BMC, error) { return bmc.NewIPMI(node, bmcAddress+":0", m) }
	of := func(name string, firmware lab.Firmware) lab.Machine {
		return lab.Machine{Name: name, Firmware: firmware, Memory: nodeMemory, Disks: []lab.Disk{{Size: nodeDiskSize, Serial: name}}}
	}
	uefi := func(b bmc.BMC) string { return strings.Replace(ipmiPower(b), `"bios"`, `"uefi"`, 1) }

	return []kind{
		{machine: of("node-1", lab.BIOS), bmc: withIPMI, power: ipmiPower},
		{machine: of("node-2", lab.UEFI), bmc: withIPMI, power: uefi},
		{machine: of("node-3", lab.BIOS), bmc: withIPMI, power: ipmiPower},
		{machine: of("node-4", lab.UEFI), bmc: withIPMI, power: uefi},
	}
}

// prepare boots the machines, accepts them, and waits until they are clean.
func (c *clusters) prepare(ctx context.Context, t *testing.T) {
	node, err := bmc.Attach(ctx, c.Lab, bmcAddress)
	node = must(t, node, err)

	t.Run("all", func(t *testing.T) {
		for _, k := range nodeKinds() {
			m := c.machine(k)
			m.name = m.machine.Description().UUID.String()
			c.machines = append(c.machines, m)

			t.Run(k.machine.Name, func(t *testing.T) {
				t.Parallel()
				m.register(ctx, t, k, node)
				m.patch(ctx, t, `"accepted":true`)
				m.untilClean(ctx, t)
			})
		}
	})
}

// machine is one that is off until the test's end.
func (c *clusters) machine(k kind) *managed {
	m := &managed{Installation: c.Installation, client: c.api, machine: bmc.NewMachine(c.Lab, k.machine)}

	c.whole.Cleanup(func() {
		if m.bmc != nil {
			if err := m.bmc.Close(); err != nil {
				c.whole.Error(err)
			}
		}

		if vm := m.machine.VM(); vm != nil && c.whole.Failed() {
			showLog(c.whole, vm.Console.Path())
		}

		if err := m.machine.Close(); err != nil {
			c.whole.Error(err)
		}
	})

	return m
}

const (
	// clusterName is the one cluster's, in namespace default.
	clusterName = "lab"

	// installDisk is a class whose machines install to their one disk, as Sidero's documentation has it.
	installDisk = `
apiVersion: metal.sidero.dev/v1alpha2
kind: ServerClass
metadata: {name: ` + nodeClass + `}
spec:
  configPatches:
  - {op: add, path: /machine/install/disk, value: /dev/vda}
`
	// template is Sidero's.
	template = "../apiserver/clusterctl/testdata/sidero-template.yaml"
)

// create applies Sidero's template, and waits for a cluster.
func (c *clusters) create(ctx context.Context, t *testing.T) {
	for name, value := range map[string]string{
		"CLUSTER_NAME": clusterName, "CONTROL_PLANE_ENDPOINT": endpointAddress, "CONTROL_PLANE_PORT": "6443",
		"CONTROL_PLANE_SERVERCLASS": nodeClass, "WORKER_SERVERCLASS": nodeClass,
		"CONTROL_PLANE_MACHINE_COUNT": "1", "WORKER_MACHINE_COUNT": "1",
		"KUBERNETES_VERSION": "v" + constants.DefaultKubernetesVersion, "TALOS_VERSION": "v1.13",
	} {
		t.Setenv(name, value)
	}

	c.apply(ctx, t, installDisk)

	file, err := filepath.Abs(template)
	manifest, err2 := c.Tool(ctx, "", "clusterctl", "generate", "yaml", "--from", must(t, file, err))
	c.apply(ctx, t, must(t, manifest, err2))

	c.untilRunning(ctx, t, 2)
	c.checkNodes(ctx, t, 2)
	c.checkTools(ctx, t)
}

func (c *clusters) apply(ctx context.Context, t *testing.T, manifest string) {
	t.Helper()

	said, err := c.Tool(ctx, manifest, "kubectl", "apply", "-f", "-")
	t.Log(must(t, said, err))
}

// scale changes a number of machines, and waits for all that there are to be.
func (c *clusters) scale(what string, to, all int) func(context.Context, *testing.T) {
	return func(ctx context.Context, t *testing.T) {
		said, err := c.Kubectl(ctx, "scale", what, "--replicas", strconv.Itoa(to))
		must(t, said, err)
		c.untilRunning(ctx, t, all)
		c.checkNodes(ctx, t, all)
		c.checkTools(ctx, t)
	}
}

// untilRunning waits until so many Machines run, and there are no others.
func (c *clusters) untilRunning(ctx context.Context, t *testing.T, count int) {
	t.Helper()

	machines := &unstructured.UnstructuredList{}
	machines.SetAPIVersion("cluster.x-k8s.io/v1beta2")
	machines.SetKind("MachineList")

	eventually(ctx, t, func() error {
		if err := c.api.List(ctx, machines); err != nil {
			return err
		}

		var phases []string

		for _, m := range machines.Items {
			phase, _, _ := unstructured.NestedString(m.Object, "status", "phase")
			phases = append(phases, phase)
		}

		if !slices.Equal(phases, slices.Repeat([]string{"Running"}, count)) {
			return fmt.Errorf("machines are %q", phases)
		}

		return nil
	})
}

// workload is a client of the cluster itself, by the kubeconfig that clusterctl gives to a person.
func (c *clusters) workload(ctx context.Context, t *testing.T) *kubernetes.Clientset {
	t.Helper()

	kubeconfig, err := c.Tool(ctx, "", "clusterctl", "get", "kubeconfig", clusterName)
	config, err2 := clientcmd.RESTConfigFromKubeConfig([]byte(must(t, kubeconfig, err)))
	config = must(t, config, err2)
	config.Dial = c.Lab.Dial
	made, err := kubernetes.NewForConfig(config)

	return must(t, made, err)
}

// checkNodes waits until so many Nodes are ready, and known by the servers that they are.
func (c *clusters) checkNodes(ctx context.Context, t *testing.T, count int) {
	t.Helper()

	api := c.workload(ctx, t)

	eventually(ctx, t, func() error {
		nodes, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}

		if len(nodes.Items) != count {
			return fmt.Errorf("there are %d nodes", len(nodes.Items))
		}

		for _, n := range nodes.Items {
			ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
				return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
			})
			if server := n.Labels["metal.sidero.dev/uuid"]; !ready || server == "" || n.Spec.ProviderID != "sidero://"+server {
				return fmt.Errorf("node %s: ready=%t, label %q, provider ID %q", n.Name, ready, server, n.Spec.ProviderID)
			}
		}

		return nil
	})
}

// checkTools sees that clusterctl has nothing to complain about: what is not well has a status and a reason in its tree.
func (c *clusters) checkTools(ctx context.Context, t *testing.T) {
	t.Helper()

	eventually(ctx, t, func() error {
		said, err := c.Tool(ctx, "", "clusterctl", "describe", "cluster", clusterName)
		if err != nil {
			return err
		}

		for _, bad := range []string{"False", "Unknown", "Warning", "Error"} {
			if strings.Contains(said, bad) {
				return fmt.Errorf("clusterctl describe cluster says\n%s", said)
			}
		}

		return nil
	})
}

// healthCheck has workers switched off and on that are not there for half a minute.
const healthCheck = `
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3
kind: MetalRemediationTemplate
metadata: {name: power-cycle}
spec: {template: {spec: {strategy: {retryLimit: 2, timeout: 10m}}}}
---
apiVersion: cluster.x-k8s.io/v1beta1
kind: MachineHealthCheck
metadata: {name: lab-workers}
spec:
  clusterName: lab
  selector: {matchLabels: {cluster.x-k8s.io/deployment-name: lab-workers}}
  nodeStartupTimeout: 15m
  unhealthyConditions:
  - {type: Ready, status: Unknown, timeout: 30s}
  - {type: Ready, status: "False", timeout: 30s}
  remediationTemplate: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3, kind: MetalRemediationTemplate, name: power-cycle}
`

// remediate pulls the plug of a worker, which is switched on again by its MachineHealthCheck and stays the same Machine.
func (c *clusters) remediate(ctx context.Context, t *testing.T) {
	c.apply(ctx, t, healthCheck)

	worker, err := c.Kubectl(ctx, "get", "metalmachines", "-l", "!cluster.x-k8s.io/control-plane", "-o", "jsonpath={.items[0].spec.serverRef.name}")
	worker = must(t, worker, err)

	at := slices.IndexFunc(c.machines, func(m *managed) bool { return m.name == worker })
	if at < 0 {
		t.Fatalf("no machine is %q", worker)
	}

	m := c.machines[at]
	must(t, 0, m.machine.TurnOff())
	m.untilOn(ctx, t, true)
	c.untilRunning(ctx, t, 2)
	c.checkNodes(ctx, t, 2)

	still, err := c.Kubectl(ctx, "get", "serverbinding", worker, "-o", "name")
	must(t, still, err)
}

// remove deletes the cluster, and waits until its servers are clean and nothing of it is left.
func (c *clusters) remove(ctx context.Context, t *testing.T) {
	said, err := c.Kubectl(ctx, "delete", "cluster", clusterName, "--wait=false")
	must(t, said, err)

	for _, m := range c.machines {
		m.until(ctx, t, "given back and clean", func(s *v1alpha2.Server) bool { return !s.Status.InUse && s.Status.IsClean })
		m.untilOn(ctx, t, false)
	}

	eventually(ctx, t, func() error {
		left, err := c.Kubectl(ctx, "get", "clusters,machines,metalmachines,serverbindings,taloscontrolplanes,talosconfigs", "--all-namespaces", "--no-headers", "--ignore-not-found")
		if err == nil && left != "" {
			err = fmt.Errorf("there still are\n%s", left)
		}

		return err
	})
}
