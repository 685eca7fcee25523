//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
)

// useAgent has a server in use boot the agent, in place of an operating system: no Talos can be had here, and there is no worse
// place for a machine whose disks nobody may touch. The machine's address is among the agent's arguments, so each has an Environment
// of its own.
func useAgent(ctx context.Context, t *testing.T, c client.Client, server string, mac net.HardwareAddr) {
	t.Helper()

	const files = "http://" + installation.Endpoint + "/env/agent-amd64/"

	e := &v1alpha2.Environment{ObjectMeta: metav1.ObjectMeta{Name: "of-" + server}}
	e.Spec.Kernel.URL, e.Spec.Initrd.URL = files+"vmlinuz", files+"initramfs.xz"
	e.Spec.Kernel.Args = []string{
		"console=tty0", "console=ttyS0", "initrd=initramfs.xz", "panic=30", "sidero.mac=" + mac.String(), "sidero.endpoint=" + installation.Endpoint,
	}

	if err := c.Create(ctx, e); err != nil {
		t.Fatal(err)
	}

	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: server}}
	if err := c.Patch(ctx, s, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"environmentRef":{"name":%q}}}`, e.Name))); err != nil {
		t.Fatal(err)
	}

	eventually(ctx, t, func() error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(e), e); err != nil {
			return err
		}

		if !e.Ready() {
			return fmt.Errorf("environment %s is not ready: %+v", e.Name, e.Status)
		}

		return nil
	})
}
