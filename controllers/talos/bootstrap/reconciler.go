package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

const (
	// atOnce is how many TalosConfigs are worked on at the same time, as upstream.
	atOnce = 10
	// looksAgainAfter is how soon a Secret is looked for again that a person must restore or that is about to be deleted.
	looksAgainAfter = 30 * time.Second
)

// reconciler is the controller of TalosConfigs.
type reconciler struct {
	client client.Client
	store  store
	events events.EventRecorder
}

func setUp(manager ctrl.Manager) error {
	r := &reconciler{
		client: manager.GetClient(), events: manager.GetEventRecorder("talos-bootstrap"),
		store: store{manager.GetClient(), &singleflight.Group{}},
	}

	return ctrl.NewControllerManagedBy(manager). //nolint:wrapcheck // by the caller
							Named("talosconfig").
							For(&v1alpha3.TalosConfig{}).
							Watches(&clusterv1.Machine{}, handler.EnqueueRequestsFromMapFunc(r.ofMachine)).
							Watches(&clusterv1.Cluster{}, handler.EnqueueRequestsFromMapFunc(r.ofCluster), builder.WithPredicates(contract.OwnerChanged())).
							WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
							Complete(r)
}

// refused is an error that trying again does not mend.
type refused struct{ error }

// Unwrap gives the cause.
func (r refused) Unwrap() error { return r.error }

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	config := &v1alpha3.TalosConfig{}
	if err := r.client.Get(ctx, request.NamespacedName, config); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) //nolint:wrapcheck // it names the object
	}

	f, err := r.gather(ctx, config)
	if err != nil {
		return ctrl.Result{}, err
	}

	before := config.DeepCopy()
	decided := next(f)

	switch decided.action {
	case leave:
		return ctrl.Result{}, nil
	case release:
		return ctrl.Result{}, r.release(ctx, config)
	case wait:
		unavailable(&config.Status, decided.reason, decided.message)
	case adopt:
		available(&config.Status, *f.machine.Spec.Bootstrap.DataSecretName)
	case generate:
		err = r.generate(ctx, f)
	case keep:
	}

	result, err := r.settle(ctx, f, err)

	return result, errors.Join(err, r.record(ctx, before, config, err == nil))
}

// settle looks after what has been made, and writes what failed into the status.
func (r *reconciler) settle(ctx context.Context, f facts, failed error) (ctrl.Result, error) {
	var due time.Time

	if failed != nil {
		failure(&f.config.Status, failed)
	} else if f.config.Status.Ready {
		available(&f.config.Status, *f.config.Status.DataSecretName)

		due, failed = r.keepClientConfigs(ctx, f)
		clientConfig(&f.config.Status, failed, reaches(f.config.Spec))
	}

	switch {
	case errors.As(failed, &refused{}):
		return ctrl.Result{}, nil
	case errors.Is(failed, errLost), errors.Is(failed, errForeign):
		return ctrl.Result{RequeueAfter: looksAgainAfter}, nil
	case failed != nil || due.IsZero():
		return ctrl.Result{}, failed
	default:
		return ctrl.Result{RequeueAfter: time.Until(due) + time.Second}, nil
	}
}

// gather finds the Machine and the Cluster of a TalosConfig.
func (r *reconciler) gather(ctx context.Context, config *v1alpha3.TalosConfig) (facts, error) {
	f := facts{config: config}

	machine := &clusterv1.Machine{}
	if found, err := contract.Owner(ctx, r.client, config, "Machine", machine); err != nil || !found {
		return f, err //nolint:wrapcheck // it names the object
	}

	f.machine = machine
	cluster := &clusterv1.Cluster{}

	found, err := contract.Find(ctx, r.client, client.ObjectKey{Namespace: config.Namespace, Name: machine.Spec.ClusterName}, cluster)
	if found {
		f.cluster = cluster
	}

	return f, err //nolint:wrapcheck // it names the object
}

// release removes the finalizer that old versions of upstream set.
func (r *reconciler) release(ctx context.Context, config *v1alpha3.TalosConfig) error {
	before := config.DeepCopy()
	if !controllerutil.RemoveFinalizer(config, v1alpha3.TalosConfigFinalizer) {
		return nil
	}

	err := r.client.Patch(ctx, config, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))

	return client.IgnoreNotFound(err) //nolint:wrapcheck // it names the object
}

