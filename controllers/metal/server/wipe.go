package server

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/wipepolicy"
)

// What an agent tells of a disk, in Server.status.wipe.
const (
	diskWipe   = "wipe"
	diskFailed = "failed"
)

// wipeFailure tells a person why the last wipe that has ended did not succeed, and what can be done.
func wipeFailure(wipe *v1alpha2.WipeStatus) string {
	const what = "a person: the wipe failed, and is tried again: "

	switch {
	case wipe == nil || wipe.FinishedAt == nil:
		return ""
	case wipe.Problem != "":
		return what + wipe.Problem + ": what is wiped is said by spec.wipe of the server, or of its ServerClass"
	}

	var failed []string

	for _, disk := range wipe.Disks {
		if disk.Action == diskWipe && disk.State == diskFailed {
			failed = append(failed, fmt.Sprintf("disk %s: %s", named(disk), cmp.Or(disk.Error, "its agent does not tell why")))
		}
	}

	if len(failed) == 0 {
		return ""
	}

	return what + strings.Join(failed, "; ") + ": replace what is broken, or name it in spec.wipe.keep of the server: it is left as it is then"
}

// unclear tells why nobody can say which disks of a server are to be wiped, empty when it is clear or matters not now.
func (r *Reconciler) unclear(ctx context.Context, s *v1alpha2.Server, binding *v1alpha3.ServerBinding) (string, error) {
	if !isToBeWiped(s) || binding != nil {
		return "", nil
	}

	classes := &v1alpha2.ServerClassList{}
	if err := r.client.List(ctx, classes, client.UnsafeDisableDeepCopy); err != nil {
		return "", fmt.Errorf("list classes: %w", err)
	}

	return wipepolicy.Decide(s, classes.Items, "").Unclear, nil
}

func isToBeWiped(s *v1alpha2.Server) bool { return s.Spec.Accepted && !s.Status.IsClean }

// toWipe are the servers that a change of a class's policy may concern.
func (r *Reconciler) toWipe(ctx context.Context, _ client.Object) []reconcile.Request {
	servers := &v1alpha2.ServerList{}
	if err := r.client.List(ctx, servers, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list servers")

		return nil
	}

	var requests []reconcile.Request

	for i := range servers.Items {
		if s := &servers.Items[i]; isToBeWiped(s) && !s.Status.InUse {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(s)})
		}
	}

	return requests
}

// named tells a person which disk it is.
func named(disk v1alpha2.WipeDiskStatus) string {
	if disk.Description == "" {
		return disk.Name
	}

	return disk.Name + " (" + disk.Description + ")"
}
