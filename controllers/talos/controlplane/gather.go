package controlplane

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/collections"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrap "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/installation"
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
	configs  []bootstrap.TalosConfig // of the cluster
	facts    facts
	unkept   error // why the kubeconfig is not kept, or what it opens cannot be seen
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

	of := []client.ListOption{client.InNamespace(plane.Namespace)}
	if s.cluster != nil {
		of = append(of, client.MatchingLabels{clusterv1.ClusterNameLabel: s.cluster.Name})
	}

	all, configs := &clusterv1.MachineList{}, &bootstrap.TalosConfigList{}
	if err := r.live.List(ctx, all, append(of, client.HasLabels{clusterv1.MachineControlPlaneLabel})...); err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}

	if s.cluster != nil {
		if err := r.live.List(ctx, configs, append(of, client.HasLabels{clusterv1.MachineControlPlaneLabel})...); err != nil {
			return nil, fmt.Errorf("list TalosConfigs: %w", err)
		}
	}

	s.configs = configs.Items

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
		kubernetes: spec.Version, talos: s.plane.Annotations[talosWanted], now: time.Now(),
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
		differs, err := r.differs(ctx, s, m)
		if err != nil {
			return err
		}

		_, hooked := m.Annotations[hook]
		upgrading := m.Annotations[kubernetesUpgrading]
		s.facts.machines = append(s.facts.machines, machine{
			name: m.Name, uid: string(m.UID), deleting: m.DeletionTimestamp != nil, held: hooked && m.DeletionTimestamp != nil, drained: drained(m),
			flagged: flagged(m), located: address(m) != "", unready: unready(m),
			outdated: differs || upgrading != "" || m.Spec.Version != spec.Version, differs: differs,
			kubernetes: m.Spec.Version, upgrading: upgrading, try: installation.Parse(m.Annotations[installation.Annotation]),
		})

		// A Node tells that there has been an API, and so etcd, also where the status was lost, as in a move.
		s.facts.bootstrapped = s.facts.bootstrapped || m.Status.NodeRef.IsDefined()
	}

	s.plane.Status.Bootstrapped = s.facts.bootstrapped

	return nil
}

// drained tells whether all is done with a machine that comes before our hook.
func drained(m clusterv1.Machine) bool {
	return conditions.GetReason(&m, clusterv1.MachineDeletingCondition) == clusterv1.MachineDeletingWaitingForPreTerminateHookReason
}

// unready tells whether a machine's Node is there and not known to be ready: of one whose kubelet is gone nobody says False.
func unready(m clusterv1.Machine) bool {
	return m.Status.NodeRef.IsDefined() && !conditions.IsTrue(&m, clusterv1.MachineNodeReadyCondition)
}

// flagged tells whether a machine is to be replaced because it is unhealthy. That it was handed over alone does not tell: it may have
// become well since.
func flagged(m clusterv1.Machine) bool { return collections.IsUnhealthyAndOwnerRemediated(&m) }

// differs tells whether a machine is made of something else than is wanted, but for the version of Kubernetes. What is not known of one
// that upstream made counts as equal.
func (r *reconciler) differs(ctx context.Context, s *scene, m clusterv1.Machine) (bool, error) {
	made, after := m.Annotations[madeOf], s.plane.Spec.Rollout.After
	if made != "" && made != infrastructure(s.plane).Name || after != nil && after.Time.Before(s.facts.now) && m.CreationTimestamp.Before(after) {
		return true, nil
	}

	config, err := r.config(ctx, s, m)

	return config != nil && !apiequality.Semantic.DeepEqual(config.Spec, s.plane.Spec.ControlPlaneConfig.ControlPlane), err
}

// config is that of a machine, nil if there is none. One without the labels of its cluster is not in the list.
func (r *reconciler) config(ctx context.Context, s *scene, m clusterv1.Machine) (*bootstrap.TalosConfig, error) {
	name := m.Spec.Bootstrap.ConfigRef.Name
	if at := slices.IndexFunc(s.configs, func(c bootstrap.TalosConfig) bool { return c.Name == name }); at >= 0 {
		return &s.configs[at], nil
	}

	config := &bootstrap.TalosConfig{}
	if found, err := contract.Find(ctx, r.live, client.ObjectKey{Namespace: m.Namespace, Name: name}, config); !found {
		return nil, err //nolint:wrapcheck // it names the object
	}

	return config, nil
}

// infrastructure is the template of the machines' infrastructure, by either way to name it. By the newer it has no version.
func infrastructure(plane *v1alpha3.TalosControlPlane) corev1.ObjectReference {
	ref := plane.Spec.InfrastructureTemplate
	if newer := plane.Spec.MachineTemplate.Spec.InfrastructureRef; newer != nil && ref.Name == "" {
		ref = corev1.ObjectReference{APIVersion: newer.APIGroup + "/", Kind: newer.Kind, Name: newer.Name}
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