// generate makes the Secret with the configuration, and those of the cluster that it is made of.
func (r *reconciler) generate(ctx context.Context, f facts) error {
	name := f.machine.Name + dataSuffix

	// What was made before the status could be written stays: the machine may have it already.
	there, err := r.store.get(ctx, name, f.config)
	if err != nil {
		return err
	}

	if there != nil && len(there.Data[dataKey]) == 0 {
		return fmt.Errorf("use Secret %s: it has no key %s; delete it", name, dataKey)
	}

	made, secrets, err := r.render(ctx, f)
	if err != nil {
		return err
	}

	if secrets != nil {
		// Those in a configuration that was given are the cluster's from now on: its nodes are asked, and renewed, by them.
		if err := r.store.keepSecrets(ctx, f.cluster, secrets); err != nil {
			return err
		}

		if err := r.store.keepCA(ctx, f.cluster, secrets); err != nil {
			return err
		}

		if _, err := statusConfig(f, secrets, time.Now()); err != nil {
			return refused{err}
		}
	}

	if there == nil {
		if _, err := r.store.create(ctx, dataSecret(f, made), f.config); err != nil {
			return err
		}
	}

	available(&f.config.Status, name)

	return nil
}

// render makes the configuration. The secrets are those in it, nil when the configuration of a worker was given.
func (r *reconciler) render(ctx context.Context, f facts) ([]byte, *machineconfig.Secrets, error) {
	made, secrets := []byte(f.config.Spec.Data), machineconfig.FromConfiguration([]byte(f.config.Spec.Data))

	if f.config.Spec.GenerateType != v1alpha3.GenerateNone {
		// Nothing is made for a cluster whose first node cannot be described.
		if err := machineconfig.Accepts(describe(f)); err != nil {
			return nil, nil, refused{err}
		}

		var err error
		if secrets, err = r.store.clusterSecrets(ctx, f); err != nil {
			return nil, nil, err
		}

		if made, err = machineconfig.Generate(describe(f), secrets); err != nil {
			return nil, nil, refused{err}
		}
	}

	patched, err := machineconfig.Patch(made, patches(f.config.Spec))
	if err != nil {
		return nil, nil, refused{err}
	}

	if err := machineconfig.Check(made, patches(f.config.Spec), f.config.Spec.TalosVersion); err != nil {
		return nil, nil, refused{err}
	}

	return patched, secrets, nil
}

// record writes the status, and tells people of a failure that is new.
func (r *reconciler) record(ctx context.Context, before, config *v1alpha3.TalosConfig, observed bool) error {
	summarise(&config.Status)

	if observed {
		config.Status.ObservedGeneration = config.Generation
	}

	if apiequality.Semantic.DeepEqual(before.Status, config.Status) {
		return nil
	}

	if err := r.client.Status().Patch(ctx, config, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("write status of TalosConfig %s: %w", config.Name, err)
	}

	was, _ := before.Status.Conditions.Find(v1alpha3.ReadyCondition)
	is, _ := config.Status.Conditions.Find(v1alpha3.ReadyCondition)

	if isError(is) && (was.Reason != is.Reason || was.Message != is.Message) {
		r.events.Eventf(config, nil, corev1.EventTypeWarning, is.Reason, "Generate", "%s", is.Message)
	}

	return nil
}

// ofMachine are the TalosConfigs that a Machine concerns: its own, and as a part of the control plane those of all such, because
// talosctl reaches the cluster by any of them.
func (r *reconciler) ofMachine(ctx context.Context, object client.Object) []reconcile.Request {
	machine, ok := object.(*clusterv1.Machine)
	if !ok {
		return nil
	}

	if _, reached := machine.Labels[clusterv1.MachineControlPlaneLabel]; !reached {
		return configsOf([]clusterv1.Machine{*machine})
	}

	return append(configsOf([]clusterv1.Machine{*machine}),
		r.ofMachines(ctx, machine.Namespace, machine.Spec.ClusterName, client.HasLabels{clusterv1.MachineControlPlaneLabel})...)
}

// ofCluster are the TalosConfigs of a Cluster.
func (r *reconciler) ofCluster(ctx context.Context, object client.Object) []reconcile.Request {
	return r.ofMachines(ctx, object.GetNamespace(), object.GetName())
}

func (r *reconciler) ofMachines(ctx context.Context, namespace, cluster string, options ...client.ListOption) []reconcile.Request {
	machines := &clusterv1.MachineList{}
	options = append(options, client.InNamespace(namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: cluster})

	if err := r.client.List(ctx, machines, options...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list machines of a cluster")

		return nil
	}

	return configsOf(machines.Items)
}

func configsOf(machines []clusterv1.Machine) []reconcile.Request {
	var requests []reconcile.Request

	for _, machine := range machines {
		ref := machine.Spec.Bootstrap.ConfigRef
		if ref.Kind == "TalosConfig" && ref.APIGroup == v1alpha3.GroupName && ref.Name != "" {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: machine.Namespace, Name: ref.Name}})
		}
	}

	return requests
}
