package registry

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Scale tells where the numbers of a kind's scale subresource are.
type Scale[T Object] struct {
	// Replicas is the number wanted, in spec.replicas. It may be nil.
	Replicas func(T) **int64
	// Status is the number there is and the selector of the labels of what is counted.
	Status func(T) (replicas int64, selector string)
}

// addScaleToScheme adds the objects that scale subresources speak. Their group is Kubernetes's, and not served.
func addScaleToScheme(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(autoscalingv1.SchemeGroupVersion, &autoscalingv1.Scale{})
}

func addInternalScaleToScheme(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(schema.GroupVersion{Group: autoscalingv1.GroupName, Version: runtime.APIVersionInternal}, &autoscalingv1.Scale{})
}

// scale shows and changes an object's number of replicas, as kubectl scale and autoscalers do for any kind.
type scale[T Object] struct {
	store *genericregistry.Store
	kind  Kind[T]
	hub   schema.GroupVersion
}

func (*scale[T]) New() runtime.Object { return &autoscalingv1.Scale{} }

// Destroy does nothing: the main store, which shares what would be destroyed, does it.
func (*scale[T]) Destroy() {}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (*scale[T]) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return autoscalingv1.SchemeGroupVersion.WithKind("Scale")
}

func (s *scale[T]) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	object, err := s.store.Get(ctx, name, options)
	if err != nil {
		return nil, err
	}

	return s.of(typed[T](object)), nil
}

func (s *scale[T]) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc,
	validate rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	validateScale := func(ctx context.Context, object, old runtime.Object) error {
		return validate(ctx, s.of(typed[T](object)), s.of(typed[T](old)))
	}

	object, _, err := s.store.Update(ctx, name, &scaled[T]{info, s}, rest.ValidateAllObjectFunc, validateScale, false, options)
	if err != nil {
		return nil, false, err
	}

	return s.of(typed[T](object)), false, nil
}

func (*scale[T]) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return rest.NewDefaultTableConvertor(autoscalingv1.Resource("scales")).ConvertToTable(ctx, object, options)
}

func (s *scale[T]) of(o T) *autoscalingv1.Scale {
	replicas, selector := s.kind.Scale.Status(o)
	view := &autoscalingv1.Scale{
		TypeMeta: metav1.TypeMeta{APIVersion: autoscalingv1.SchemeGroupVersion.String(), Kind: "Scale"},
		ObjectMeta: metav1.ObjectMeta{
			Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(),
			ResourceVersion: o.GetResourceVersion(), CreationTimestamp: o.GetCreationTimestamp(),
		},
		Status: autoscalingv1.ScaleStatus{Replicas: int32(replicas), Selector: selector}, //nolint:gosec // validation bounds it
	}

	if wanted := *s.kind.Scale.Replicas(o); wanted != nil {
		view.Spec.Replicas = int32(*wanted) //nolint:gosec // validation bounds it
	}

	return view
}

// scaled makes of a change to the scale a change to its object.
type scaled[T Object] struct {
	rest.UpdatedObjectInfo

	scale *scale[T]
}

func (s *scaled[T]) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	o := copied(typed[T](old))
	fields := managedfields.NewScaleHandler(o.GetManagedFields(), s.scale.hub, managedfields.ResourcePathMappings{
		s.scale.hub.String(): fieldpath.MakePathOrDie("spec", "replicas"),
	})

	before := s.scale.of(o)

	var err error
	if before.ManagedFields, err = fields.ToSubresource(); err != nil {
		return nil, fmt.Errorf("tell who owns the scale: %w", err)
	}

	object, err := s.UpdatedObjectInfo.UpdatedObject(ctx, before)
	if err != nil {
		return nil, err
	}

	after, ok := object.(*autoscalingv1.Scale)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("expected a Scale, got a %T", object))
	}

	return o, s.apply(o, after, fields)
}

func (s *scaled[T]) apply(o T, after *autoscalingv1.Scale, fields *managedfields.ScaleHandler) error {
	*s.scale.kind.Scale.Replicas(o) = new(int64(after.Spec.Replicas))

	if after.ResourceVersion != "" {
		o.SetResourceVersion(after.ResourceVersion) // a condition of the client's
	}

	owners, err := fields.ToParent(after.ManagedFields)
	if err != nil {
		return fmt.Errorf("tell who owns the replicas: %w", err)
	}

	o.SetManagedFields(owners)

	return nil
}
