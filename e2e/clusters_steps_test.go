//go:build e2e

package e2e_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/bmc"
	"github.com/sidero-appliance/sidero-appliance/netboot/timeline"
)

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

// remediate pulls the plug of a worker, which is switched on again; and has it hang, so that its MachineHealthCheck has it power-cycled. It stays
// the same Machine.
func (c *clusters) remediate(ctx context.Context, t *testing.T) {
	c.apply(ctx, t, healthCheck)

	m := c.worker(ctx, t)
	before := c.binding(ctx, t, m.name)

	must(t, 0, m.machine.TurnOff())
	m.untilOn(ctx, t, true)
	c.untilBeats(ctx, t, m.name)

	told := len(m.changes())

	must(t, 0, m.machine.VM().QMP(ctx, "stop", nil, nil))
	eventually(ctx, t, func() error {
		if said := m.changes()[told:]; !slices.Contains(said, bmc.Cycle) {
			return fmt.Errorf("its BMC was told %q: %w", said, errNotYet)
		}

		return nil
	})
	c.untilBeats(ctx, t, m.name)
	c.untilRunning(ctx, t, 2)
	c.checkNodes(ctx, t, 2)

	c.checkBound(ctx, t, before)
}

// worker is the machine of the cluster's one worker.
func (c *clusters) worker(ctx context.Context, t *testing.T) *managed {
	t.Helper()

	name, err := c.Kubectl(ctx, "get", "metalmachines", "-l", "!cluster.x-k8s.io/control-plane", "-o", "jsonpath={.items[0].spec.serverRef.name}")
	name = must(t, name, err)

	at := slices.IndexFunc(c.machines, func(m *managed) bool { return m.name == name })
	if at < 0 {
		t.Fatalf("no machine is %q", name)
	}

	return c.machines[at]
}

func (c *clusters) binding(ctx context.Context, t *testing.T, name string) *v1alpha3.ServerBinding {
	t.Helper()

	b := &v1alpha3.ServerBinding{}
	must(t, 0, c.api.Get(ctx, client.ObjectKey{Name: name}, b))

	return b
}

// checkBound wants a server to be what it was, of the same Machine.
func (c *clusters) checkBound(ctx context.Context, t *testing.T, before *v1alpha3.ServerBinding) {
	t.Helper()

	if after := c.binding(ctx, t, before.Name); after.UID != before.UID {
		t.Errorf("its server was bound to %+v, and is to %+v", before.Spec.MetalMachineRef, after.Spec.MetalMachineRef)
	}
}

// reset has real talosctl take from a worker what it knows, and not its boot loader: it starts from its disk.
func (c *clusters) reset(ctx context.Context, t *testing.T) {
	began := time.Now()

	m := c.resetBy(ctx, t, nil, "--system-labels-to-wipe", "STATE,EPHEMERAL")
	if s := m.server(ctx, t); s.Status.HasStep(timeline.Kernel, began) {
		t.Errorf("it was started from the network: %+v", s.Status.Boots)
	}
}

// resetDisk has real talosctl wipe the disk of a worker, and the person restart it, whose firmware may have stopped there.
func (c *clusters) resetDisk(ctx context.Context, t *testing.T) {
	began := time.Now()

	m := c.resetBy(ctx, t, func(m *managed) {
		m.until(ctx, t, "sent to its disk", func(s *v1alpha2.Server) bool { return wasTold(s.Status.Boots, "starting it from its disk", began) })

		said, err := c.Tool(ctx, "", "sidero-appliance", "power", "cycle", m.name)
		t.Log(must(t, said, err))

		m.until(ctx, t, "started from the network", func(s *v1alpha2.Server) bool {
			return wasTold(s.Status.Boots, "to have its configuration again", began)
		})
	})

	// It was installed, and then started from its disk: in its last boot no kernel was loaded.
	m.until(ctx, t, "started from its disk", func(s *v1alpha2.Server) bool {
		return wasTold(s.Status.Boots[:1], "starting it from its disk", began)
	})
}

// wasTold tells whether a machine that asked what to boot was told so, in any of its boots.
func wasTold(boots []v1alpha2.Boot, what string, since time.Time) bool {
	for _, boot := range boots {
		for _, step := range boot.Steps {
			if step.Step == timeline.IPXE && strings.Contains(step.Detail, what) && !step.Time.Time.Before(since.Truncate(time.Second)) {
				return true
			}
		}
	}

	return false
}

// resetBy resets a worker. A person lets it have its configuration again, may do more, and it is a node again.
func (c *clusters) resetBy(ctx context.Context, t *testing.T, more func(*managed), flags ...string) *managed {
	t.Helper()

	m := c.worker(ctx, t)

	before := c.binding(ctx, t, m.name)
	if len(before.Spec.Addresses) == 0 {
		t.Fatal("the worker has told no address")
	}

	said, err := c.Tool(ctx, "", "sidero-appliance", "boot-window", m.name)
	t.Log(must(t, said, err))

	began := time.Now()
	said, err = c.talosctl(ctx, t, before.Spec.Addresses[0], append([]string{"reset", "--graceful=false", "--reboot", "--wait=false"}, flags...)...)
	must(t, said, err)

	if more != nil {
		more(m)
	}

	m.until(ctx, t, "told its configuration again", func(s *v1alpha2.Server) bool { return s.Status.HasStep(timeline.Load, began) })
	c.untilBeats(ctx, t, m.name)
	c.untilWhole(ctx, t, 2)

	c.checkBound(ctx, t, before)

	return m
}

