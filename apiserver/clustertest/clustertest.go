// Package clustertest runs an appliance's API with the kinds of Cluster API, for the tests of what works with these.
package clustertest

import (
	"context"
	"log/slog"
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
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sidero-appliance/sidero-appliance/apiserver"
	bootstrap "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	controlplane "github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	infrastructure "github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	rights "github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
)

const (
	// happensWithin bounds the wait for what controllers do, some of which look again after 20 seconds.
	happensWithin = 30 * time.Second
	looksEvery    = 20 * time.Millisecond
)

// API is an appliance's API with the kinds of Cluster API, to its administrator.
type API struct {
	client.Client

	Plane *apitest.Plane
	// Log holds what Kubernetes's libraries log, and what is written to Logger.
	Log *apitest.Log

	t testing.TB
}

// Start runs the API until the test ends, with the roles of the appliance's components, and no controllers.
func Start(t testing.TB) *API {
	t.Helper()

	log := apitest.CaptureLog()
	ctrllog.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(log, nil)))

	listener := clusterapi.NewListener()
	plane := apitest.Start(t, func(c *apiserver.Config) { c.LocalServices = listener.Services() })
	quiet := slog.New(slog.DiscardHandler)

	roles, err := rights.New(rights.Config{Client: plane.Client(t, pki.Owner), Logger: quiet})
	Must(t, err)
	apitest.Run(t, roles)

	kinds, err := clusterapi.New(clusterapi.Config{
		Owner: plane.Client(t, pki.Owner), Client: plane.Client(t, rights.ClusterAPI), Listener: listener,
		Certificate: plane.Authority.ServiceCertificate(clusterapi.Names()...), Logger: quiet,
	})
	Must(t, err)
	apitest.Run(t, kinds)

	admin, err := client.New(plane.Admin, client.Options{Scheme: scheme(t)})
	Must(t, err)

	return &API{Client: admin, Plane: plane, Log: log, t: t}
}

func scheme(t testing.TB) *runtime.Scheme {
	t.Helper()

	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, metal.AddToScheme, clusterv1.AddToScheme,
		infrastructure.AddToScheme, bootstrap.AddToScheme, controlplane.AddToScheme,
	} {
		Must(t, add(s))
	}

	return s
}

// Logger writes to the log.
func (a *API) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(a.Log, nil)) }

// Begin runs a component until it is stopped, at the latest when the test ends.
func (a *API) Begin(c apitest.Component) *apitest.Running {
	a.t.Helper()

	running, err := apitest.Begin(c)
	a.t.Cleanup(func() {
		if err := running.Stop(); err != nil {
			a.t.Error(err)
		}
	})
	Must(a.t, err)

	return running
}

// Cluster makes a Cluster on metal, whose infrastructure is ready, or not yet.
func (a *API) Cluster(name string, provisioned bool) *clusterv1.Cluster {
	a.t.Helper()

	c := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault}}
	c.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: infrastructure.GroupName, Kind: "MetalCluster", Name: name}
	c.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "10.0.0.9", Port: 6443}
	c.Spec.ClusterNetwork.Pods.CIDRBlocks = []string{"10.1.0.0/16"}
	Must(a.t, a.Create(a.t.Context(), c))

	if provisioned {
		a.Provision(c)
	}

	return c
}

// Provision has the infrastructure of a Cluster be ready.
func (a *API) Provision(c *clusterv1.Cluster) {
	a.t.Helper()

	before := c.DeepCopy()
	c.Status.Initialization.InfrastructureProvisioned = ptr.To(true)
	Must(a.t, a.Status().Patch(a.t.Context(), c, client.MergeFrom(before)))
}

// Pause pauses a Cluster, or ends that.
func (a *API) Pause(c *clusterv1.Cluster, paused bool) {
	a.t.Helper()

	before := c.DeepCopy()
	c.Spec.Paused = ptr.To(paused)
	Must(a.t, a.Patch(a.t.Context(), c, client.MergeFrom(before)))
}

// Until waits for an object to be as wanted, and returns it as it is then.
func Until[T client.Object](a *API, object T, what string, is func(T) bool) T {
	a.t.Helper()

	err := wait.PollUntilContextTimeout(a.t.Context(), looksEvery, happensWithin, true, func(ctx context.Context) (bool, error) {
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

// Goes waits for an object to be gone. Another one may have its name by then.
func (a *API) Goes(object client.Object) {
	a.t.Helper()

	going := object.GetUID()

	err := wait.PollUntilContextTimeout(a.t.Context(), looksEvery, happensWithin, true, func(ctx context.Context) (bool, error) {
		err := a.Get(ctx, client.ObjectKeyFromObject(object), object)

		return apierrors.IsNotFound(err) || err == nil && going != "" && object.GetUID() != going, client.IgnoreNotFound(err)
	})
	if err != nil {
		a.t.Fatalf("%T %s stays: %v", object, object.GetName(), err)
	}
}

// Must fails the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
