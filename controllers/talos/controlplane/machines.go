package controlplane

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/controllers/external"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrap "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
)

const randomLetters = 5

// create makes a machine of three objects of one name, the Machine last. What is left when that is interrupted is used by the next.
func (r *reconciler) create(ctx context.Context, s *scene) error {
	name, err := s.name()
	if err != nil {
		return err
	}

	labels, annotations := s.labels(), maps.Clone(s.plane.Spec.MachineTemplate.Metadata.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}

	// No controller yet: the Machine becomes that.
	owner := metav1.OwnerReference{
		APIVersion: v1alpha3.GroupVersion.String(), Kind: "TalosControlPlane", Name: s.plane.Name, UID: s.plane.UID,
	}
	config := &bootstrap.TalosConfig{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.plane.Namespace, Name: name, Labels: labels, OwnerReferences: []metav1.OwnerReference{owner},
		},
		Spec: *s.plane.Spec.ControlPlaneConfig.ControlPlane.DeepCopy(),
	}

	if err := r.client.Create(ctx, config); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create TalosConfig %s: %w", name, err)
	}

	template, err := r.template(ctx, s)
	if err != nil {
		return err
	}

	_, infra, err := external.CreateFromTemplate(ctx, &external.CreateFromTemplateInput{
		Client: r.client, TemplateRef: &template, Namespace: s.plane.Namespace, Name: name, ClusterName: s.cluster.Name,
		OwnerRef: &owner, Labels: labels, Annotations: annotations,
	})
	if apierrors.IsAlreadyExists(err) {
		infra = clusterv1.ContractVersionedObjectReference{
			APIGroup: template.GroupVersionKind().Group, Kind: strings.TrimSuffix(template.Kind, clusterv1.TemplateSuffix), Name: name,
		}
	} else if err != nil {
		return fmt.Errorf("clone %s %s: %w", template.Kind, template.Name, err)
	}

	annotations[hook], annotations[madeOf] = "", template.Name

	if err := r.client.Create(ctx, s.newMachine(name, infra, annotations)); err != nil {
		return fmt.Errorf("create Machine %s: %w", name, err)
	}

	return nil
}

// nodeDeletedWithin is how long Cluster API tries to delete the Node of a machine that is gone, unless somebody says otherwise. It may be
// connected to the API server of that very machine, and not notice for most of a minute. With its own ten seconds the Node would stay.
const nodeDeletedWithin = 5 * time.Minute

// newMachine is held by Cluster API's finalizer from its beginning, so that it never goes without having left etcd.
func (s *scene) newMachine(name string, infra clusterv1.ContractVersionedObjectReference, annotations map[string]string) *clusterv1.Machine {
	spec := s.plane.Spec.MachineTemplate.Spec
	m := &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.plane.Namespace, Name: name, Labels: s.labels(), Annotations: annotations,
			Finalizers:      []string{clusterv1.MachineFinalizer},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s.plane, v1alpha3.GroupVersion.WithKind("TalosControlPlane"))},
		},
		Spec: clusterv1.MachineSpec{
			ClusterName: s.cluster.Name, Version: s.plane.Spec.Version, InfrastructureRef: infra,
			Bootstrap: clusterv1.Bootstrap{ConfigRef: clusterv1.ContractVersionedObjectReference{
				APIGroup: bootstrap.GroupName, Kind: "TalosConfig", Name: name,
			}},
			Deletion: clusterv1.MachineDeletionSpec{
				NodeDrainTimeoutSeconds:        seconds(spec.Deletion.NodeDrainTimeoutSeconds),
				NodeVolumeDetachTimeoutSeconds: seconds(spec.Deletion.NodeVolumeDetachTimeoutSeconds),
				NodeDeletionTimeoutSeconds:     cmp.Or(seconds(spec.Deletion.NodeDeletionTimeoutSeconds), ptr.To(int32(nodeDeletedWithin/time.Second))),
			},
		},
	}

	for _, gate := range spec.ReadinessGates {
		m.Spec.ReadinessGates = append(m.Spec.ReadinessGates, clusterv1.MachineReadinessGate{
			ConditionType: gate.ConditionType, Polarity: clusterv1.ConditionPolarity(gate.Polarity),
		})
	}

	for _, taint := range spec.Taints {
		m.Spec.Taints = append(m.Spec.Taints, clusterv1.MachineTaint{
			Key: taint.Key, Value: taint.Value, Effect: taint.Effect, Propagation: clusterv1.MachineTaintPropagation(taint.Propagation),
		})
	}

	return m
}

