package clusterapi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/cluster-api/util/contract"
)

// unknownVersion stands for the version of a kind that is not known, and never was while this process ran. It is what
// people find in an object of an older version that names such a kind.
const unknownVersion = "unknown"

// kinds knows which kinds there are, by their CustomResourceDefinitions, and at which version of each Cluster API finds its
// contract kept. It remembers those that are gone.
type kinds struct {
	client   metadata.Getter
	informer cache.SharedIndexInformer

	mutex sync.RWMutex
	known map[string]kind // by the name of the definition
}

type kind struct {
	version string
	exists  bool
}

// newKinds prepares the look-up. Only names and labels of definitions are read and kept: a definition itself is large.
func newKinds(config *rest.Config) (*kinds, error) {
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make metadata client: %w", err)
	}

	resource := apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions")
	k := &kinds{
		client:   client.Resource(resource),
		informer: metadatainformer.NewFilteredMetadataInformer(client, resource, "", 0, cache.Indexers{}, nil).Informer(),
		known:    map[string]kind{},
	}

	if err := k.informer.SetTransform(strip); err != nil {
		return nil, fmt.Errorf("set transform: %w", err)
	}

	_, err = k.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    k.see,
		UpdateFunc: func(_, object any) { k.see(object) },
		DeleteFunc: k.lose,
	})
	if err != nil {
		return nil, fmt.Errorf("add event handler: %w", err)
	}

	return k, nil
}

// strip leaves nothing of a definition but its name and labels, and what watching needs.
func strip(object any) (any, error) {
	full, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}

	return &metav1.PartialObjectMetadata{TypeMeta: full.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Name: full.Name, UID: full.UID, ResourceVersion: full.ResourceVersion, Labels: full.Labels,
	}}, nil
}

// Run follows the definitions until ctx ends.
func (k *kinds) Run(ctx context.Context) { k.informer.RunWithContext(ctx) }

// synced tells whether all definitions that there are have been seen.
func (k *kinds) synced() bool { return k.informer.HasSynced() }

func (k *kinds) see(object any) {
	if definition, ok := object.(metav1.Object); ok {
		k.mutex.Lock()
		defer k.mutex.Unlock()

		k.known[definition.GetName()] = kind{contractVersion(definition.GetLabels()), true}
	}
}

func (k *kinds) lose(object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}

	if definition, ok := object.(metav1.Object); ok {
		k.mutex.Lock()
		defer k.mutex.Unlock()

		k.known[definition.GetName()] = kind{k.known[definition.GetName()].version, false}
	}
}

func (k *kinds) find(gk schema.GroupKind) (kind, bool) {
	k.mutex.RLock()
	defer k.mutex.RUnlock()

	found, ok := k.known[contract.CalculateCRDName(gk.Group, gk.Kind)]

	return found, ok
}

// apiVersion is what an object of an older version is told about a kind that the stored object names without a version.
// Upstream fails when it cannot tell, and with it fails every list that holds the object; this never does.
func (k *kinds) apiVersion(_ context.Context, gk schema.GroupKind) (string, error) {
	found, _ := k.find(gk)
	if found.version == "" {
		found.version = unknownVersion
	}

	return schema.GroupVersion{Group: gk.Group, Version: found.version}.String(), nil
}

// exists tells whether a kind is defined. One that has not been seen is asked for, since it may have been defined a moment
// ago, in the same file.
func (k *kinds) exists(ctx context.Context, gk schema.GroupKind) (bool, error) {
	if found, _ := k.find(gk); found.exists {
		return true, nil
	}

	definition, err := k.client.Get(ctx, contract.CalculateCRDName(gk.Group, gk.Kind), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}

	if err != nil {
		return false, fmt.Errorf("look up kind %s: %w", gk, err)
	}

	k.see(definition)

	return true, nil
}

// contractVersion is the version that the labels of a definition name for the newest contract of Cluster API that is kept.
// A label's value lists the versions that keep a contract, separated by underscores.
func contractVersion(labels map[string]string) string {
	for _, contract := range []string{"v1beta2", "v1beta1"} {
		if versions := labels["cluster.x-k8s.io/"+contract]; versions != "" {
			return slices.MaxFunc(strings.Split(versions, "_"), version.CompareKubeAwareVersionStrings)
		}
	}

	return ""
}
