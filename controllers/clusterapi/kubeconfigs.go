package clusterapi

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/cluster-api/util/secret"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/kubeconfig"
)

// kubeconfigs reads Secrets and refuses a kubeconfig of a workload cluster that names files or programs. Whoever may write
// a Secret could otherwise have the reconcilers log in with the keys of the appliance itself, which lie in files here.
// Upstream's cache refuses programs only.
type kubeconfigs struct{ client.Reader }

// Get implements client.Reader.
func (k kubeconfigs) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if err := k.Reader.Get(ctx, key, object, options...); err != nil {
		return err //nolint:wrapcheck // callers look at what kind of error it is
	}

	if s, ok := object.(*corev1.Secret); ok && strings.HasSuffix(s.Name, "-"+string(secret.Kubeconfig)) {
		if _, err := kubeconfig.Parse(s.Data[secret.KubeconfigDataName]); err != nil {
			return fmt.Errorf("read kubeconfig in Secret %s: %w", key, err)
		}
	}

	return nil
}
