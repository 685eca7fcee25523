package clusterctl

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/kubernetes/pkg/apis/admissionregistration"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterapi/manifests"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/providers"
)

// GuardName is the name of the Guard among the admission plugins.
const GuardName = "SideroInventory"

// reason is what whoever runs clusterctl is told.
const reason = "Cluster API, Sidero and the Talos providers are parts of the appliance: they come with it and are upgraded with it. " +
	"To upgrade them, install a newer sidero-appliance and start it again"

// Guard is the admission plugin that keeps the appliance's entries in clusterctl's inventory, the namespaces that they lie
// in, the inventory's definition, and the definitions and webhooks that clusterctl takes for parts of those providers.
// Labels and annotations may change, and entries of other providers come and go.
type Guard struct {
	*admission.Handler

	// owner is the user that writes the entries.
	owner      string
	entries    map[types.NamespacedName]clusterctlv1.Provider
	namespaces sets.Set[string]
}

var (
	_ admission.MutationInterface   = (*Guard)(nil)
	_ admission.ValidationInterface = (*Guard)(nil)
)

// NewGuard makes the guard of the entries that the user with the name writes.
func NewGuard(owner string) *Guard {
	g := &Guard{
		Handler:    admission.NewHandler(admission.Create, admission.Update, admission.Delete),
		owner:      owner,
		entries:    map[types.NamespacedName]clusterctlv1.Provider{},
		namespaces: sets.New[string](),
	}

	for _, entry := range providers.All() {
		g.entries[types.NamespacedName{Namespace: entry.Namespace, Name: entry.Name}] = entry
		g.namespaces.Insert(entry.Namespace)
	}

	return g
}

// Admit takes owner references from an entry: the garbage collector would try for ever to delete what belongs to an owner
// that is gone.
func (g *Guard) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	object, ok := a.GetObject().(*unstructured.Unstructured)
	if ok && isEntry(a) && g.keeps(object) {
		object.SetOwnerReferences(nil)
	}

	return nil
}

// Validate refuses what would make the inventory say what is not so.
func (g *Guard) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetOperation() == admission.Delete {
		return g.validateDelete(a)
	}

	object, ok := a.GetObject().(*unstructured.Unstructured)
	if !ok || !isEntry(a) || a.GetUserInfo().GetName() == g.owner {
		return nil
	}

	entry, err := entryOf(object)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}

	if g.keeps(object) {
		return g.validateKept(a, entry)
	}

	return g.validateOther(a, entry)
}

// validateKept is about an entry of the appliance's.
func (g *Guard) validateKept(a admission.Attributes, entry *clusterctlv1.Provider) error {
	before := g.entries[types.NamespacedName{Namespace: entry.Namespace, Name: entry.Name}]

	if old, ok := a.GetOldObject().(*unstructured.Unstructured); ok {
		stored, err := entryOf(old)
		if err != nil {
			return apierrors.NewInternalError(err)
		}

		before = *stored
	}

	if sameProvider(entry, &before) {
		return nil
	}

	return refuse(a, entry.Name, reason)
}

// validateOther is about any other entry. It must not be about the same provider: clusterctl stops when there are two.
func (g *Guard) validateOther(a admission.Attributes, entry *clusterctlv1.Provider) error {
	for _, own := range g.entries {
		if own.ProviderName == entry.ProviderName && own.Type == entry.Type {
			return refuse(a, entry.Name, fmt.Sprintf("%s is installed already, in namespace %s. %s", own.Name, own.Namespace, reason))
		}
	}

	return nil
}

// validateDelete makes no exception for anybody: the garbage collector, which is the process itself, deletes on behalf of
// whoever wrote an owner reference.
func (g *Guard) validateDelete(a admission.Attributes) error {
	if a.GetSubresource() != "" {
		return nil
	}

	old, ok := a.GetOldObject().(metav1.Object)
	if !ok {
		return nil
	}

	name := old.GetName() // a request that deletes many has no name of its own

	switch a.GetResource().GroupResource() {
	case inventoryResource():
		if _, kept := g.entries[types.NamespacedName{Namespace: old.GetNamespace(), Name: name}]; kept {
			return refuse(a, name, reason)
		}
	case schema.GroupResource{Resource: "namespaces"}:
		if g.namespaces.Has(name) {
			return refuse(a, name, "it holds an entry of clusterctl's inventory. "+reason)
		}
	case apiextensions.Resource("customresourcedefinitions"):
		if name == inventoryName || g.installed(old) {
			return refuse(a, name, "the appliance needs the kind that it defines. "+reason)
		}
	case admissionregistration.Resource("validatingwebhookconfigurations"), admissionregistration.Resource("mutatingwebhookconfigurations"):
		if g.installed(old) {
			return refuse(a, name, "it checks kinds that are built in. "+reason)
		}
	}

	return nil
}

// installed tells whether an object is one that the appliance installs, or that clusterctl takes for a part of a provider
// of ours that it may delete. Its labels may be anybody's: the names of what is installed are known.
func (g *Guard) installed(object metav1.Object) bool {
	if manifests.Has(object.GetName()) {
		return true
	}

	labels := object.GetLabels()
	_, by := labels[clusterctlv1.ClusterctlLabel]

	for _, entry := range g.entries {
		if by && labels[providers.Label] == entry.Name {
			return true
		}
	}

	return false
}

// keeps tells whether an entry is one of the appliance's.
func (g *Guard) keeps(object *unstructured.Unstructured) bool {
	_, ok := g.entries[types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}]

	return ok
}

// isEntry tells whether the request is about an entry of the inventory.
func isEntry(a admission.Attributes) bool {
	return a.GetResource().GroupResource() == inventoryResource() && a.GetSubresource() == ""
}

func inventoryResource() schema.GroupResource {
	return clusterctlv1.GroupVersion.WithResource("providers").GroupResource()
}

func entryOf(object *unstructured.Unstructured) (*clusterctlv1.Provider, error) {
	var entry clusterctlv1.Provider
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &entry); err != nil {
		return nil, fmt.Errorf("read inventory entry: %w", err)
	}

	return &entry, nil
}

func refuse(a admission.Attributes, name, why string) error {
	return apierrors.NewForbidden(a.GetResource().GroupResource(), name, errors.New(why))
}
