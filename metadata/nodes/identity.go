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
	made, err := siderolink.NewIdentity()
	if err != nil {
		return siderolink.Identity{}, fmt.Errorf("make identity of SideroLink: %w", err)
	}

	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: SecretNamespace, Name: SecretName, Labels: map[string]string{moveLabel: ""}},
		Type:       corev1.SecretTypeOpaque,
		Data:       made.Data(),
	}

	err = c.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	if apierrors.IsNotFound(err) {
		if err = c.Create(ctx, secret); apierrors.IsAlreadyExists(err) {
			err = c.Get(ctx, client.ObjectKeyFromObject(secret), secret)
		}
	}

	if err != nil {
		return siderolink.Identity{}, fmt.Errorf("read identity of SideroLink: %w", err)
	}

	identity, err := siderolink.ReadIdentity(secret.Data)
	if err != nil {
		return siderolink.Identity{}, fmt.Errorf("read identity of SideroLink in Secret %s/%s: %w: restore the Secret, or delete it and have "+
			"all machines in use start again", SecretNamespace, SecretName, err)
	}

	return identity, nil
}
