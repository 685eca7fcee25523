// Package bootstrap puts into a fresh API what the rest of the appliance stands on: the namespace of its own objects, for
// each of its components a user with the least rights, for people the roles sidero:viewer, sidero:operator and
// sidero:admin, the descriptors of the native kinds, and clusterctl's inventory.
package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl"
	"github.com/sidero-appliance/sidero-appliance/apiserver/descriptor"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/natives"
)

const (
	fieldManager = "sidero-bootstrap"
	retryPeriod  = 200 * time.Millisecond
	// atOnce is how many objects are applied at the same time.
	atOnce = 8
)

// Bootstrap applies the objects when it starts: what somebody changed in them is undone.
type Bootstrap struct {
	client    kubernetes.Interface
	crds      apiextensionsclient.CustomResourceDefinitionInterface
	inventory *clusterctl.Inventory
	beside    func(context.Context) error
	log       *slog.Logger
	done      atomic.Bool
}

// Config is what a Bootstrap needs.
type Config struct {
	// Client may do everything: it hands out rights.
	Client *rest.Config
	// Beside is done while the objects are applied, and again with them when anything failed, which it must bear. Optional.
	Beside func(context.Context) error
	// Version is the appliance's.
	Version string
	Logger  *slog.Logger
}

// New prepares a Bootstrap.
func New(config Config) (*Bootstrap, error) {
	client, err := kubernetes.NewForConfig(config.Client)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}

	extensions, err := apiextensionsclient.NewForConfig(config.Client)
	if err != nil {
		return nil, fmt.Errorf("make client of custom resources: %w", err)
	}

	inventory, err := clusterctl.NewInventory(config.Client, config.Version)
	if err != nil {
		return nil, err
	}

	return &Bootstrap{client: client, crds: extensions.CustomResourceDefinitions(), inventory: inventory, beside: config.Beside, log: config.Logger}, nil
}

// Name identifies the component.
func (*Bootstrap) Name() string { return "bootstrap" }

// Ready tells whether the objects have been applied.
func (b *Bootstrap) Ready(context.Context) error {
	if !b.done.Load() {
		return errors.New("namespaces, roles and descriptors have not been applied")
	}

	return nil
}

// Run applies the objects, trying again until it works, and then waits for ctx to end.
func (b *Bootstrap) Run(ctx context.Context) error {
	err := wait.PollUntilContextCancel(ctx, retryPeriod, true, func(ctx context.Context) (bool, error) {
		if err := b.apply(ctx); err != nil {
			b.log.Warn("cannot apply namespaces, roles and descriptors", "error", err)

			return false, nil
		}

		return true, nil
	})
	if err == nil {
		b.done.Store(true)
		<-ctx.Done()
	}

	return nil
}

func (b *Bootstrap) apply(ctx context.Context) error {
	if err := b.inventory.Define(ctx); err != nil { // first: until it is served takes a moment
		return err
	}

	for _, name := range []string{Namespace, metav1.NamespaceDefault, clusterAPINamespace, talosBootstrapNamespace, talosControlPlaneNamespace} {
		if _, err := b.client.CoreV1().Namespaces().Apply(ctx, corev1ac.Namespace(name), own()); err != nil {
			return fmt.Errorf("apply namespace %s: %w", name, err)
		}
	}

	// Each waits for the database most of its time.
	work, working := errgroup.WithContext(ctx)
	work.SetLimit(atOnce)

	if b.beside != nil {
		work.Go(func() error { return b.beside(working) })
	}

	for _, step := range b.steps() {
		work.Go(func() error { return step(working) })
	}

	if err := work.Wait(); err != nil {
		return err //nolint:wrapcheck // the step has
	}

	return b.inventory.Record(ctx)
}

// steps apply what is in namespaces that are there, in any order.
func (b *Bootstrap) steps() []func(context.Context) error {
	steps := []func(context.Context) error{b.applyAggregatedRole, b.applyPriority}

	for _, c := range components() {
		steps = append(steps, func(ctx context.Context) error { return b.applyEverywhere(ctx, c) })

		for namespace := range c.in {
			steps = append(steps, func(ctx context.Context) error { return b.applyIn(ctx, c, namespace) })
		}
	}

	for _, p := range parts() {
		role := rbacv1ac.ClusterRole(p.name).WithLabels(marks(p.labels...)).WithRules(p.rules...)
		steps = append(steps, func(ctx context.Context) error { return b.applyRole(ctx, role) })
	}

	for _, p := range people() {
		steps = append(steps, func(ctx context.Context) error { return b.applyPerson(ctx, p) })
	}

	for _, d := range descriptor.All(natives.Groups()) {
		steps = append(steps, func(ctx context.Context) error { return b.applyDescriptor(ctx, &d) })
	}

	return steps
}

func (b *Bootstrap) applyEverywhere(ctx context.Context, c component) error {
	name := c.user.Name

	role := rbacv1ac.ClusterRole(name).WithRules(c.everywhere...)
	if _, err := b.client.RbacV1().ClusterRoles().Apply(ctx, role, own()); err != nil {
		return fmt.Errorf("apply cluster role %s: %w", name, err)
	}

	binding := rbacv1ac.ClusterRoleBinding(name).WithRoleRef(reference("ClusterRole", name)).WithSubjects(subject(name))
	if _, err := b.client.RbacV1().ClusterRoleBindings().Apply(ctx, binding, own()); err != nil {
		return fmt.Errorf("apply cluster role binding %s: %w", name, err)
	}

	return nil
}

func (b *Bootstrap) applyIn(ctx context.Context, c component, namespace string) error {
	name := c.user.Name

	role := rbacv1ac.Role(name, namespace).WithRules(c.in[namespace]...)
	if _, err := b.client.RbacV1().Roles(namespace).Apply(ctx, role, own()); err != nil {
		return fmt.Errorf("apply role %s/%s: %w", namespace, name, err)
	}

	binding := rbacv1ac.RoleBinding(name, namespace).WithRoleRef(reference("Role", name)).WithSubjects(subject(name))
	if _, err := b.client.RbacV1().RoleBindings(namespace).Apply(ctx, binding, own()); err != nil {
		return fmt.Errorf("apply role binding %s/%s: %w", namespace, name, err)
	}

	return nil
}

func own() metav1.ApplyOptions { return metav1.ApplyOptions{FieldManager: fieldManager, Force: true} }

func reference(kind, name string) *rbacv1ac.RoleRefApplyConfiguration {
	return rbacv1ac.RoleRef().WithAPIGroup(rbacGroup).WithKind(kind).WithName(name)
}

func subject(name string) *rbacv1ac.SubjectApplyConfiguration {
	return rbacv1ac.Subject().WithAPIGroup(rbacGroup).WithKind("User").WithName(name)
}
