package bootstrap_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	rights "github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
	"github.com/sidero-appliance/sidero-appliance/controllers/talos/bootstrap"
)

// api is an appliance's API, and the controllers when they have begun.
type api struct {
	*clustertest.API

	t *testing.T
}

func start(t *testing.T) *api {
	t.Helper()

	return &api{clustertest.Start(t), t}
}

// begin runs the controllers until the function that it returns is called.
func (a *api) begin() (stop func()) {
	a.t.Helper()

	running := a.Begin(bootstrap.New(provider.Config{
		Client: a.Plane.Client(a.t, rights.TalosBootstrap), Identity: "test",
		Logger: logr.FromSlogHandler(a.Logger().Handler()), Log: a.Logger(),
	}))

	return func() { clustertest.Must(a.t, running.Stop()) }
}

// logged tells whether the log holds a text.
func (a *api) logged(text string) bool { return len(a.Log.Since(0, text)) > 0 }

// node makes a Machine and its TalosConfig, of the same name.
func (a *api) node(c *clusterv1.Cluster, name string, spec v1alpha3.TalosConfigSpec) (*clusterv1.Machine, *v1alpha3.TalosConfig) {
	a.t.Helper()

	m := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: c.Namespace, Labels: map[string]string{clusterv1.ClusterNameLabel: c.Name},
	}}
	if spec.GenerateType == v1alpha3.GenerateControlPlane || spec.GenerateType == v1alpha3.GenerateInit {
		m.Labels[clusterv1.MachineControlPlaneLabel] = ""
	}

	m.Spec.ClusterName, m.Spec.Version = c.Name, "v1.35.2"
	m.Spec.Bootstrap.ConfigRef = clusterv1.ContractVersionedObjectReference{
		APIGroup: v1alpha3.GroupName, Kind: "TalosConfig", Name: name,
	}
	m.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{
		APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "MetalMachine", Name: name + "-metal",
	}
	clustertest.Must(a.t, a.Create(a.t.Context(), m))

	return m, a.config(m, spec)
}

// config makes the TalosConfig of a Machine.
func (a *api) config(m *clusterv1.Machine, spec v1alpha3.TalosConfigSpec) *v1alpha3.TalosConfig {
	a.t.Helper()

	config := &v1alpha3.TalosConfig{ObjectMeta: metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(m, clusterv1.GroupVersion.WithKind("Machine"))},
	}, Spec: spec}
	clustertest.Must(a.t, a.Create(a.t.Context(), config))

	return config
}

func (a *api) ready(config *v1alpha3.TalosConfig) *v1alpha3.TalosConfig {
	a.t.Helper()

	return clustertest.Until(a.API, config, "it is ready", func(c *v1alpha3.TalosConfig) bool { return c.Status.Ready })
}

// reason waits for the reason of the condition of the data.
func (a *api) reason(config *v1alpha3.TalosConfig, reason string) string {
	a.t.Helper()

	var message string

	clustertest.Until(a.API, config, "the reason is "+reason, func(c *v1alpha3.TalosConfig) bool {
		condition, _ := c.Status.Conditions.Find(v1alpha3.DataSecretAvailableCondition)
		message = condition.Message

		return condition.Reason == reason && !c.Status.Ready
	})

	return message
}

func (a *api) secret(name string) *corev1.Secret {
	a.t.Helper()

	secret := &corev1.Secret{}
	clustertest.Must(a.t, a.Get(a.t.Context(), client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: name}, secret))

	return secret
}

// touch has the controllers look at an object again.
func (a *api) touch(object client.Object) {
	a.t.Helper()

	label := fmt.Sprintf(`{"metadata":{"labels":{"touched":"%d"}}}`, time.Now().UnixNano())
	patch := client.RawPatch(types.MergePatchType, []byte(label))
	clustertest.Must(a.t, a.Patch(a.t.Context(), object, patch))
}
