package registry

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Move tells where fields of an older version are in the hub. Paths are names with dots between.
type Move struct {
	From string
	// To are the fields of the hub that say what From says. If there is one that ends with ".*", the fields below From are
	// called the same below it.
	To []string
}

// ownedInHub rewrites who owns which field, so that it is always said in the hub's words. Otherwise server-side apply
// would convert the object to the older version to find out what its managers own, and what that version cannot say could
// never be removed by whoever applied it.
func ownedInHub(o metav1.Object, hub, older schema.GroupVersion, moves []Move) {
	entries := o.GetManagedFields()
	for i, entry := range entries {
		if entry.APIVersion != older.String() {
			continue
		}

		owned := &fieldpath.Set{}
		if entry.FieldsV1 == nil || owned.FromJSON(entry.FieldsV1.GetRawReader()) != nil {
			continue
		}

		fields, err := moved(owned, moves).ToJSON()
		if err != nil {
			continue
		}

		entries[i].APIVersion, entries[i].FieldsV1 = hub.String(), metav1.NewFieldsV1(string(fields))
	}

	o.SetManagedFields(joined(entries))
}

// joined makes one entry of those that say the same of who it is about: of two, Kubernetes would forget one.
func joined(entries []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	var all []metav1.ManagedFieldsEntry

	for _, entry := range entries {
		i := slices.IndexFunc(all, func(e metav1.ManagedFieldsEntry) bool {
			return e.Manager == entry.Manager && e.Operation == entry.Operation && e.APIVersion == entry.APIVersion &&
				e.Subresource == entry.Subresource
		})

		if i < 0 || !join(&all[i], entry) {
			all = append(all, entry)
		}
	}

	return all
}

// join adds to an entry the fields of another.
func join(to *metav1.ManagedFieldsEntry, from metav1.ManagedFieldsEntry) bool {
	one, other := &fieldpath.Set{}, &fieldpath.Set{}
	if to.FieldsV1 == nil || from.FieldsV1 == nil ||
		one.FromJSON(to.FieldsV1.GetRawReader()) != nil || other.FromJSON(from.FieldsV1.GetRawReader()) != nil {
		return false
	}

	fields, err := one.Union(other).ToJSON()
	if err != nil {
		return false
	}

	to.FieldsV1 = metav1.NewFieldsV1(string(fields))
	if from.Time != nil && (to.Time == nil || to.Time.Before(from.Time)) {
		to.Time = from.Time
	}

	return true
}

func moved(owned *fieldpath.Set, moves []Move) *fieldpath.Set {
	inHub := fieldpath.NewSet()

	owned.Iterate(func(path fieldpath.Path) {
		for _, to := range destinations(path.Copy(), moves) {
			inHub.Insert(to)
		}
	})

	return inHub
}

func destinations(path fieldpath.Path, moves []Move) []fieldpath.Path {
	for _, move := range moves {
		from := strings.Split(move.From, ".")
		if !below(path, from) {
			continue
		}

		var to []fieldpath.Path

		for _, field := range move.To {
			parent, same := strings.CutSuffix(field, ".*")
			target := elements(parent)

			if same {
				target = append(target, path[len(from):]...)
			}

			to = append(to, target)
		}

		return to
	}

	return []fieldpath.Path{path}
}

// below tells whether a path is of the field of these names, or of one below it.
func below(path fieldpath.Path, names []string) bool {
	if len(path) < len(names) {
		return false
	}

	return slices.EqualFunc(path[:len(names)], names, func(e fieldpath.PathElement, name string) bool {
		return e.FieldName != nil && *e.FieldName == name
	})
}

func elements(field string) fieldpath.Path {
	var path fieldpath.Path

	for name := range strings.SplitSeq(field, ".") {
		path = append(path, fieldpath.PathElement{FieldName: &name})
	}

	return path
}
