package controlplane

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	util "sigs.k8s.io/cluster-api/util/kubeconfig"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
)

const (
	kubeconfigKey = "value"
	// lifeLeft is the part of a certificate's life at whose beginning it is renewed, as all others here.
	lifeLeft = 3
	// answersWithin bounds the question whether the cluster's API is there.
	answersWithin = 5 * time.Second
)

// keepKubeconfig keeps the Secret with the cluster's kubeconfig. It is nil as long as there is no authority to sign one.
func (r *reconciler) keepKubeconfig(ctx context.Context, s *scene) ([]byte, error) {
	secret, key := &corev1.Secret{}, client.ObjectKey{Namespace: s.cluster.Namespace, Name: s.cluster.Name + "-kubeconfig"}
	err := r.client.Get(ctx, key, secret)

	if apierrors.IsNotFound(err) {
		owner := *metav1.NewControllerRef(s.plane, v1alpha3.GroupVersion.WithKind("TalosControlPlane"))

		err = util.CreateSecretWithOwner(ctx, r.client, client.ObjectKeyFromObject(s.cluster), s.cluster.Spec.ControlPlaneEndpoint.String(), owner)
		if errors.Is(err, util.ErrDependentCertificateNotFound) {
			return nil, nil
		}

		if err == nil {
			err = r.client.Get(ctx, key, secret)
		}
	}

	if err != nil {
		return nil, fmt.Errorf("keep Secret %s: %w", key.Name, err)
	}

	if !metav1.IsControlledBy(secret, s.plane) || !due(secret.Data[kubeconfigKey], time.Now()) {
		return secret.Data[kubeconfigKey], nil // a person's own is left alone
	}

	before := secret.DeepCopy()
	writer := patching{r.client, before}

	if err := util.RegenerateSecret(ctx, writer, secret); err != nil {
		return nil, fmt.Errorf("renew Secret %s: %w", key.Name, err)
	}

	return secret.Data[kubeconfigKey], nil
}

// patching updates by patches, for which there are rights, and only what has not changed meanwhile.
type patching struct {
	client.Client

	before client.Object
}

// Update implements client.Writer.
func (p patching) Update(ctx context.Context, object client.Object, _ ...client.UpdateOption) error {
	return p.Patch(ctx, object, client.MergeFromWithOptions(p.before, client.MergeFromWithOptimisticLock{})) //nolint:wrapcheck // by the caller
}

// due tells whether the certificate in a kubeconfig has less than a third of its life left.
func due(content []byte, now time.Time) bool {
	config, err := clientcmd.Load(content)
	if err != nil {
		return false
	}

	for _, user := range config.AuthInfos {
		block, _ := pem.Decode(user.ClientCertificateData)
		if block == nil {
			continue
		}

		certificate, err := x509.ParseCertificate(block.Bytes)
		if err == nil && !now.Before(certificate.NotAfter.Add(-certificate.NotAfter.Sub(certificate.NotBefore)/lifeLeft)) {
			return true
		}
	}

	return false
}
