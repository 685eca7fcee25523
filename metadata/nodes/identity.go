package nodes

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink"
)

// Where the identity is, as in Sidero.
const (
	SecretNamespace = metav1.NamespaceDefault
	SecretName      = "siderolink"

	// moveLabel lets clusterctl move the Secret with the clusters whose machines have addresses by it.
	moveLabel = "clusterctl.cluster.x-k8s.io/move"
)

// Identity reads the installation's, and makes it when there is none. The client reads without a cache.
func Identity(ctx context.Context, c client.Client) (siderolink.Identity, error) {
	secret, err := stored(ctx, c)
	if apierrors.IsNotFound(err) {
		if err = create(ctx, c); err == nil || apierrors.IsAlreadyExists(err) {
			secret, err = stored(ctx, c)
		}
	}

	if err != nil {
		return siderolink.Identity{}, fmt.Errorf("find or make identity of SideroLink: %w", err)
	}

	identity, err := siderolink.ReadIdentity(secret.Data)
	if err != nil {
		return siderolink.Identity{}, fmt.Errorf("read identity of SideroLink in Secret %s/%s: %w: restore the Secret, or delete it and have "+
			"all machines in use start again", SecretNamespace, SecretName, err)
	}

	return identity, nil
}

func stored(ctx context.Context, c client.Client) (*corev1.Secret, error) {
	secret := &corev1.Secret{}

	return secret, c.Get(ctx, client.ObjectKey{Namespace: SecretNamespace, Name: SecretName}, secret) //nolint:wrapcheck // by the caller
}

func create(ctx context.Context, c client.Client) error {
	made, err := siderolink.NewIdentity()
	if err != nil {
		return fmt.Errorf("make identity of SideroLink: %w", err)
	}

	return c.Create(ctx, &corev1.Secret{ //nolint:wrapcheck // by the caller
		ObjectMeta: metav1.ObjectMeta{Namespace: SecretNamespace, Name: SecretName, Labels: map[string]string{moveLabel: ""}},
		Type:       corev1.SecretTypeOpaque,
		Data:       made.Data(),
	})
}
