package apiserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

const (
	policyHook = "sidero/bootstrap-roles"

	policyRetry  = 50 * time.Millisecond
	policyWithin = 30 * time.Second
)

// ensurePolicy makes Kubernetes's default roles. Upstream's hook of the same task waits a whole second before it looks at
// anything, at every start; that one is switched off. The roles of kube-controller-manager's controllers are left out:
// those that run here have the rights of the process.
func ensurePolicy(hook genericapiserver.PostStartHookContext) error {
	client, err := kubernetes.NewForConfig(hook.LoopbackClientConfig)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}

	var last error

	err = wait.PollUntilContextTimeout(hook, policyRetry, policyWithin, true, func(context.Context) (bool, error) {
		if last = errors.Join(reconcileClusterRoles(client), reconcileRoles(client)); last != nil {
			klog.V(2).InfoS("Cannot make default roles yet", "reason", last)
		}

		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("make default roles: %w", errors.Join(err, last))
	}

	return nil
}

func reconcileClusterRoles(client kubernetes.Interface) error {
	for _, role := range bootstrappolicy.ClusterRoles() {
		options := reconciliation.ReconcileRoleOptions{
			Role:    reconciliation.ClusterRoleRuleOwner{ClusterRole: &role},
			Client:  reconciliation.ClusterRoleModifier{Client: client.RbacV1().ClusterRoles()},
			Confirm: true,
		}
		if _, err := options.Run(); err != nil {
			return fmt.Errorf("reconcile cluster role %s: %w", role.Name, err)
		}
	}

	for _, binding := range bootstrappolicy.ClusterRoleBindings() {
		options := reconciliation.ReconcileRoleBindingOptions{
			RoleBinding: reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: &binding},
			Client:      reconciliation.ClusterRoleBindingClientAdapter{Client: client.RbacV1().ClusterRoleBindings()},
			Confirm:     true,
		}
		if _, err := options.Run(); err != nil {
			return fmt.Errorf("reconcile cluster role binding %s: %w", binding.Name, err)
		}
	}

	return nil
}

func reconcileRoles(client kubernetes.Interface) error {
	for namespace, roles := range bootstrappolicy.NamespaceRoles() {
		for _, role := range roles {
			options := reconciliation.ReconcileRoleOptions{
				Role:    reconciliation.RoleRuleOwner{Role: &role},
				Client:  reconciliation.RoleModifier{Client: client.RbacV1(), NamespaceClient: client.CoreV1().Namespaces()},
				Confirm: true,
			}
			if _, err := options.Run(); err != nil {
				return fmt.Errorf("reconcile role %s/%s: %w", namespace, role.Name, err)
			}
		}
	}

	return reconcileRoleBindings(client, bootstrappolicy.NamespaceRoleBindings())
}

func reconcileRoleBindings(client kubernetes.Interface, all map[string][]rbacv1.RoleBinding) error {
	for namespace, bindings := range all {
		for _, binding := range bindings {
			options := reconciliation.ReconcileRoleBindingOptions{
				RoleBinding: reconciliation.RoleBindingAdapter{RoleBinding: &binding},
				Client: reconciliation.RoleBindingClientAdapter{
					Client: client.RbacV1(), NamespaceClient: client.CoreV1().Namespaces(),
				},
				Confirm: true,
			}
			if _, err := options.Run(); err != nil {
				return fmt.Errorf("reconcile role binding %s/%s: %w", namespace, binding.Name, err)
			}
		}
	}

	return nil
}
