package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/installation"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
	"github.com/sidero-appliance/sidero-appliance/talosapi"
)

const (
	// talosWanted names the release of Talos that the machines of a TalosControlPlane are to run. It is an annotation, not a field, so
	// that manifests stay those of upstream.
	talosWanted = "controlplane.sidero.dev/talos-version"
	// kubernetesUpgrading is at a Machine that is brought to another version in place: that version. It is written before anything is
	// done, and goes when the Machine is of that version.
	kubernetesUpgrading = "controlplane.sidero.dev/upgrades-kubernetes"
	// configurationKey is that of machine configurations in their Secrets.
	configurationKey = "value"
)

// configure has a machine run a part of Kubernetes of the wanted version, after that has been written down.
func (r *reconciler) configure(ctx context.Context, s *scene, d decision) error {
	m := s.machine(d.machine)
	if err := r.write(ctx, m, map[string]any{kubernetesUpgrading: s.plane.Spec.Version}, nil); err != nil {
		return err
	}

	r.events.Eventf(s.plane, m, corev1.EventTypeNormal, "UpgradesKubernetes", "Upgrade", "%s", d.message)

	return r.tell(ctx, s, d.machine, func(n talosapi.Node) error {
		was, err := n.Configuration(ctx)
		if err != nil {
			return err //nolint:wrapcheck // it names the node
		}

		changed, err := withPart(was, d.part, s.plane.Spec.Version)
		if err != nil {
			return err
		}

		return n.Configure(ctx, changed) //nolint:wrapcheck // it names the node
	})
}

// recordKubernetes writes down the version that a machine has been brought to; first where its configuration is kept, for when it is
// reset and asks for it again.
func (r *reconciler) recordKubernetes(ctx context.Context, s *scene, d decision) error {
	m := s.machine(d.machine)
	if err := r.keepConfiguration(ctx, m, s.plane.Spec.Version); err != nil {
		return err
	}

	if err := r.write(ctx, m, map[string]any{kubernetesUpgrading: nil}, map[string]any{"version": s.plane.Spec.Version}); err != nil {
		return err
	}

	r.events.Eventf(s.plane, m, corev1.EventTypeNormal, "KubernetesUpgraded", "Upgrade", "%s", d.message)

	return nil
}

func (r *reconciler) keepConfiguration(ctx context.Context, m *clusterv1.Machine, version string) error {
	name := m.Spec.Bootstrap.DataSecretName
	if name == nil {
		return nil
	}

	secret := &corev1.Secret{}
	if found, err := contract.Find(ctx, r.live, client.ObjectKey{Namespace: m.Namespace, Name: *name}, secret); !found {
		return err //nolint:wrapcheck // it names the object
	}

	changed, before := secret.Data[configurationKey], secret.DeepCopy()

	if versions, err := told(changed); err == nil && !slices.ContainsFunc(versions[:], func(v string) bool { return v != version }) {
		return nil // it was written, and then the rest could not be
	}

	for part := range (parts{}) {
		var err error
		if changed, err = withPart(changed, part, version); err != nil {
			return fmt.Errorf("change Secret %s: %w", *name, err)
		}
	}

	secret.Data[configurationKey] = changed

	if err := r.client.Patch(ctx, secret, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("change Secret %s: %w", *name, err)
	}

	return nil
}

// install has a machine install the wanted release of Talos. The try counts before it is made. It is taken back only when the node
// has said that it does not do it.
func (r *reconciler) install(ctx context.Context, s *scene, d decision) error {
	m, wanted := s.machine(d.machine), s.facts.talos
	was := s.fact(d.machine).try
	counts := installation.Try{To: wanted, Times: 1, At: s.facts.now}

	if was.To == wanted {
		counts.Times += was.Times
	}

	if err := r.write(ctx, m, map[string]any{installation.Annotation: counts.String()}, nil); err != nil {
		return err
	}

	r.events.Eventf(s.plane, m, corev1.EventTypeNormal, "UpgradesTalos", "Upgrade", "%s", d.message)

	err := r.tell(ctx, s, d.machine, func(n talosapi.Node) error {
		configuration, err := n.Configuration(ctx)
		if err != nil {
			return refusal{err}
		}

		image, err := installer(configuration, wanted)
		if err != nil {
			return refusal{fmt.Errorf("upgrade machine %s: %w", m.Name, err)}
		}

		if err := n.Upgrade(ctx, image); err != nil && !errors.Is(err, talosapi.ErrUnreachable) {
			return refusal{err}
		}

		return nil // one that is not reached any more may do it
	})
	if !errors.As(err, &refusal{}) {
		return err
	}

	var back any
	if was.To != "" {
		back = was.String()
	}

	return errors.Join(err, r.write(ctx, m, map[string]any{installation.Annotation: back}, nil))
}

// refusal is the error of what was certainly not done.
type refusal struct{ error }

// Unwrap gives the cause.
func (r refusal) Unwrap() error { return r.error }

// recordTalos takes the note away that a machine is to install a release of Talos.
func (r *reconciler) recordTalos(ctx context.Context, s *scene, d decision) error {
	m := s.machine(d.machine)

	if fact := s.fact(d.machine); fact.talos == fact.try.To {
		r.events.Eventf(s.plane, m, corev1.EventTypeNormal, "TalosUpgraded", "Upgrade", "machine %s runs Talos %s", m.Name, fact.talos)
	}

	return r.write(ctx, m, map[string]any{installation.Annotation: nil}, nil)
}

// write changes annotations and the spec of a Machine, unless somebody else has changed it. The Machine is then as it is stored.
func (r *reconciler) write(ctx context.Context, m *clusterv1.Machine, annotations, spec map[string]any) error {
	change := map[string]any{"metadata": map[string]any{"resourceVersion": m.ResourceVersion, "annotations": annotations}}
	if spec != nil {
		change["spec"] = spec
	}

	patch, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("write Machine %s: %w", m.Name, err)
	}

	if err := r.client.Patch(ctx, m, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("write Machine %s: %w", m.Name, err)
	}

	return nil
}
