package orders

import (
	"cmp"
	"hash/fnv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/wipepolicy"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// pausedAnnotation is Cluster API's: its object is left alone.
const pausedAnnotation = "cluster.x-k8s.io/paused"

// Settings are the appliance's.
type Settings struct {
	// InsecureWipe makes a wipe fast where neither the Server nor a ServerClass says how. Otherwise every byte is overwritten.
	InsecureWipe bool
}

// Next decides. A server without a ServerBinding has a nil one. The classes are all that there are.
func Next(server *v1alpha2.Server, binding *v1alpha3.ServerBinding, classes []v1alpha2.ServerClass, settings Settings) *api.WaitResponse {
	wipe := Policy(server, classes, settings)

	next := &api.WaitResponse{Server: server.Name, Policy: told(wipe.Policy)}
	if next.Order, next.Reason = decide(server, binding); next.Order == api.Order_WIPE && wipe.Unclear != "" {
		next.Order, next.Reason = api.Order_STAY, api.Reason_UNCLEAR
	}

	next.Sequence = sequence(next)

	return next
}

// Policy is the one that a server's disks are wiped by.
func Policy(server *v1alpha2.Server, classes []v1alpha2.ServerClass, settings Settings) wipepolicy.Decision {
	method := v1alpha2.WipeZero
	if settings.InsecureWipe {
		method = v1alpha2.WipeFast
	}

	return wipepolicy.Decide(server, classes, method)
}

func decide(server *v1alpha2.Server, binding *v1alpha3.ServerBinding) (api.Order, api.Reason) {
	switch reason := untouchable(server); {
	case reason != api.Reason_NONE:
		return api.Order_STAY, reason
	case binding != nil && binding.DeletionTimestamp.IsZero() && !server.Status.InUse:
		// Until the controller has seen it: what is not known to be in use is called clean when its binding is gone again.
		return api.Order_STAY, api.Reason_NONE
	case binding != nil && binding.DeletionTimestamp.IsZero():
		return api.Order_REBOOT, api.Reason_NONE
	case binding != nil || leaving(server):
		return api.Order_STAY, api.Reason_LEAVING
	case server.AskedOff(time.Now()):
		return api.Order_POWER_OFF, api.Reason_NONE
	case server.Status.IsClean && turnedOff(&server.Spec):
		return api.Order_STAY, api.Reason_CLEAN_TURNED_OFF
	case server.Status.IsClean:
		return api.Order_STAY, api.Reason_CLEAN
	default:
		return api.Order_WIPE, api.Reason_NONE
	}
}

// MayWipe tells whether the disks of a server may be written to: safety invariants 1 and 2 of the design. That it is clean
// is no obstacle.
func MayWipe(server *v1alpha2.Server, binding *v1alpha3.ServerBinding) bool {
	return untouchable(server) == api.Reason_NONE && binding == nil && !leaving(server)
}

// WipesAll tells whether a machine that knows nothing of policies is told to wipe, and heard when it has: by Sidero's protocol all
// disks are wiped, which the policy may not want.
func WipesAll(server *v1alpha2.Server, binding *v1alpha3.ServerBinding, policy wipepolicy.Decision) bool {
	return MayWipe(server, binding) && !server.Status.IsClean && policy.Everything()
}

// MayTouch tells whether anything at all may be done to a server.
func MayTouch(server *v1alpha2.Server) bool { return untouchable(server) == api.Reason_NONE }

// untouchable tells why nothing at all is done to a server.
func untouchable(server *v1alpha2.Server) api.Reason {
	_, paused := server.Annotations[pausedAnnotation]

	switch {
	case server.Duplicate():
		return api.Reason_DUPLICATE
	case !server.Spec.Accepted:
		return api.Reason_NOT_ACCEPTED
	case paused:
		return api.Reason_PAUSED
	default:
		return api.Reason_NONE
	}
}

// leaving tells that a server is given back, which the controller has not seen yet, or deleted.
func leaving(server *v1alpha2.Server) bool {
	return server.Status.InUse || !server.DeletionTimestamp.IsZero()
}

// turnedOff tells whether the controller turns the machine off when it has nothing to do: by what sees that it is on, and needs no person.
func turnedOff(spec *v1alpha2.ServerSpec) bool { return spec.TurnsOff() && spec.SeesPower() }

// told is a policy in the protocol's words.
func told(wipe v1alpha2.WipePolicy) *api.WipePolicy {
	policy := &api.WipePolicy{Disks: string(wipe.Disks), Method: string(wipe.Method)}
	if wipe.InstallDisk != nil {
		policy.InstallDisk = selector(*wipe.InstallDisk)
	}

	for _, disk := range wipe.Selected {
		policy.Selected = append(policy.Selected, selector(disk))
	}

	for _, disk := range wipe.Keep {
		policy.Keep = append(policy.Keep, selector(disk))
	}

	return policy
}

func selector(disk v1alpha2.DiskSelector) *api.DiskSelector {
	return &api.DiskSelector{
		Name: disk.Name, Serial: disk.Serial, Wwid: disk.WWID, Model: disk.Model, Type: disk.Type,
		BusPath: disk.BusPath, Label: disk.Label, MinSize: disk.MinSize, MaxSize: disk.MaxSize,
	}
}

// sequence is a number for all that a machine is told. It is never zero, which stands for a machine that knows nothing, and
// the same after the appliance has started anew.
func sequence(next *api.WaitResponse) uint64 {
	hash := fnv.New64a()
	// It fails only for a text that is not UTF-8, which no object of the API has, and which could not be sent.
	bytes, _ := proto.MarshalOptions{Deterministic: true}.Marshal(next)
	hash.Write(bytes)

	return cmp.Or(hash.Sum64(), 1)
}