// untilBeats waits until the node of a server has told once more that it lives.
func (c *clusters) untilBeats(ctx context.Context, t *testing.T, server string) {
	t.Helper()

	began, api := time.Now(), c.workload(ctx, t)

	eventually(ctx, t, func() error {
		nodes, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: "metal.sidero.dev/uuid=" + server})
		if err != nil || len(nodes.Items) != 1 {
			return fmt.Errorf("%d nodes: %w", len(nodes.Items), errors.Join(err, errNotYet))
		}

		lease, err := api.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, nodes.Items[0].Name, metav1.GetOptions{})
		if err != nil || !lease.Spec.RenewTime.After(began) {
			return errors.Join(err, errNotYet)
		}

		return nil
	})
}

// talosctl asks a node as the documentation has people do it.
func (c *clusters) talosctl(ctx context.Context, t *testing.T, address string, args ...string) (string, error) {
	t.Helper()

	encoded, err := c.Kubectl(ctx, "get", "secret", clusterName+"-talosconfig", "-o", "jsonpath={.data.talosconfig}")
	text, err2 := base64.StdEncoding.DecodeString(must(t, encoded, err))
	path := filepath.Join(t.TempDir(), "talosconfig")
	must(t, 0, os.WriteFile(path, must(t, text, err2), 0o600))

	return c.Tool(ctx, "", "talosctl", append([]string{"--talosconfig", path, "-e", address, "-n", address}, args...)...)
}

// ofClusters are the kinds of which nothing is left when a cluster is gone.
func ofClusters() []string {
	return []string{
		"clusters", "machines", "machinesets", "machinedeployments", "machinehealthchecks", "metalmachines", "metalremediations",
		"serverbindings", "taloscontrolplanes", "talosconfigs",
	}
}

// remove deletes the cluster, and waits until its servers are clean and nothing of it is left.
func (c *clusters) remove(ctx context.Context, t *testing.T) {
	c.delete(ctx, t)
	c.untilRemoved(ctx, t)
}

func (c *clusters) delete(ctx context.Context, t *testing.T) {
	t.Helper()

	said, err := c.Kubectl(ctx, "delete", "cluster", clusterName, "--wait=false")
	must(t, said, err)
}

func (c *clusters) untilRemoved(ctx context.Context, t *testing.T) {
	t.Helper()

	for _, m := range c.machines {
		m.until(ctx, t, "given back and clean", func(s *v1alpha2.Server) bool { return !s.Status.InUse && s.Status.IsClean })
		m.untilOn(ctx, t, false)
	}

	eventually(ctx, t, func() error {
		left, err := c.Kubectl(ctx, "get", strings.Join(ofClusters(), ","), "--all-namespaces", "--no-headers", "--ignore-not-found")
		if err == nil && left != "" {
			err = fmt.Errorf("there still are\n%s", left)
		}

		return err
	})
}

const (
	// clusterKills is how often the appliance is killed while a cluster is made, and while it is deleted.
	clusterKills = 3
	// longestPeace is between two of them, at most: three are within the time that machines take for their work.
	longestPeace = 40 * time.Second
)

// createKilled makes a cluster, and kills the appliance meanwhile: once machines have loaded a kernel, because firmware that finds nobody
// to load one from gives up. No machine is switched off or started again for it, neither then nor by one more start of the appliance.
func (c *clusters) createKilled(ctx context.Context, t *testing.T) {
	told := c.told()

	c.applyTemplate(ctx, t)

	c.untilLoaded(ctx, t, 2)
	c.killings(t).run(ctx, t, c.Installation)
	c.untilWhole(ctx, t, 2)
	checkStart(ctx, t, c.Installation, c.bmcs())
	c.untilWhole(ctx, t, 2)

	for n, m := range c.machines {
		if is := m.changes()[told[n]:]; slices.Contains(is, bmc.Off) || slices.Contains(is, bmc.Cycle) {
			t.Errorf("the BMC of %s was told %q", m.name, is)
		}
	}
}

// removeKilled deletes a cluster, and kills the appliance meanwhile. A kill costs one more start of a machine at most, and those that are
// clean by then are not wiped again.
func (c *clusters) removeKilled(ctx context.Context, t *testing.T) {
	told := c.told()

	c.delete(ctx, t)
	c.killings(t).run(ctx, t, c.Installation)
	c.untilRemoved(ctx, t)
	checkStart(ctx, t, c.Installation, c.bmcs())

	for n, m := range c.machines {
		if is := m.changes()[told[n]:]; startsIn(is) > 1+clusterKills {
			t.Errorf("the BMC of %s was told %q", m.name, is)
		}
	}
}

func (c *clusters) killings(t *testing.T) killings {
	t.Helper()

	return killings{times: clusterKills, longest: longestPeace, random: chance(t)}
}

func (c *clusters) bmcs() (all []bmc.BMC) {
	for _, m := range c.machines {
		all = append(all, m.bmc)
	}

	return all
}

// told is how much the BMCs were told to change.
func (c *clusters) told() (all []int) {
	for _, m := range c.machines {
		all = append(all, len(m.changes()))
	}

	return all
}

// untilLoaded waits until so many machines in use have loaded a kernel from now on.
func (c *clusters) untilLoaded(ctx context.Context, t *testing.T, count int) {
	t.Helper()

	began := time.Now()

	eventually(ctx, t, func() error {
		var servers v1alpha2.ServerList
		if err := c.api.List(ctx, &servers); err != nil {
			return err
		}

		loaded := 0

		for _, s := range servers.Items {
			if s.Status.InUse && s.Status.HasStep(timeline.Kernel, began) {
				loaded++
			}
		}

		if loaded < count {
			return fmt.Errorf("%d machines have loaded a kernel", loaded)
		}

		return nil
	})
}
