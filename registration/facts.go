package registration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration/machine"
)

// FieldManager owns the facts that machines report, in server-side apply.
const FieldManager = "sidero-registration"

// target is the Server that facts are written into. One with a UID has to exist.
type target struct {
	name string
	uid  types.UID
}

// applyFacts writes what a machine said into its Server, creating it if it is missing, and returns it as it is then. Fields that
// somebody else has set to another value are left to them, and their paths returned.
func applyFacts(ctx context.Context, c client.Client, to target, reported machine.Machine) (stored *v1alpha2.Server, kept []string, err error) {
	hardware, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&reported.Hardware)
	if err != nil {
		return nil, nil, fmt.Errorf("convert hardware: %w", err)
	}

	// Not a typed Server: that one would claim spec.accepted and the status as well.
	object := map[string]any{
		"apiVersion": v1alpha2.GroupVersion.String(),
		"kind":       "Server",
		"metadata":   map[string]any{"name": to.name},
		"spec":       map[string]any{"hardware": hardware},
	}
	if to.uid != "" {
		object["metadata"].(map[string]any)["uid"] = string(to.uid) //nolint:errcheck,forcetypeassert // some lines above
	}

	if reported.Hostname != "" {
		object["spec"].(map[string]any)["hostname"] = reported.Hostname //nolint:errcheck,forcetypeassert // two lines above
	}

	answer := &unstructured.Unstructured{Object: object}
	if kept, err = applyYielding(ctx, c, answer, FieldManager); err != nil {
		return nil, kept, err
	}

	stored = &v1alpha2.Server{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(answer.Object, stored); err != nil {
		return nil, kept, fmt.Errorf("convert server: %w", err)
	}

	return stored, kept, nil
}

// applyYielding applies an object, and leaves fields that somebody else has set to another value to them. It returns
// their paths. The object becomes what is stored then.
func applyYielding(ctx context.Context, c client.Client, object *unstructured.Unstructured, owner client.FieldOwner) (kept []string, err error) {
	for {
		err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), owner)

		conflicts := conflictingFields(err)
		if len(conflicts) == 0 {
			return kept, err
		}

		for _, path := range conflicts {
			if !remove(object.Object, path) {
				return kept, fmt.Errorf("leave out field %s: %w", path, err)
			}
		}

		kept = append(kept, conflicts...)
	}
}

// conflictingFields are the paths that others own, by the causes of a conflict.
func conflictingFields(err error) []string {
	var status apierrors.APIStatus
	if !apierrors.IsConflict(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}

	var paths []string

	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict && !slices.Contains(paths, cause.Field) {
			paths = append(paths, cause.Field)
		}
	}

	return paths
}

// remove takes a field out of an object. A path is written .spec.hardware.memory; lists have no deeper paths because all
// lists of hardware are atomic.
func remove(object map[string]any, path string) bool {
	steps := strings.Split(strings.TrimPrefix(path, "."), ".")
	parent, found, err := unstructured.NestedFieldNoCopy(object, steps[:len(steps)-1]...)
	fields, ok := parent.(map[string]any)

	if err != nil || !found || !ok {
		return false
	}

	name := steps[len(steps)-1]
	_, found = fields[name]
	delete(fields, name)

	return found
}
