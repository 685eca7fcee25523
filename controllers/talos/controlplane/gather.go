package controlplane

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/collections"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrap "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

const (
	// hook keeps a machine that is deleted until it has left etcd.
	hook = clusterv1.PreTerminateDeleteHookAnnotationPrefix + "/talos-control-plane"
	// intention names the machine that begins etcd, by its UID. It is written before the machine is told to.
	intention = "controlplane.sidero.dev/begins-etcd"
	// madeOf is the name of the infrastructure's template that a machine was made of.
	madeOf = clusterv1.TemplateClonedFromNameAnnotation
)

// scene is a control plane with all that it is decided by.
type scene struct {
	plane    *v1alpha3.TalosControlPlane
	cluster  *clusterv1.Cluster // nil when there is none
	machines []clusterv1.Machine
	facts    facts
}

// gather reads what is, not what a cache remembers: a machine that was made a moment ago counts.
func (r *reconciler) gather(ctx context.Context, plane *v1alpha3.TalosControlPlane) (*scene, error) {
	s := &scene{plane: plane}

	cluster := &clusterv1.Cluster{}
	if found, err := contract.Owner(ctx, r.live, plane, "Cluster", cluster); err != nil {
		return nil, err //nolint:wrapcheck // it names the object
	} else if found {
		s.cluster = cluster
	}

	all := &clusterv1.MachineList{}
	if err := r.live.List(ctx, all, client.InNamespace(plane.Namespace), client.HasLabels{clusterv1.MachineControlPlaneLabel}); err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}

	for _, m := range all.Items {
		if metav1.IsControlledBy(&m, plane) {
			s.machines = append(s.machines, m)
		}
	}

	slices.SortFunc(s.machines, func(a, b clusterv1.Machine) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})

	return s, r.describe(ctx, s)
}

// describe turns objects into facts, but for those that nodes tell.
func (r *reconciler) describe(ctx context.Context, s *scene) error {
	spec := s.plane.Spec
	s.facts = facts{
		deleted: s.plane.DeletionTimestamp != nil, owned: s.cluster != nil, bootstrapped: s.plane.Status.Bootstrapped,
		intended: s.plane.Annotations[intention], wanted: int(ptr.Deref(spec.Replicas, 1)), surge: 1,
	}
	s.facts.paused = contract.Paused(s.plane, s.cluster)

	if s.cluster != nil {
		s.facts.provisioned = ptr.Deref(s.cluster.Status.Initialization.InfrastructureProvisioned, false)
		s.facts.endpoint = s.cluster.Spec.ControlPlaneEndpoint.IsValid()
	}

	if strategy := spec.RolloutStrategy; strategy != nil {
		s.facts.onDelete = strategy.Type == v1alpha3.OnDelete
		if rolling := strategy.RollingUpdate; rolling != nil && rolling.MaxSurge != nil {
			s.facts.surge = rolling.MaxSurge.IntValue()
		}
	}

	for _, m := range s.machines {
		outdated, err := r.outdated(ctx, s.plane, m)
		if err != nil {
			return err
		}

		_, hooked := m.Annotations[hook]
		s.facts.machines = append(s.facts.machines, machine{
			name: m.Name, uid: string(m.UID), deleting: m.DeletionTimestamp != nil, held: hooked && m.DeletionTimestamp != nil,
			flagged: flagged(m), outdated: outdated, located: address(m) != "",
		})
	}

	return nil
}

// flagged tells whether a machine is to be replaced because it is unhealthy. That it was handed over alone does not tell: it may have
// become well since.
func flagged(m clusterv1.Machine) bool { return collections.IsUnhealthyAndOwnerRemediated(&m) }

// outdated tells whether a machine is made of something else than is wanted. What is not known of one that upstream made counts as equal.
func (r *reconciler) outdated(ctx context.Context, plane *v1alpha3.TalosControlPlane, m clusterv1.Machine) (bool, error) {
	made, template := m.Annotations[madeOf], infrastructure(plane).Name
	after := plane.Spec.Rollout.After

	if m.Spec.Version != plane.Spec.Version || made != "" && made != template ||
		after != nil && after.Time.Before(time.Now()) && m.CreationTimestamp.Before(after) {
		return true, nil
	}

	config := &bootstrap.TalosConfig{}

	err := r.live.Get(ctx, client.ObjectKey{Namespace: m.Namespace, Name: m.Spec.Bootstrap.ConfigRef.Name}, config)
	if apierrors.IsNotFound(err) {
		return false, nil
	}

	return err == nil && !apiequality.Semantic.DeepEqual(config.Spec, plane.Spec.ControlPlaneConfig.ControlPlane), err //nolint:wrapcheck // names it
}

// infrastructure is the template of the machines' infrastructure, by either way to name it.
func infrastructure(plane *v1alpha3.TalosControlPlane) corev1.ObjectReference {
	ref := plane.Spec.InfrastructureTemplate
	if newer := plane.Spec.MachineTemplate.Spec.InfrastructureRef; newer != nil && ref.Name == "" {
		ref = corev1.ObjectReference{APIVersion: newer.APIGroup + "/v1alpha3", Kind: newer.Kind, Name: newer.Name}
	}

	ref.Namespace = plane.Namespace

	return ref
}

// address is where a machine's Talos API is.
func address(m clusterv1.Machine) string {
	for _, kind := range []clusterv1.MachineAddressType{clusterv1.MachineInternalIP, clusterv1.MachineExternalIP} {
		for _, a := range m.Status.Addresses {
			if a.Type == kind {
				return a.Address
			}
		}
	}

	return ""
}