func seconds(of *int64) *int32 {
	if of == nil {
		return nil
	}

	return ptr.To(int32(*of)) //nolint:gosec // admission bounds it
}

// labels are those of the control plane's machines.
func (s *scene) labels() map[string]string {
	labels := maps.Clone(s.plane.Spec.MachineTemplate.Metadata.Labels)
	if labels == nil {
		labels = map[string]string{}
	}

	labels[clusterv1.ClusterNameLabel] = s.cluster.Name
	labels[clusterv1.MachineControlPlaneLabel] = ""
	labels[clusterv1.MachineControlPlaneNameLabel] = s.plane.Name

	return labels
}

// template is that of the infrastructure, in the version that its provider's contract names unless a version is given.
func (r *reconciler) template(ctx context.Context, s *scene) (corev1.ObjectReference, error) {
	ref := infrastructure(s.plane)
	if ref.GroupVersionKind().Version != "" {
		return ref, nil
	}

	found, err := external.GetObjectFromContractVersionedRef(ctx, r.live, clusterv1.ContractVersionedObjectReference{
		APIGroup: ref.GroupVersionKind().Group, Kind: ref.Kind, Name: ref.Name,
	}, ref.Namespace)
	if err != nil {
		return ref, fmt.Errorf("find %s %s: %w", ref.Kind, ref.Name, err)
	}

	ref.APIVersion = found.GetAPIVersion()

	return ref, nil
}

// name is that of what a Machine is missing for, if it is made of what is still wanted, or a new one.
func (s *scene) name() (string, error) {
	for _, c := range s.configs {
		if c.Labels[clusterv1.MachineControlPlaneNameLabel] == s.plane.Name && metav1.GetControllerOf(&c) == nil &&
			c.DeletionTimestamp == nil && s.machine(c.Name).Name == "" &&
			apiequality.Semantic.DeepEqual(c.Spec, s.plane.Spec.ControlPlaneConfig.ControlPlane) {
			return c.Name, nil
		}
	}

	strategy := v1alpha3.MachineNamingStrategy{Template: "{{ .talosControlPlane.name }}-{{ .random }}"}
	if own := s.plane.Spec.MachineNamingStrategy; own != nil && own.Template != "" {
		strategy = *own
	}

	return strategy.Name(s.cluster.Name, s.plane.Name, rand.String(randomLetters)) //nolint:wrapcheck // it says what it is
}

// remove deletes a machine, which our hook holds until it has left etcd.
func (r *reconciler) remove(ctx context.Context, m *clusterv1.Machine) error {
	if err := r.holdMachine(ctx, m); err != nil {
		return err
	}

	return client.IgnoreNotFound(r.client.Delete(ctx, m)) //nolint:wrapcheck // it names the object
}

// holdMachines sees to it that no machine goes without having left etcd, whoever deletes it: those that upstream has made, and were moved
// here, have no hook of ours.
func (r *reconciler) holdMachines(ctx context.Context, s *scene) error {
	for i := range s.machines {
		if err := r.holdMachine(ctx, &s.machines[i]); err != nil {
			return client.IgnoreNotFound(err)
		}
	}

	return nil
}

// holdMachine lets our hook hold a machine. Nothing holds one that is being deleted already: what holds it may be on its way.
func (r *reconciler) holdMachine(ctx context.Context, m *clusterv1.Machine) error {
	if _, held := m.Annotations[hook]; held || m.DeletionTimestamp != nil {
		return nil
	}

	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:""}}}`, hook)
	if err := r.client.Patch(ctx, m, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		return fmt.Errorf("hold Machine %s: %w", m.Name, err)
	}

	return nil
}

func (r *reconciler) release(ctx context.Context, m *clusterv1.Machine) error {
	if _, held := m.Annotations[hook]; !held {
		return nil
	}

	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:null}}}`, hook)

	return client.IgnoreNotFound(r.client.Patch(ctx, m, client.RawPatch("application/merge-patch+json", patch))) //nolint:wrapcheck // names it
}

// clear deletes all machines. Their etcd goes with them.
func (r *reconciler) clear(ctx context.Context, s *scene) error {
	for i := range s.machines {
		m := &s.machines[i]
		if err := r.release(ctx, m); err != nil {
			return err
		}

		if m.DeletionTimestamp == nil {
			if err := r.client.Delete(ctx, m); client.IgnoreNotFound(err) != nil {
				return err //nolint:wrapcheck // it names the object
			}
		}
	}

	return nil
}
