package bootstrap_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sidero-appliance/sidero-appliance/apiserver"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	rights "github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
	"github.com/sidero-appliance/sidero-appliance/controllers/talos/bootstrap"
)

// happensWithin bounds the wait for what the controllers do.
const happensWithin = 30 * time.Second

// journal is a log to look into.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()

	return j.text.Write(line)
}

func (j *journal) holds(text string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()

	return bytes.Contains(j.text.Bytes(), []byte(text))
}

// api is an appliance's API with the kinds of Cluster API, and the controllers when they have begun.
type api struct {
	client.Client

	t     *testing.T
	plane *apitest.Plane
	log   *journal
}

func start(t *testing.T) *api {
	t.Helper()

	apitest.CaptureLog()

	log := &journal{}
	ctrllog.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(log, nil)))

	listener := clusterapi.NewListener()
	plane := apitest.Start(t, func(c *apiserver.Config) { c.LocalServices = listener.Services() })
	quiet := slog.New(slog.DiscardHandler)

	roles, err := rights.New(rights.Config{Client: plane.Client(t, pki.Owner), Logger: quiet})
	must(t, err)
	apitest.Run(t, roles)

	kinds, err := clusterapi.New(clusterapi.Config{
		Owner: plane.Client(t, pki.Owner), Client: plane.Client(t, rights.ClusterAPI), Listener: listener,
		Certificate: plane.Authority.ServiceCertificate(clusterapi.Names()...), Logger: quiet,
	})
	must(t, err)
	apitest.Run(t, kinds)

	scheme := runtime.NewScheme()
	must(t, v1alpha3.AddToScheme(scheme))
	must(t, clusterv1.AddToScheme(scheme))
	must(t, corev1.AddToScheme(scheme))

	admin, err := client.New(plane.Admin, client.Options{Scheme: scheme})
	must(t, err)

	return &api{admin, t, plane, log}
}

// begin runs the controllers until the function that it returns is called.
func (a *api) begin() (stop func()) {
	a.t.Helper()

	slogger := slog.New(slog.NewTextHandler(a.log, nil))
	running, err := apitest.Begin(bootstrap.New(provider.Config{
		Client: a.plane.Client(a.t, rights.TalosBootstrap), Identity: "test",
		Logger: logr.FromSlogHandler(slogger.Handler()), Log: slogger,
	}))
	must(a.t, err)

	stop = sync.OnceFunc(func() { must(a.t, running.Stop()) })
	a.t.Cleanup(stop)

	return stop
}

// cluster makes a Cluster whose infrastructure is ready, or not yet.
func (a *api) cluster(name string, provisioned bool) *clusterv1.Cluster {
	a.t.Helper()

	c := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault}}
	c.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{
		APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "MetalCluster", Name: name,
	}
	c.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "10.0.0.9", Port: 6443}
	c.Spec.ClusterNetwork.Pods.CIDRBlocks = []string{"10.1.0.0/16"}
	must(a.t, a.Create(a.t.Context(), c))

	if provisioned {
		a.provision(c)
	}

	return c
}

func (a *api) provision(c *clusterv1.Cluster) {
	a.t.Helper()

	before := c.DeepCopy()
	c.Status.Initialization.InfrastructureProvisioned = ptr.To(true)
	must(a.t, a.Status().Patch(a.t.Context(), c, client.MergeFrom(before)))
}

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
	must(a.t, a.Create(a.t.Context(), m))

	return m, a.config(m, spec)
}

// config makes the TalosConfig of a Machine.
func (a *api) config(m *clusterv1.Machine, spec v1alpha3.TalosConfigSpec) *v1alpha3.TalosConfig {
	a.t.Helper()

	config := &v1alpha3.TalosConfig{ObjectMeta: metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(m, clusterv1.GroupVersion.WithKind("Machine"))},
	}, Spec: spec}
	must(a.t, a.Create(a.t.Context(), config))

	return config
}

// until waits for an object to be as wanted.
func until[T client.Object](a *api, object T, what string, is func(T) bool) T {
	a.t.Helper()

	err := wait.PollUntilContextTimeout(a.t.Context(), 50*time.Millisecond, happensWithin, true, func(ctx context.Context) (bool, error) {
		if err := a.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return false, client.IgnoreNotFound(err)
		}

		return is(object), nil
	})
	if err != nil {
		a.t.Fatalf("%s %s: it never happened that %s", object.GetName(), err, what)
	}

	return object
}

func (a *api) ready(config *v1alpha3.TalosConfig) *v1alpha3.TalosConfig {
	a.t.Helper()

	return until(a, config, "it is ready", func(c *v1alpha3.TalosConfig) bool { return c.Status.Ready })
}

// reason waits for the reason of the condition of the data.
func (a *api) reason(config *v1alpha3.TalosConfig, reason string) string {
	a.t.Helper()

	var message string

	until(a, config, "the reason is "+reason, func(c *v1alpha3.TalosConfig) bool {
		condition, _ := c.Status.Conditions.Find(v1alpha3.DataSecretAvailableCondition)
		message = condition.Message

		return condition.Reason == reason && !c.Status.Ready
	})

	return message
}

func (a *api) secret(name string) *corev1.Secret {
	a.t.Helper()

	secret := &corev1.Secret{}
	must(a.t, a.Get(a.t.Context(), client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: name}, secret))

	return secret
}

// touch has the controllers look at an object again.
func (a *api) touch(object client.Object) {
	a.t.Helper()

	label := fmt.Sprintf(`{"metadata":{"labels":{"touched":"%d"}}}`, time.Now().UnixNano())
	patch := client.RawPatch(types.MergePatchType, []byte(label))
	must(a.t, a.Patch(a.t.Context(), object, patch))
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
