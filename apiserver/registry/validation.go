package registry

import (
	"fmt"
	"slices"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// dryRunAnnotation is how Cluster API's topology controller marks what it applies only to see what would change. The
// contract asks of providers to let that pass.
const dryRunAnnotation = "topology.cluster.x-k8s.io/dry-run"

// Fixed refuses a spec that is not what is stored, and says what to do instead.
func Fixed(o metav1.Object, spec, stored any, instead string) field.ErrorList {
	_, dryRun := o.GetAnnotations()[dryRunAnnotation]
	if dryRun || apiequality.Semantic.DeepEqual(spec, stored) {
		return nil
	}

	return field.ErrorList{field.Forbidden(field.NewPath("spec"), "cannot be changed: "+instead)}
}

// Optional refuses a value that is neither empty nor one of those known.
func Optional[S ~string](path *field.Path, value S, known []S) field.ErrorList {
	if value == "" {
		return nil
	}

	return OneOf(path, value, known)
}

// OneOf refuses an unknown value. The words are those of field.Invalid, not of field.NotSupported, because Sidero's
// acceptance tests look for them.
func OneOf[S ~string](path *field.Path, value S, known []S) field.ErrorList {
	if slices.Contains(known, value) {
		return nil
	}

	valid := make([]string, len(known))
	for i, k := range known {
		valid[i] = fmt.Sprintf("%q", k)
	}

	return field.ErrorList{field.Invalid(path, string(value), "must be one of "+strings.Join(valid, ", "))}
}

// Between refuses a number outside of bounds, and takes none.
func Between(path *field.Path, value *int64, least, most int64) field.ErrorList {
	if value == nil || *value >= least && *value <= most {
		return nil
	}

	return field.ErrorList{field.Invalid(path, *value, fmt.Sprintf("must be between %d and %d", least, most))}
}

// Warnings are refusals that are only told.
func Warnings(errs field.ErrorList) []string {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}

	return texts
}
