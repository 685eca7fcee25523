package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

// keepClientConfigs renews the configurations for talosctl, that of the TalosConfig's status and, by the nodes of the control
// plane, that of the cluster, and tells when they must be looked at again.
func (r *reconciler) keepClientConfigs(ctx context.Context, f facts) (time.Time, error) {
	now := time.Now()

	due := machineconfig.Renewal([]byte(f.config.Status.TalosConfig), machineconfig.Client{Cluster: f.cluster.Name}, now)
	if due.IsZero() && (f.config.Status.TalosConfig != "" || f.config.Spec.GenerateType != v1alpha3.GenerateNone) {
		secrets, err := r.existing(ctx, f.cluster)
		if err == nil {
			due, err = statusConfig(f, secrets, now)
		}

		// One that has had none yet, as after a move, need not have come with secrets.
		if err != nil && (f.config.Status.TalosConfig != "" || !errors.Is(err, errLost)) {
			return time.Time{}, err
		}
	}

	if !reaches(f.config.Spec) {
		return due, nil
	}

	shared, err := r.keepSharedConfig(ctx, f.cluster, now)
	if err == nil && (due.IsZero() || shared.Before(due)) {
		due = shared
	}

	return due, err
}

// statusConfig makes the configuration of the status, which upstream has without endpoints.
func statusConfig(f facts, secrets *machineconfig.Secrets, now time.Time) (time.Time, error) {
	text, err := secrets.ClientConfig(machineconfig.Client{Cluster: f.cluster.Name}, now)
	if err != nil {
		return time.Time{}, err
	}

	f.config.Status.TalosConfig = string(text)

	return machineconfig.Renewal(text, machineconfig.Client{Cluster: f.cluster.Name}, now), nil
}

// keepSharedConfig keeps the Secret with the cluster's configuration for talosctl.
func (r *reconciler) keepSharedConfig(ctx context.Context, cluster *clusterv1.Cluster, now time.Time) (time.Time, error) {
	addresses, err := r.controlPlane(ctx, cluster)
	if err != nil {
		return time.Time{}, err
	}

	wanted := machineconfig.Client{Cluster: cluster.Name, Endpoints: addresses}

	there, err := r.store.get(ctx, cluster.Name+clientSuffix, cluster)
	if err != nil {
		return time.Time{}, err
	}

	if there != nil {
		if due := machineconfig.Renewal(there.Data[clientKey], wanted, now); !due.IsZero() {
			return due, nil
		}
	}

	secrets, err := r.existing(ctx, cluster)
	if err != nil {
		return time.Time{}, err
	}

	text, err := secrets.ClientConfig(wanted, now)
	if err != nil {
		return time.Time{}, err
	}

	return machineconfig.Renewal(text, wanted, now), r.writeSharedConfig(ctx, cluster, there, text)
}

func (r *reconciler) writeSharedConfig(ctx context.Context, cluster *clusterv1.Cluster, there *corev1.Secret, text []byte) error {
	data := map[string][]byte{clientKey: text}

	if there == nil {
		made, err := r.store.create(ctx, clusterSecret(cluster, clientSuffix, data), cluster)
		if err != nil || bytes.Equal(made.Data[clientKey], text) {
			return err
		}

		there = made // of another node, which may have known of fewer
	}

	before := there.DeepCopy()
	there.Data = data

	if err := r.client.Patch(ctx, there, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("write Secret %s: %w", there.Name, err)
	}

	return nil
}

// existing are the secrets of a cluster that has been made.
func (r *reconciler) existing(ctx context.Context, cluster *clusterv1.Cluster) (*machineconfig.Secrets, error) {
	secret, err := r.store.get(ctx, cluster.Name+secretsSuffix, cluster)
	if err != nil {
		return nil, err
	}

	if secret == nil {
		return nil, fmt.Errorf("%w: there is no Secret %s: restore it", errLost, cluster.Name+secretsSuffix)
	}

	return machineconfig.ReadSecrets(secret.Data)
}

// controlPlane is where the nodes of a cluster's control plane are reached.
func (r *reconciler) controlPlane(ctx context.Context, cluster *clusterv1.Cluster) ([]string, error) {
	machines := &clusterv1.MachineList{}

	err := r.client.List(ctx, machines, client.InNamespace(cluster.Namespace),
		client.MatchingLabels{clusterv1.ClusterNameLabel: cluster.Name}, client.HasLabels{clusterv1.MachineControlPlaneLabel})
	if err != nil {
		return nil, fmt.Errorf("list machines of the control plane: %w", err)
	}

	return endpoints(machines.Items), nil
}
