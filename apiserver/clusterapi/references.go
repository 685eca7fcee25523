package clusterapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// reference is where an object names another of a kind that a provider defines.
type reference struct {
	path *field.Path
	kind schema.GroupKind
	name string
}

// referenceCheck refuses an object that names a kind that is not defined.
type referenceCheck struct {
	decoder admission.Decoder
	kinds   *kinds
	// object is a new object of the kind that is checked.
	object client.Object
}

// checked are the kinds whose references are checked, by the path of the webhook that validates them.
func checked() map[string]client.Object {
	return map[string]client.Object{
		"/validate-cluster-x-k8s-io-v1beta2-cluster":            &clusterv1.Cluster{},
		"/validate-cluster-x-k8s-io-v1beta2-clusterclass":       &clusterv1.ClusterClass{},
		"/validate-cluster-x-k8s-io-v1beta2-machine":            &clusterv1.Machine{},
		"/validate-cluster-x-k8s-io-v1beta2-machinedeployment":  &clusterv1.MachineDeployment{},
		"/validate-cluster-x-k8s-io-v1beta2-machinehealthcheck": &clusterv1.MachineHealthCheck{},
		"/validate-cluster-x-k8s-io-v1beta2-machinepool":        &clusterv1.MachinePool{},
		"/validate-cluster-x-k8s-io-v1beta2-machineset":         &clusterv1.MachineSet{},
	}
}

// Handle implements admission.Handler. An object that exists may go on naming what it named before: else its finalizers
// could not be removed any more when a definition is gone.
func (c *referenceCheck) Handle(ctx context.Context, request admission.Request) admission.Response {
	if request.Operation == admissionv1.Delete {
		return admission.Allowed("")
	}

	object, err := c.decode(request.Object)
	if err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}

	before, err := c.decode(request.OldObject)
	if err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}

	problems, err := c.unknown(ctx, references(object), references(before))
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}

	if problems == nil {
		return admission.Allowed("")
	}

	kind := schema.GroupKind{Group: request.Kind.Group, Kind: request.Kind.Kind}
	status := apierrors.NewInvalid(kind, request.Name, problems).Status()

	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &status}}
}

// decode returns an object without fields for an empty request.
func (c *referenceCheck) decode(raw runtime.RawExtension) (client.Object, error) {
	object, ok := c.object.DeepCopyObject().(client.Object)
	if !ok {
		return nil, errors.New("object has no metadata")
	}

	if len(raw.Raw) == 0 {
		return object, nil
	}

	return object, c.decoder.DecodeRaw(raw, object)
}

// unknown are the references to kinds that are not defined, without those that were there before.
func (c *referenceCheck) unknown(ctx context.Context, now, before []reference) (field.ErrorList, error) {
	old := sets.New[string]()
	for _, r := range before {
		old.Insert(r.target())
	}

	var problems field.ErrorList

	for _, r := range now {
		if old.Has(r.target()) {
			continue
		}

		exists, err := c.kinds.exists(ctx, r.kind)
		if err != nil {
			return nil, err
		}

		if !exists {
			problems = append(problems, field.Invalid(r.path, r.kind.Kind, fmt.Sprintf("no kind %s in group %q is known here: "+
				"check the spelling, or apply the CustomResourceDefinition of the provider that has it first", r.kind.Kind, r.kind.Group)))
		}
	}

	return problems, nil
}

func (r reference) target() string { return r.kind.String() + "/" + r.name }

// references are those that the spec of an object holds, wherever they are in it.
func references(object client.Object) []reference {
	return collect(reflect.ValueOf(object).Elem().FieldByName("Spec"), field.NewPath("spec"), nil)
}

// collect adds the references in a value to those found before.
func collect(value reflect.Value, path *field.Path, found []reference) []reference {
	if value.Kind() == reflect.Pointer {
		value = value.Elem()
	}

	switch value.Kind() { //nolint:exhaustive // others hold no references
	case reflect.Struct:
		if r, ok := refer(value, path); ok {
			return append(found, r...)
		}

		for at := range value.NumField() {
			if !value.Type().Field(at).IsExported() { // time.Time's
				continue
			}

			name, _, _ := strings.Cut(value.Type().Field(at).Tag.Get("json"), ",")
			inner := path

			if name != "" {
				inner = path.Child(name)
			}

			found = collect(value.Field(at), inner, found)
		}
	case reflect.Slice:
		for at := range value.Len() {
			found = collect(value.Index(at), path.Index(at), found)
		}
	}

	return found
}

// refer returns the reference that a value is, if it is one of the types for it. An empty one refers to nothing.
func refer(value reflect.Value, path *field.Path) ([]reference, bool) {
	var r reference

	switch ref := value.Interface().(type) {
	case clusterv1.ContractVersionedObjectReference:
		r = reference{kind: ref.GroupKind(), name: ref.Name}
	case clusterv1.ClusterClassTemplateReference:
		r = reference{kind: ref.GroupVersionKind().GroupKind(), name: ref.Name}
	case clusterv1.MachineHealthCheckRemediationTemplateReference:
		r = reference{kind: ref.GroupVersionKind().GroupKind(), name: ref.Name}
	default:
		return nil, false
	}

	if r.kind.Kind == "" {
		return nil, true
	}

	r.path = path.Child("kind")

	return []reference{r}, true
}
