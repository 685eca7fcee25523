package controlplane

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Groups of kubelets, before and after they have a certificate.
const (
	bootstrappers = "system:bootstrappers"
	nodes         = "system:nodes"
)

// seed makes what a new cluster needs for kubelets to join it. What is there stays as it is.
func (p *ControlPlane) seed(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(p.admin)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}

	var failed error

	for _, b := range bindings() {
		_, err := client.RbacV1().ClusterRoleBindings().Create(ctx, &b, metav1.CreateOptions{})
		failed = errors.Join(failed, unlessThere(err))
	}

	_, err = client.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, p.token(), metav1.CreateOptions{})

	return errors.Join(failed, unlessThere(err))
}

func unlessThere(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}

	return err
}

// token is the bootstrap token of the cluster's configuration.
func (p *ControlPlane) token() *corev1.Secret {
	token := p.Cluster.Token()

	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + token.ID(), Namespace: metav1.NamespaceSystem},
		Type:       corev1.SecretTypeBootstrapToken,
		StringData: map[string]string{
			"token-id": token.ID(), "token-secret": token.Secret(), "usage-bootstrap-authentication": "true",
			"auth-extra-groups": bootstrappers + ":nodes",
		},
	}
}

// bindings let kubelets ask for certificates, and get them.
func bindings() []rbacv1.ClusterRoleBinding {
	var all []rbacv1.ClusterRoleBinding

	for _, b := range []struct{ name, role, group string }{
		{"system-bootstrap-node-bootstrapper", "system:node-bootstrapper", bootstrappers + ":nodes"},
		{"system-bootstrap-approve-node-client-csr", "system:certificates.k8s.io:certificatesigningrequests:nodeclient", bootstrappers + ":nodes"},
		{"system-bootstrap-node-renewal", "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", nodes},
	} {
		all = append(all, rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: b.name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: b.role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: b.group}},
		})
	}

	return all
}
