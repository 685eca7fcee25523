package registry

import (
	"bytes"
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
		if entry.FieldsV1 == nil || owned.FromJSON(bytes.NewReader(entry.FieldsV1.Raw)) != nil {
			continue
		}

		fields, err := moved(owned, moves).ToJSON()
		if err != nil {
			continue
		}

		entries[i].APIVersion, entries[i].FieldsV1 = hub.String(), &metav1.FieldsV1{Raw: fields}
	}

	o.SetManagedFields(entries)
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
