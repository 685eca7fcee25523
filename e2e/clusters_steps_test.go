//go:build e2e

package e2e_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
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

// remediate pulls the plug of a worker, which is switched on again by its MachineHealthCheck and stays the same Machine.
func (c *clusters) remediate(ctx context.Context, t *testing.T) {
	c.apply(ctx, t, healthCheck)

	m := c.worker(ctx, t)
	before := c.binding(ctx, t, m.name)

	must(t, 0, m.machine.TurnOff())
	m.untilOn(ctx, t, true)
	c.untilRunning(ctx, t, 2)
	c.checkNodes(ctx, t, 2)

	if after := c.binding(ctx, t, m.name); after.UID != before.UID {
		t.Errorf("its server was bound to %+v, and is to %+v", before.Spec.MetalMachineRef, after.Spec.MetalMachineRef)
	}
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

// reset has real talosctl take from a worker what it knows. A person lets it have its configuration again, so that it is the same Node.
func (c *clusters) reset(ctx context.Context, t *testing.T) {
	m := c.worker(ctx, t)
	before := c.binding(ctx, t, m.name)

	said, err := c.Tool(ctx, "", "sidero-appliance", "boot-window", m.name)
	t.Log(must(t, said, err))

	said, err = c.talosctl(ctx, t, before.Spec.Addresses[0], "reset", "--graceful=false", "--reboot", "--wait=false", "--system-labels-to-wipe", "STATE,EPHEMERAL")
	must(t, said, err)

	eventually(ctx, t, func() error {
		if at := c.binding(ctx, t, m.name).Status.ConfigurationLoadedAt; at == nil || !at.After(before.Status.ConfigurationLoadedAt.Time) {
			return fmt.Errorf("it has loaded its configuration at %v, and had before at %v", at, before.Status.ConfigurationLoadedAt)
		}

		return nil
	})
	c.untilWhole(ctx, t, 2)
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
		left, err := c.Kubectl(ctx, "get", "clusters,machines,metalmachines,serverbindings,taloscontrolplanes,talosconfigs", "--all-namespaces", "--no-headers", "--ignore-not-found")
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

// createKilled makes a cluster, and kills the appliance meanwhile. Once the nodes are ready, one more start does nothing to them.
func (c *clusters) createKilled(ctx context.Context, t *testing.T) {
	c.applyTemplate(ctx, t)
	c.killAgainAndAgain(ctx, t)
	c.untilWhole(ctx, t, 2)
	c.checkStart(ctx, t)
	c.untilWhole(ctx, t, 2)
}

// removeKilled deletes a cluster, and kills the appliance meanwhile. Machines that are clean by then are not wiped again.
func (c *clusters) removeKilled(ctx context.Context, t *testing.T) {
	c.delete(ctx, t)
	c.killAgainAndAgain(ctx, t)
	c.untilRemoved(ctx, t)
	c.checkStart(ctx, t)
}

func (c *clusters) killAgainAndAgain(ctx context.Context, t *testing.T) {
	t.Helper()

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	for n := range clusterKills {
		if n%2 == 0 { // while it works; otherwise also while it starts
			must(t, 0, c.WaitReady(ctx))
		}

		alive := time.Duration(random.Int64N(int64(longestPeace)))
		<-time.After(alive)
		c.Process.Kill()
		t.Logf("killed %s later", alive.Round(time.Millisecond))
		must(t, 0, c.Launch())
	}

	must(t, 0, c.WaitReady(ctx))
}

// checkStart kills the appliance once more: one that has nothing to do does nothing when it starts, by what BMCs and disks say.
func (c *clusters) checkStart(ctx context.Context, t *testing.T) {
	t.Helper()

	var (
		told          [][]string
		asked, starts []int
	)

	for _, m := range c.machines {
		told, asked, starts = append(told, m.changes()), append(asked, m.bmc.Asked()), append(starts, m.machine.Starts())
	}

	c.Process.Kill()
	must(t, 0, c.Start(ctx))

	for n, m := range c.machines {
		eventually(ctx, t, func() error {
			const looks = 5 // by then it has seen how the machine is, and thought about it
			if m.bmc.Asked() < asked[n]+looks {
				return fmt.Errorf("BMC %d was asked %d times: %w", n, m.bmc.Asked()-asked[n], errNotYet)
			}

			return nil
		})

		if got := m.changes(); !slices.Equal(got, told[n]) {
			t.Errorf("BMC %d was told %q after a start, before it %q", n, got, told[n])
		}

		if got := m.machine.Starts(); got != starts[n] {
			t.Errorf("machine %d was started %d times more", n, got-starts[n])
		}
	}
}
