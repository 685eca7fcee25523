// Package sharing has the versions of an object that are in memory at the same time share what they have in common.
//
// The API server's watch caches keep the changes of 75 seconds, each as an object of its own. A thousand machines that
// register are some thousand changes, of which each says again what hardware a machine has; a class of all servers names
// them all again with each of them that comes or goes. And who writes which fields is the same of a thousand machines.
package sharing

import (
	"hash/maphash"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Codec is a codec of native kinds whose objects share what is equal with the version of them that was decoded before, if that is
// still in memory. These are the objects that come from watching the storage, which nobody changes. Who decodes into an object of
// his own, which he may change, has it for himself.
func Codec(codec runtime.Codec) runtime.Codec { return sharing{codec, newNative()} }

// Custom is such a codec of custom resources.
func Custom(codec runtime.Codec) runtime.Codec { return sharing{codec, newCustom()} }

type sharing struct {
	runtime.Codec
	sharer
}

// sharer has an object that was just decoded share what it can.
type sharer interface{ share(object runtime.Object) }

// Decode implements runtime.Decoder.
func (s sharing) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	object, kind, err := s.Codec.Decode(data, defaults, into)
	if err == nil && into == nil {
		s.share(object)
	}

	return object, kind, err //nolint:wrapcheck // a codec's own error
}

// native shares what is equal in Servers and ServerClasses, and the fields that managers own in all kinds.
type native struct {
	servers *versions[types.UID, v1alpha2.Server]
	classes *versions[types.UID, v1alpha2.ServerClass]
	// fields are those that managers own, by their hash.
	fields *versions[uint64, metav1.FieldsV1]
	seed   maphash.Seed
}

func newNative() native {
	return native{
		newVersions[types.UID, v1alpha2.Server](), newVersions[types.UID, v1alpha2.ServerClass](),
		newVersions[uint64, metav1.FieldsV1](), maphash.MakeSeed(),
	}
}

func (n native) share(object runtime.Object) {
	if o, ok := object.(metav1.Object); ok {
		n.shareFields(o.GetManagedFields())
	}

	switch now := object.(type) {
	case *v1alpha2.Server:
		if before := n.servers.before(now.UID); before != nil {
			shareServer(before, now)
		}

		n.servers.follow(now.UID, now)
	case *v1alpha2.ServerClass:
		if before := n.classes.before(now.UID); before != nil {
			shareClass(before, now)
		}

		n.classes.follow(now.UID, now)
	}
}

func shareServer(before, now *v1alpha2.Server) {
	shareMeta(&before.ObjectMeta, &now.ObjectMeta)
	share(&before.Spec.Hardware, &now.Spec.Hardware)
	share(&before.Spec.BMC, &now.Spec.BMC)
	share(&before.Spec.Power, &now.Spec.Power)
	share(&before.Status.Addresses, &now.Status.Addresses)
	share(&before.Status.Boots, &now.Status.Boots)
	share(&before.Status.Conditions, &now.Status.Conditions)
	share(&before.Status.Identity, &now.Status.Identity)
	share(&before.Status.Wipe, &now.Status.Wipe)
}

func shareClass(before, now *v1alpha2.ServerClass) {
	shareMeta(&before.ObjectMeta, &now.ObjectMeta)
	shareNames(before.Status.ServersAvailable, now.Status.ServersAvailable)
	shareNames(before.Status.ServersInUse, now.Status.ServersInUse)
}

func shareMeta(before, now *metav1.ObjectMeta) {
	share(&before.Labels, &now.Labels)
	share(&before.Annotations, &now.Annotations)
}

// shareFields has the fields of managers be those of any object in which they are the same.
func (n native) shareFields(entries []metav1.ManagedFieldsEntry) {
	for i := range entries {
		now := entries[i].FieldsV1
		if now == nil {
			continue
		}

		if before := n.fields.first(maphash.Bytes(n.seed, now.GetRawBytes()), now); before.Equal(*now) {
			entries[i].FieldsV1 = before
		}
	}
}

// share has a part of an object be that of the version before, if it says the same.
func share[T any](before, now *T) {
	if reflect.DeepEqual(before, now) {
		*now = *before
	}
}

// shareNames has names be those of the version before. Both are in order; where they are not, less is shared.
func shareNames(before, now []string) {
	for i := range now {
		for len(before) > 0 && before[0] < now[i] {
			before = before[1:]
		}

		if len(before) > 0 && before[0] == now[i] {
			now[i] = before[0]
		}
	}
}
