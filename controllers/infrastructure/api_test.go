package infrastructure_test

import (
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	rights "github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
)

// api is an appliance's API, in which the objects of a test are of one Cluster.
type api struct {
	*clustertest.API

	t       *testing.T
	cluster *clusterv1.Cluster
}

func start(t *testing.T) *api {
	t.Helper()

	return &api{API: clustertest.Start(t), t: t}
}

// begin runs the controllers with the rights that they have in the appliance.
func (a *api) begin() *apitest.Running {
	a.t.Helper()

	return a.Begin(infrastructure.New(provider.Config{
		Client: a.Plane.Client(a.t, rights.Infrastructure), Identity: "test", Logger: logr.FromSlogHandler(a.Logger().Handler()), Log: a.Logger(),
	}))
}

// working is an API whose controllers run, with a Cluster and the class of all servers.
func working(t *testing.T) *api {
	t.Helper()

	a := start(t)
	a.begin()
	a.provisioned()
	a.class()

	return a
}

// provisioned makes the Cluster, whose infrastructure is there.
func (a *api) provisioned() {
	a.t.Helper()
	a.cluster = a.Cluster("c", true)
}

// metalCluster makes the MetalCluster of the Cluster.
func (a *api) metalCluster() *v1alpha3.MetalCluster {
	a.t.Helper()

	c := &v1alpha3.MetalCluster{ObjectMeta: metav1.ObjectMeta{
		Name: a.cluster.Name, Namespace: a.cluster.Namespace,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(a.cluster, clusterv1.GroupVersion.WithKind("Cluster"))},
	}}
	clustertest.Must(a.t, a.Create(a.t.Context(), c))

	return c
}

// machine makes a Machine that has its machine configuration.
func (a *api) machine(name string) *clusterv1.Machine {
	a.t.Helper()

	m := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: metav1.NamespaceDefault, Labels: map[string]string{clusterv1.ClusterNameLabel: "c"},
	}}
	m.Spec.ClusterName, m.Spec.Bootstrap.DataSecretName = "c", ptr.To(name+"-bootstrap-data")
	m.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: v1alpha3.GroupName, Kind: "MetalMachine", Name: name}
	clustertest.Must(a.t, a.Create(a.t.Context(), m))

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
	clustertest.Must(a.t, a.Create(a.t.Context(), m))

	return m
}

// server makes a clean Server.
func (a *api) server(name string) *metal.Server {
	a.t.Helper()

	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{Accepted: true}}
	clustertest.Must(a.t, a.Create(a.t.Context(), s))

	before := s.DeepCopy()
	s.Status.IsClean = true
	s.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.7"}}
	clustertest.Must(a.t, a.Status().Patch(a.t.Context(), s, client.MergeFrom(before)))

	return s
}

// controlled makes a clean Server whose power can be controlled.
func (a *api) controlled(name string) *metal.Server {
	a.t.Helper()

	s := a.server(name)
	before := s.DeepCopy()
	s.Spec.ManagementAPI = &metal.ManagementAPI{Endpoint: "127.0.0.1:1"}
	clustertest.Must(a.t, a.Patch(a.t.Context(), s, client.MergeFrom(before)))

	return s
}

func (a *api) class() {
	a.t.Helper()
	clustertest.Must(a.t, a.Create(a.t.Context(), &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "all"}}))
}

func (a *api) bindings() []v1alpha3.ServerBinding {
	a.t.Helper()

	all := &v1alpha3.ServerBindingList{}
	clustertest.Must(a.t, a.List(a.t.Context(), all))

	return all.Items
}
