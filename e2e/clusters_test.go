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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/e2e/bmc"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

const (
	clustersWithin = 65 * time.Minute
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
	for file, target := range map[string]string{filepath.Join(talosNode, "manifest.json"): "talosnode", "../bin/talosctl": "bin/talosctl"} {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("%v: run \"make %s\"", err, target)
		}
	}

	ctx, i := start(t, clustersWithin, "--talos-release-url", "http://"+releases+"/talos", "--server-reboot-timeout=2m")
	c := &clusters{Installation: i, api: admin(t, i), whole: t}
	c.serveNode(ctx, t)
	c.openEndpoint(ctx, t)

	walk(ctx, t, []step{
		{"machines are clean", machinesWithin, c.prepare},
		{"a cluster is made", clusterWithin, c.create},
		{"two workers", clusterWithin, c.scale("machinedeployment/lab-workers", 2, 3)},
		{"one worker again", clusterWithin, c.scale("machinedeployment/lab-workers", 1, 2)},
		{"a worker that is reset gets its configuration again", clusterWithin, c.reset},
		{"a worker whose disk is reset gets its configuration again", clusterWithin, c.resetDisk},
		{"a worker that is off is remediated", clusterWithin, c.remediate},
		{"three of a control plane", 2 * clusterWithin, c.scale("taloscontrolplane/lab-cp", 3, 4)},
		{"one of a control plane", clusterWithin, c.scale("taloscontrolplane/lab-cp", 1, 2)},
		{"a cluster is deleted", machinesWithin, c.remove},
		{"a second cluster of the same machines, while the appliance is killed", 2 * clusterWithin, c.createKilled},
		{"a cluster is deleted, while the appliance is killed", 2 * machinesWithin, c.removeKilled},
	})
}

// clusters are what the steps work with.
type clusters struct {
	*installation.Installation

	api      client.Client
	machines []*managed
	// whole is the test, whose end is that of machines and connections.
	whole *testing.T
}

// serveNode serves the stand-in's files, whichever version of Talos is asked for.
func (c *clusters) serveNode(ctx context.Context, t *testing.T) {
	t.Helper()

	files := http.NewServeMux()
	files.HandleFunc("GET /talos/{version}/{file}", func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(r.PathValue("file"), "-")
		http.ServeFile(w, r, filepath.Join(talosNode, name))
	})

	serve(ctx, t, c.Installation, &http.Server{Addr: releases, Handler: files})
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

	m.closeAtEnd(c.whole)

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
	c.applyTemplate(ctx, t)
	c.untilWhole(ctx, t, 2)
}

func (c *clusters) applyTemplate(ctx context.Context, t *testing.T) {
	t.Helper()

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
}

// untilWhole waits until so many machines are nodes that are ready, and nobody has anything to complain about.
func (c *clusters) untilWhole(ctx context.Context, t *testing.T, count int) {
	t.Helper()

	c.untilRunning(ctx, t, count)
	c.checkNodes(ctx, t, count)
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
		c.untilWhole(ctx, t, all)
	}
}

// untilRunning waits until so many Machines run, and there are no others.
func (c *clusters) untilRunning(ctx context.Context, t *testing.T, count int) {
	t.Helper()

	eventually(ctx, t, func() error {
		var machines clusterv1.MachineList
		if err := c.api.List(ctx, &machines); err != nil {
			return err
		}

		var phases []clusterv1.MachinePhase
		for n := range machines.Items {
			phases = append(phases, machines.Items[n].Status.GetTypedPhase())
		}

		if !slices.Equal(phases, slices.Repeat([]clusterv1.MachinePhase{clusterv1.MachinePhaseRunning}, count)) {
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
			if server := n.Labels["metal.sidero.dev/uuid"]; !isReady(&n) || server == "" || n.Spec.ProviderID != "sidero://"+server {
				return fmt.Errorf("node %s: ready=%t, label %q, provider ID %q", n.Name, isReady(&n), server, n.Spec.ProviderID)
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
