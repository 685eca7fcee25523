package registration

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// classes are the ServerClasses as the cache has them. They must not be changed.
func (s *Service) classes(ctx context.Context) ([]v1alpha2.ServerClass, error) {
	classes := &v1alpha2.ServerClassList{}
	if err := s.config.Cache.List(ctx, classes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list classes: %w", err)
	}

	return classes.Items, nil
}

// version is that of an object's spec.
type version struct {
	uid        types.UID
	generation int64
}

func versionOf(o client.Object) version { return version{o.GetUID(), o.GetGeneration()} }

// currentClasses are the ServerClasses as they are now. A class says which disks are kept, so a cache that is behind could
// cost one. What the API is asked for is small: a class's status names all of its servers.
func (s *Service) currentClasses(ctx context.Context) ([]v1alpha2.ServerClass, error) {
	cached, err := s.classes(ctx)
	if err != nil {
		return nil, err
	}

	live := &metav1.PartialObjectMetadataList{}
	live.SetGroupVersionKind(v1alpha2.GroupVersion.WithKind("ServerClassList"))

	if err := s.config.Client.List(ctx, live); err != nil {
		return nil, fmt.Errorf("list classes: %w", err)
	}

	known := map[version]bool{}
	for i := range cached {
		known[versionOf(&cached[i])] = true
	}

	behind := len(cached) != len(live.Items) ||
		slices.ContainsFunc(live.Items, func(o metav1.PartialObjectMetadata) bool { return !known[versionOf(&o)] })
	if !behind {
		return cached, nil
	}

	classes := &v1alpha2.ServerClassList{}
	if err := s.config.Client.List(ctx, classes); err != nil {
		return nil, fmt.Errorf("list classes: %w", err)
	}

	return classes.Items, nil
}
