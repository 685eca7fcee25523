package descriptor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/warning"

	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

// GuardName is the name of the Guard among the admission plugins.
const GuardName = "SideroDescriptors"

// Guard is the admission plugin that keeps the descriptors and the native versions. It is a plugin, and no policy or
// webhook, because an administrator can delete those. It makes no exception for anybody: the garbage collector, which is
// the process itself, deletes on behalf of whoever wrote an owner reference.
type Guard struct {
	*admission.Handler

	// descriptors are what the Guard keeps, by name.
	descriptors map[string]kept
	native      sets.Set[schema.GroupVersion]
}

// kept is what no write changes in a descriptor.
type kept struct {
	labels map[string]string
	spec   apiextensions.CustomResourceDefinitionSpec
}

var (
	_ admission.MutationInterface   = (*Guard)(nil)
	_ admission.ValidationInterface = (*Guard)(nil)
)

// NewGuard makes the guard of the groups' descriptors.
func NewGuard(groups []registry.Group) (*Guard, error) {
	g := &Guard{
		Handler:     admission.NewHandler(admission.Create, admission.Update, admission.Delete),
		descriptors: map[string]kept{},
		native:      sets.New[schema.GroupVersion](),
	}

	for _, group := range groups {
		g.native.Insert(group.Served()...)
	}

	for _, descriptor := range All(groups) {
		var spec apiextensions.CustomResourceDefinitionSpec

		err := apiextensionsv1.Convert_v1_CustomResourceDefinitionSpec_To_apiextensions_CustomResourceDefinitionSpec(&descriptor.Spec, &spec, nil)
		if err != nil {
			return nil, fmt.Errorf("convert descriptor %s: %w", descriptor.Name, err)
		}

		g.descriptors[descriptor.Name] = kept{labels: descriptor.Labels, spec: spec}
	}

	return g, nil
}

// Admit gives a descriptor that is written its own spec and labels again. So the manifests that upstream publishes for
// the same kinds, which serve them and convert them by a webhook, can be applied and do no harm. Further labels and
// annotations pass. Owner references do not, or the garbage collector would try to delete the descriptor for ever.
func (g *Guard) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	crd, ok := written(a)
	if !ok {
		return nil
	}

	own, ok := g.descriptors[crd.Name]
	if !ok {
		return nil
	}

	crd.OwnerReferences = nil

	if keepsContracts(crd.Labels, own.labels) && hold(crd.Labels, own.labels) && equality.Semantic.DeepEqual(crd.Spec, own.spec) {
		return nil
	}

	warning.AddWarning(ctx, "", crd.Name+" describes a kind that is built into the appliance: its spec and the labels that tell Cluster API about it stay as they are")
	own.spec.DeepCopyInto(&crd.Spec)

	if crd.Labels == nil {
		crd.Labels = map[string]string{}
	}

	maps.DeleteFunc(crd.Labels, func(name, _ string) bool { return strings.HasPrefix(name, contractPrefix) })
	maps.Copy(crd.Labels, own.labels)

	return nil
}

// contractPrefix begins the labels that tell which of Cluster API's contracts a kind keeps, and in which versions.
const contractPrefix = "cluster.x-k8s.io/v"

// keepsContracts tells whether labels name no contract that a kind does not keep.
func keepsContracts(labels, own map[string]string) bool {
	for name := range labels {
		if _, known := own[name]; !known && strings.HasPrefix(name, contractPrefix) {
			return false
		}
	}

	return true
}

// Validate refuses to delete a descriptor, and to serve anything in a native version.
func (g *Guard) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !definition(a) {
		return nil
	}

	if a.GetOperation() == admission.Delete {
		return g.validateDelete(a)
	}

	crd, ok := written(a)
	if !ok {
		return nil
	}

	if errs := g.sharedVersions(crd); errs != nil {
		return apierrors.NewInvalid(a.GetKind().GroupKind(), crd.Name, errs)
	}

	return nil
}

func (g *Guard) validateDelete(a admission.Attributes) error {
	name := a.GetName()
	if old, ok := a.GetOldObject().(metav1.Object); ok {
		name = old.GetName() // a request that deletes many has no name of its own
	}

	if _, ok := g.descriptors[name]; !ok {
		return nil
	}

	return apierrors.NewForbidden(a.GetResource().GroupResource(), name, errors.New(
		"it describes a kind that is built into the appliance, and Cluster API and clusterctl need it to find that kind; it cannot be deleted"))
}

// sharedVersions are the native versions that a definition of another kind would serve. Two servers of one version do
// not add up: discovery and OpenAPI would show only the kinds of one of them.
func (g *Guard) sharedVersions(crd *apiextensions.CustomResourceDefinition) field.ErrorList {
	if _, ok := g.descriptors[crd.Name]; ok {
		return nil
	}

	var errs field.ErrorList

	for i, version := range crd.Spec.Versions {
		served := schema.GroupVersion{Group: crd.Spec.Group, Version: version.Name}
		if version.Served && g.native.Has(served) {
			errs = append(errs, field.Forbidden(field.NewPath("spec", "versions").Index(i).Child("name"), fmt.Sprintf(
				"%s is built into the appliance, and a version cannot have kinds of both; serve this kind in another version or another group", served)))
		}
	}

	return errs
}

// definition tells whether the request is about CustomResourceDefinitions themselves, not about their status.
func definition(a admission.Attributes) bool {
	return a.GetResource().GroupResource() == apiextensions.Resource("customresourcedefinitions") && a.GetSubresource() == ""
}

// written is the definition that the request writes.
func written(a admission.Attributes) (*apiextensions.CustomResourceDefinition, bool) {
	if !definition(a) {
		return nil, false
	}

	crd, ok := a.GetObject().(*apiextensions.CustomResourceDefinition)

	return crd, ok
}
