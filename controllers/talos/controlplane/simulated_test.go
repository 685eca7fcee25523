package controlplane_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrap "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	infrastructure "github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	rights "github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
	"github.com/sidero-appliance/sidero-appliance/controllers/talos/controlplane"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/talosapi/talostest"
)

const (
	clusterName  = "c"
	preTerminate = clusterv1.PreTerminateDeleteHookAnnotationPrefix + "/talos-control-plane"
)

// lab is an API, a cluster of doubles of Talos nodes, and what stands in for Cluster API and the infrastructure.
type lab struct {
	*clustertest.API

	t       *testing.T
	talos   *talostest.Cluster
	plane   *v1alpha3.TalosControlPlane
	cluster *clusterv1.Cluster
}

// node finds the double of a machine.
func (l *lab) node(name string) *talostest.Node { return l.talos.Node(name) }

func newLab(t *testing.T, replicas int64) *lab {
	t.Helper()

	secrets, err := machineconfig.NewSecrets("v1.13", time.Now())
	clustertest.Must(t, err)

	authority, key := secrets.TalosCA()
	l := &lab{API: clustertest.Start(t), t: t, talos: &talostest.Cluster{Authority: authority, Key: key}}

	host, port := serveKubernetes(t, secrets)
	l.cluster = &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: clusterName, Namespace: metav1.NamespaceDefault}}
	l.cluster.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{
		APIGroup: infrastructure.GroupName, Kind: "MetalCluster", Name: clusterName,
	}
	l.cluster.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: host, Port: port}
	clustertest.Must(t, l.Create(t.Context(), l.cluster))
	l.Provision(l.cluster)
	l.secrets(secrets)

	template := &infrastructure.MetalMachineTemplate{ObjectMeta: metav1.ObjectMeta{Name: "t", Namespace: metav1.NamespaceDefault}}
	template.Spec.Template.Spec.ServerClassRef = &corev1.ObjectReference{Name: "any"}
	clustertest.Must(t, l.Create(t.Context(), template))

	l.plane = &v1alpha3.TalosControlPlane{ObjectMeta: metav1.ObjectMeta{
		Name: "c-cp", Namespace: metav1.NamespaceDefault,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(l.cluster, clusterv1.GroupVersion.WithKind("Cluster"))},
	}, Spec: v1alpha3.TalosControlPlaneSpec{
		Replicas: ptr.To(replicas), Version: "v1.35.2",
		InfrastructureTemplate: corev1.ObjectReference{APIVersion: infrastructure.GroupVersion.String(), Kind: "MetalMachineTemplate", Name: "t"},
		ControlPlaneConfig:     v1alpha3.ControlPlaneConfig{ControlPlane: bootstrap.TalosConfigSpec{GenerateType: bootstrap.GenerateControlPlane}},
	}}
	clustertest.Must(t, l.Create(t.Context(), l.plane))

	go l.simulate(t.Context())

	return l
}

// secrets are what the bootstrap provider makes.
func (l *lab) secrets(s *machineconfig.Secrets) {
	l.t.Helper()

	data, err := s.Data()
	clustertest.Must(l.t, err)

	certificate, key := s.KubernetesCA()
	for name, data := range map[string]map[string][]byte{
		"c-talos": data, "c-ca": {corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key},
	} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: metav1.NamespaceDefault, Labels: map[string]string{clusterv1.ClusterNameLabel: clusterName},
		}, Data: data}
		clustertest.Must(l.t, l.Create(l.t.Context(), secret))
	}
}

// begin runs the controller with the rights that it has in the appliance.
func (l *lab) begin() *apitest.Running {
	l.t.Helper()

	return l.Begin(controlplane.New(provider.Config{
		Client: l.Plane.Client(l.t, rights.TalosControlPlane), Identity: "test",
		Logger: logr.FromSlogHandler(l.Logger().Handler()), Log: l.Logger(),
	}))
}

// simulate gives each Machine a node and its address, and lets those go that are deleted and not held.
func (l *lab) simulate(ctx context.Context) {
	//nolint:errcheck // it ends with the test
	_ = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		machines := &clusterv1.MachineList{}
		if err := l.List(ctx, machines); err != nil {
			return false, nil
		}

		for i := range machines.Items {
			if err := l.step(ctx, &machines.Items[i]); err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
				l.t.Logf("simulate %s: %v", machines.Items[i].Name, err)
			}
		}

		return false, nil
	})
}

func (l *lab) step(ctx context.Context, m *clusterv1.Machine) error {
	before := m.DeepCopy()

	if _, held := m.Annotations[preTerminate]; m.DeletionTimestamp != nil {
		if held {
			return nil
		}

		l.node(m.Name).SwitchOff()
		m.Finalizers = nil

		return l.Patch(ctx, m, client.MergeFrom(before))
	}

	if len(m.Status.Addresses) > 0 {
		return nil
	}

	node := l.talos.Start(l.t, m.Name)
	m.Status.Addresses = clusterv1.MachineAddresses{{Type: clusterv1.MachineInternalIP, Address: node.Address}}

	return l.Status().Patch(ctx, m, client.MergeFrom(before))
}

// until waits for the control plane to be as wanted.
func (l *lab) until(what string, is func(*v1alpha3.TalosControlPlane) bool) {
	l.t.Helper()
	l.plane = clustertest.Until(l.API, l.plane, what, is)
}

// change changes the control plane.
func (l *lab) change(how func(*v1alpha3.TalosControlPlaneSpec)) {
	l.t.Helper()

	before := l.plane.DeepCopy()
	how(&l.plane.Spec)
	clustertest.Must(l.t, l.Patch(l.t.Context(), l.plane, client.MergeFrom(before)))
}

func (l *lab) machines() []clusterv1.Machine {
	l.t.Helper()

	machines := &clusterv1.MachineList{}
	clustertest.Must(l.t, l.List(l.t.Context(), machines))

	return machines.Items
}

// serveKubernetes answers for the cluster's API.
func serveKubernetes(t *testing.T, secrets *machineconfig.Secrets) (host string, port int32) {
	t.Helper()

	authority, err := tls.X509KeyPair(secrets.KubernetesCA())
	clustertest.Must(t, err)

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	clustertest.Must(t, err)

	certificate, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kube-apiserver"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority.Leaf, key.Public(), authority.PrivateKey)
	clustertest.Must(t, err)

	trusted := x509.NewCertPool()
	trusted.AddCert(authority.Leaf)

	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted,
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
	})
	clustertest.Must(t, err)

	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }),
		ReadHeaderTimeout: time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}
	go server.Serve(listener) //nolint:errcheck // it ends with the test
	t.Cleanup(func() { clustertest.Must(t, server.Close()) })

	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP")
	}

	return "127.0.0.1", int32(address.Port) //nolint:gosec // a port
}
