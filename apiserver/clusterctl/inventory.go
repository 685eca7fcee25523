package clusterctl

import (
	"context"
	"fmt"
	"time"

	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/providers"
	"github.com/sidero-appliance/sidero-appliance/apiserver/descriptor"
)

// VersionAnnotation of an entry tells the version of the appliance that wrote it. Its version field is upstream's.
const VersionAnnotation = "sidero.dev/appliance-version"

const (
	fieldManager = "sidero-bootstrap"

	// A definition that was just written is served a moment later.
	servedPeriod = 20 * time.Millisecond
	servedWithin = 10 * time.Second
)

// Inventory writes what clusterctl looks for.
type Inventory struct {
	namespaces corev1client.NamespaceInterface
	crds       apiextensionsclient.CustomResourceDefinitionInterface
	entries    dynamic.NamespaceableResourceInterface
	version    string
}

// NewInventory prepares the inventory of an appliance of the version. The client may do everything.
func NewInventory(client *rest.Config, version string) (*Inventory, error) {
	core, err := corev1client.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("make client of namespaces: %w", err)
	}

	extensions, err := apiextensionsclient.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("make client of custom resources: %w", err)
	}

	objects, err := dynamic.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("make client of the inventory: %w", err)
	}

	return &Inventory{
		namespaces: core.Namespaces(),
		crds:       extensions.CustomResourceDefinitions(),
		entries:    objects.Resource(clusterctlv1.GroupVersion.WithResource("providers")),
		version:    version,
	}, nil
}

// Define writes the definition of the inventory, if it is not as it should be, and the stand-ins for cert-manager's kinds,
// if those kinds are not defined: somebody may have cert-manager itself run elsewhere.
func (i *Inventory) Define(ctx context.Context) error {
	definition, err := inventoryDefinition()
	if err != nil {
		return err
	}

	stored, err := i.crds.Get(ctx, definition.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("get definition of the inventory: %w", err)
	}

	if err != nil || !descriptor.Holds(stored, definition) {
		patch, err := descriptor.Patch(definition)
		if err != nil {
			return err
		}

		if _, err := i.crds.Patch(ctx, definition.Name, types.ApplyPatchType, patch, own().ToPatchOptions()); err != nil {
			return fmt.Errorf("apply definition of the inventory: %w", err)
		}
	}

	return i.standIn(ctx)
}

func (i *Inventory) standIn(ctx context.Context) error {
	standIns, err := certManagerDefinitions()
	if err != nil {
		return err
	}

	for _, d := range standIns {
		_, err := i.crds.Get(ctx, d.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = i.crds.Create(ctx, &d, metav1.CreateOptions{FieldManager: fieldManager})
		}

		if err != nil {
			return fmt.Errorf("make definition %s: %w", d.Name, err)
		}
	}

	return nil
}

// Record writes the entries that are not as they should be. It asks for each by its name: a list is only answered when the
// server has read the whole inventory into its cache, and the client library waits a second before it asks again.
func (i *Inventory) Record(ctx context.Context) error {
	for _, entry := range providers.All() {
		if i.version != "" {
			entry.Annotations = map[string]string{VersionAnnotation: i.version}
		}

		stored, err := i.entries.Namespace(entry.Namespace).Get(ctx, entry.Name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("get inventory entry %s: %w", entry.Name, err)
		}

		if err == nil && holds(stored, &entry) {
			continue
		}

		if err := i.write(ctx, &entry); err != nil {
			return err
		}
	}

	return nil
}

// write writes an entry. It waits until the inventory is served.
func (i *Inventory) write(ctx context.Context, entry *clusterctlv1.Provider) error {
	if _, err := i.namespaces.Apply(ctx, corev1ac.Namespace(entry.Namespace), own()); err != nil {
		return fmt.Errorf("apply namespace %s: %w", entry.Namespace, err)
	}

	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(entry)
	if err != nil {
		return fmt.Errorf("encode inventory entry %s: %w", entry.Name, err)
	}

	object := &unstructured.Unstructured{Object: fields}
	object.SetCreationTimestamp(metav1.Time{}) // which removes it

	err = wait.PollUntilContextTimeout(ctx, servedPeriod, servedWithin, true, func(ctx context.Context) (bool, error) {
		_, err := i.entries.Namespace(entry.Namespace).Apply(ctx, entry.Name, object, own())
		if apierrors.IsNotFound(err) {
			return false, nil
		}

		return true, err
	})
	if err != nil {
		return fmt.Errorf("apply inventory entry %s: %w", entry.Name, err)
	}

	return nil
}

// holds tells whether an entry is stored as it should be. It may have further labels and annotations.
func holds(stored *unstructured.Unstructured, entry *clusterctlv1.Provider) bool {
	var found clusterctlv1.Provider
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(stored.Object, &found); err != nil {
		return false
	}

	return sameProvider(&found, entry) && within(found.Labels, entry.Labels) && within(found.Annotations, entry.Annotations)
}

// sameProvider tells whether two entries are about the same provider in the same version.
func sameProvider(a, b *clusterctlv1.Provider) bool {
	return a.ProviderName == b.ProviderName && a.Type == b.Type && a.Version == b.Version && a.WatchedNamespace == b.WatchedNamespace //nolint:staticcheck // deprecated, but clusterctl still goes by it
}

// within tells whether all that is wanted is there.
func within(all, wanted map[string]string) bool {
	for key, value := range wanted {
		if found, ok := all[key]; !ok || found != value {
			return false
		}
	}

	return true
}

func own() metav1.ApplyOptions { return metav1.ApplyOptions{FieldManager: fieldManager, Force: true} }
