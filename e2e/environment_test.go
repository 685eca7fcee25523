//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
)

// bootAgent has machines in use boot the agent, as if it were an operating system: no Talos can be had here, and there is no worse
// place for a machine whose disks nobody may touch.
func bootAgent(ctx context.Context, t *testing.T, c client.Client) {
	t.Helper()

	const files = "http://" + installation.Endpoint + "/env/agent-amd64/"

	e := &v1alpha2.Environment{}
	eventually(ctx, t, func() error { return c.Get(ctx, client.ObjectKey{Name: v1alpha2.EnvironmentDefault}, e) })

	before := e.DeepCopy()
	e.Spec.Kernel.Asset, e.Spec.Initrd.Asset = v1alpha2.Asset{URL: files + "vmlinuz"}, v1alpha2.Asset{URL: files + "initramfs.xz"}
	e.Spec.Kernel.Args = []string{"console=tty0", "console=ttyS0", "initrd=initramfs.xz", "panic=30", "sidero.endpoint=" + installation.Endpoint}

	if err := c.Patch(ctx, e, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}

	eventually(ctx, t, func() error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(e), e); err != nil {
			return err
		}

		if !e.Ready() {
			return fmt.Errorf("the Environment is not ready: %+v", e.Status)
		}

		return nil
	})
}
