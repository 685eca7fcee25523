package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

// What the names of the Secrets of a cluster and of a machine end in, and their keys.
const (
	secretsSuffix = machineconfig.SecretsSuffix
	caSuffix      = "-ca"
	clientSuffix  = "-talosconfig"
	dataSuffix    = "-bootstrap-data"

	clientKey = "talosconfig"
	dataKey   = "value"
)

var (
	// errLost is that of a cluster whose secrets are gone.
	errLost = errors.New("the secrets of the cluster are lost")
	// errForeign is that of a Secret whose owner is another object, of the same name or not. One that was deleted takes it along soon.
	errForeign = errors.New("it belongs to another object")
)

// store keeps Secrets.
type store struct {
	client client.Client
	// making are the clusters, by their UIDs, whose secrets are being made: that takes seconds, for one long key, and all machines of a
	// new cluster come for them at once.
	making *singleflight.Group
}

// get reads a Secret of an owner. It is nil when there is none.
func (s store) get(ctx context.Context, name string, owner client.Object) (*corev1.Secret, error) {
	secret := &corev1.Secret{}

	err := s.client.Get(ctx, client.ObjectKey{Namespace: owner.GetNamespace(), Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}

	if err != nil {
		return nil, fmt.Errorf("read Secret %s: %w", name, err)
	}

	// One without an owner was restored from a backup, or made by a person.
	if controller := metav1.GetControllerOf(secret); controller != nil && controller.UID != owner.GetUID() {
		return nil, fmt.Errorf("use Secret %s: %w, %s %s; delete the Secret unless that is still there",
			name, errForeign, controller.Kind, controller.Name)
	}

	return secret, nil
}

// create makes a Secret once: when two try, both have that of the first. It tells what is there then.
func (s store) create(ctx context.Context, secret *corev1.Secret, owner client.Object) (*corev1.Secret, error) {
	err := s.client.Create(ctx, secret)
	if err == nil {
		return secret, nil
	}

	if !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("create Secret %s: %w", secret.Name, err)
	}

	there, err := s.get(ctx, secret.Name, owner)
	if err == nil && there == nil {
		err = fmt.Errorf("create Secret %s: it came and went", secret.Name)
	}

	return there, err
}

func clusterSecret(cluster *clusterv1.Cluster, suffix string, data map[string][]byte) *corev1.Secret {
	owner := metav1.NewControllerRef(cluster, clusterv1.GroupVersion.WithKind("Cluster"))

	return newSecret(client.ObjectKey{Namespace: cluster.Namespace, Name: cluster.Name + suffix}, cluster.Name, owner, data)
}

func dataSecret(f facts, data []byte) *corev1.Secret {
	owner := metav1.NewControllerRef(f.config, v1alpha3.GroupVersion.WithKind("TalosConfig"))
	key := client.ObjectKey{Namespace: f.config.Namespace, Name: f.machine.Name + dataSuffix}

	return newSecret(key, f.cluster.Name, owner, map[string][]byte{dataKey: data})
}

func newSecret(key client.ObjectKey, cluster string, owner *metav1.OwnerReference, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: key.Name,
			Labels:          map[string]string{clusterv1.ClusterNameLabel: cluster},
			OwnerReferences: []metav1.OwnerReference{*owner},
		},
		Data: data,
	}
}

// clusterSecrets are the secrets that the nodes of a cluster share. They are made with its first node, and never again.
func (s store) clusterSecrets(ctx context.Context, f facts) (*machineconfig.Secrets, error) {
	made, err, _ := s.making.Do(string(f.cluster.UID), func() (any, error) {
		secret, err := s.get(ctx, f.cluster.Name+secretsSuffix, f.cluster)
		if err == nil && secret == nil {
			secret, err = s.makeClusterSecrets(ctx, f)
		}

		return secret, err
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // it is this package's own
	}

	return machineconfig.ReadSecrets(made.(*corev1.Secret).Data) //nolint:forcetypeassert // as above
}

func (s store) makeClusterSecrets(ctx context.Context, f facts) (*corev1.Secret, error) {
	if err := s.isNew(ctx, f.cluster); err != nil {
		return nil, err
	}

	made, err := machineconfig.NewSecrets(f.config.Spec.TalosVersion, time.Now())
	if err != nil {
		return nil, err
	}

	return s.createClusterSecrets(ctx, f.cluster, made)
}

func (s store) createClusterSecrets(ctx context.Context, cluster *clusterv1.Cluster, secrets *machineconfig.Secrets) (*corev1.Secret, error) {
	data, err := secrets.Data()
	if err != nil {
		return nil, err
	}

	return s.create(ctx, clusterSecret(cluster, secretsSuffix, data), cluster)
}

// keepSecrets makes the Secret of a cluster's secrets, if there is none.
func (s store) keepSecrets(ctx context.Context, cluster *clusterv1.Cluster, secrets *machineconfig.Secrets) error {
	there, err := s.get(ctx, cluster.Name+secretsSuffix, cluster)
	if err != nil || there != nil {
		return err
	}

	_, err = s.createClusterSecrets(ctx, cluster, secrets)

	return err
}

// isNew refuses a cluster that has had secrets before.
func (s store) isNew(ctx context.Context, cluster *clusterv1.Cluster) error {
	initialised := cluster.Status.Initialization.ControlPlaneInitialized
	if initialised != nil && *initialised {
		return fmt.Errorf("%w: its control plane runs, and there is no Secret %s: restore that", errLost, cluster.Name+secretsSuffix)
	}

	ca, err := s.get(ctx, cluster.Name+caSuffix, cluster)
	if err != nil {
		return err
	}

	if ca != nil {
		return fmt.Errorf("%w: there is Secret %s, made of them, and no Secret %s: restore that, or delete the other when there are no nodes",
			errLost, ca.Name, cluster.Name+secretsSuffix)
	}

	return nil
}

// keepCA makes the Secret that Cluster API makes kubeconfigs with.
func (s store) keepCA(ctx context.Context, cluster *clusterv1.Cluster, secrets *machineconfig.Secrets) error {
	there, err := s.get(ctx, cluster.Name+caSuffix, cluster)
	if err != nil || there != nil {
		return err
	}

	certificate, key := secrets.KubernetesCA()
	data := map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key}
	_, err = s.create(ctx, clusterSecret(cluster, caSuffix, data), cluster)

	return err
}
