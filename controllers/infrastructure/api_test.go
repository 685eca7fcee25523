package infrastructure_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	rights "github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
)

// happensWithin bounds the wait for what the controllers do, which look again after 20 seconds in some cases.
const happensWithin = 30 * time.Second

var libraries *apitest.Log

func TestMain(m *testing.M) {
	libraries = apitest.CaptureLog()
	os.Exit(m.Run())
}

// api is an appliance's API with the kinds of Cluster API.
type api struct {
	client.Client

	t       *testing.T
	plane   *apitest.Plane
	cluster *clusterv1.Cluster
}

func start(t *testing.T) *api {
	t.Helper()

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
	must(t, metal.AddToScheme(scheme))
	must(t, clusterv1.AddToScheme(scheme))
	must(t, corev1.AddToScheme(scheme))

	admin, err := client.New(plane.Admin, client.Options{Scheme: scheme})
	must(t, err)

	return &api{Client: admin, t: t, plane: plane}
}

// begin runs the controllers with the rights that they have in the appliance.
func (a *api) begin() *apitest.Running {
	a.t.Helper()

	handler := slog.NewTextHandler(libraries, nil)
	running, err := apitest.Begin(infrastructure.New(provider.Config{
		Client: a.plane.Client(a.t, rights.Infrastructure), Identity: "test", Logger: logr.FromSlogHandler(handler), Log: slog.New(handler),
	}))
	must(a.t, err)

	return running
}

// provisioned makes the Cluster, whose infrastructure is there.
func (a *api) provisioned() {
	a.t.Helper()

	a.cluster = &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: metav1.NamespaceDefault}}
	a.cluster.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: v1alpha3.GroupName, Kind: "MetalCluster", Name: "c"}
	must(a.t, a.Create(a.t.Context(), a.cluster))

	before := a.cluster.DeepCopy()
	a.cluster.Status.Initialization.InfrastructureProvisioned = ptr.To(true)
	must(a.t, a.Status().Patch(a.t.Context(), a.cluster, client.MergeFrom(before)))
}

// pause pauses the Cluster, or ends that.
func (a *api) pause(paused bool) {
	a.t.Helper()

	before := a.cluster.DeepCopy()
	a.cluster.Spec.Paused = ptr.To(paused)
	must(a.t, a.Patch(a.t.Context(), a.cluster, client.MergeFrom(before)))
}

// machine makes a Machine that has its machine configuration.
func (a *api) machine(name string) *clusterv1.Machine {
	a.t.Helper()

	m := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: metav1.NamespaceDefault, Labels: map[string]string{clusterv1.ClusterNameLabel: "c"},
	}}
	m.Spec.ClusterName, m.Spec.Bootstrap.DataSecretName = "c", ptr.To(name+"-bootstrap-data")
	m.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: v1alpha3.GroupName, Kind: "MetalMachine", Name: name}
	must(a.t, a.Create(a.t.Context(), m))

	return m
}

// metalMachine makes the MetalMachine of a Machine, from the class of all servers.
func (a *api) metalMachine(owner *clusterv1.Machine) *v1alpha3.MetalMachine {
	a.t.Helper()

	m := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{
		Name: owner.Name, Namespace: owner.Namespace, Labels: map[string]string{clusterv1.ClusterNameLabel: "c", "kept": "yes"},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, clusterv1.GroupVersion.WithKind("Machine"))},
	}}
	m.Spec.ServerClassRef = &corev1.ObjectReference{Kind: "ServerClass", Name: "all", Namespace: "default"}
	must(a.t, a.Create(a.t.Context(), m))

	return m
}

// server makes a clean Server.
func (a *api) server(name string) *metal.Server {
	a.t.Helper()

	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{Accepted: true}}
	must(a.t, a.Create(a.t.Context(), s))

	before := s.DeepCopy()
	s.Status.IsClean = true
	s.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.7"}}
	must(a.t, a.Status().Patch(a.t.Context(), s, client.MergeFrom(before)))

	return s
}

func (a *api) class() {
	a.t.Helper()
	must(a.t, a.Create(a.t.Context(), &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "all"}}))
}

func (a *api) bindings() []v1alpha3.ServerBinding {
	a.t.Helper()

	all := &v1alpha3.ServerBindingList{}
	must(a.t, a.List(a.t.Context(), all))

	return all.Items
}

// until waits for an object to be as wanted.
func until[T client.Object](a *api, object T, what string, is func(T) bool) T {
	a.t.Helper()

	err := wait.PollUntilContextTimeout(a.t.Context(), 20*time.Millisecond, happensWithin, true, func(ctx context.Context) (bool, error) {
		if err := a.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return false, client.IgnoreNotFound(err)
		}

		return is(object), nil
	})
	if err != nil {
		a.t.Fatalf("%T %s: it never happened that %s: %v\n%+v", object, object.GetName(), what, err, object)
	}

	return object
}

// goes waits for an object to be gone.
func (a *api) goes(object client.Object) {
	a.t.Helper()

	err := wait.PollUntilContextTimeout(a.t.Context(), 20*time.Millisecond, happensWithin, true, func(ctx context.Context) (bool, error) {
		err := a.Get(ctx, client.ObjectKeyFromObject(object), object)

		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		a.t.Fatalf("%T %s stays: %v", object, object.GetName(), err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
