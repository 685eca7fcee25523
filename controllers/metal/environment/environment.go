// Package environment keeps the Environment named default in existence: the one that allocated servers boot when nothing
// else is said.
package environment

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/existence"
)

// TalosRelease is the Talos release that the default Environment boots.
const TalosRelease = "v1.13.6"

// Reconciler creates the default Environment when it is missing. One that exists is the user's and is left alone.
type Reconciler struct {
	Client client.Client
	// TalosReleases is the URL below which the files of each release are found.
	TalosReleases string
}

// SetupWithManager lets the reconciler run.
func (r *Reconciler) SetupWithManager(manager ctrl.Manager) (*existence.Keeper, error) {
	return existence.Watch(manager, r.Default(), r)
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (reconcile.Result, error) {
	return reconcile.Result{}, existence.Ensure(ctx, r.Client, r.Default())
}

// Default is the Environment that allocated servers boot when nothing else is said. Its values are upstream's.
func (r *Reconciler) Default() *v1alpha2.Environment {
	release := fmt.Sprintf("%s/%s/", strings.TrimRight(r.TalosReleases, "/"), TalosRelease)

	return &v1alpha2.Environment{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha2.EnvironmentDefault},
		Spec: v1alpha2.EnvironmentSpec{
			Kernel: v1alpha2.Kernel{
				Asset: v1alpha2.Asset{URL: release + "vmlinuz-amd64"},
				Args: []string{ // in the order that upstream has, which is the alphabet's
					"console=tty0",
					"console=ttyS0",
					"consoleblank=0",
					"earlyprintk=ttyS0",
					"init_on_alloc=1",
					"initrd=initramfs.xz",
					"module.sig_enforce=1",
					"nvme_core.io_timeout=4294967295",
					"printk.devkmsg=on",
					"proc_mem.force_override=never",
					"pti=on",
					"selinux=1",
					"slab_nomerge=",
					"talos.platform=metal",
				},
			},
			Initrd: v1alpha2.Initrd{Asset: v1alpha2.Asset{URL: release + "initramfs-amd64.xz"}},
		},
	}
}
