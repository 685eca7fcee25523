package kube_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/controllers/kube"
)

// happensWithin is what a person would call at once.
const happensWithin = 10 * time.Second

var libraries *apitest.Log

func TestMain(m *testing.M) {
	libraries = apitest.CaptureLog()
	m.Run()
}

func TestControllers(t *testing.T) {
	plane := apitest.Start(t)

	controllers, err := kube.New(plane.Client(t, pki.Owner))
	must(t, err)

	mark := libraries.Mark()
	apitest.Run(t, controllers)

	c := newClient(t, plane)

	for name, test := range map[string]func(*testing.T, client.Client){
		"a secret goes with the server that owns it": testOwner,
		"a namespace goes with what is in it":        testNamespace,
		"a namespace gets its service account":       testServiceAccount,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}

	for _, line := range libraries.Errors(mark) {
		t.Error(line)
	}
}

// TestStopsWhileItStarts stops the controllers before they know what is there.
func TestStopsWhileItStarts(t *testing.T) {
	plane := apitest.Start(t)

	for _, ready := range []bool{false, true} {
		controllers, err := kube.New(plane.Client(t, pki.Owner))
		must(t, err)

		mark := libraries.Mark()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)

		go func() { ended <- controllers.Run(ctx) }()

		if ready {
			must(t, wait.PollUntilContextTimeout(t.Context(), time.Millisecond, happensWithin, true, func(ctx context.Context) (bool, error) {
				return controllers.Ready(ctx) == nil, nil
			}))
		}

		stop()
		must(t, <-ended)

		for _, line := range libraries.Errors(mark) {
			t.Errorf("ready %v: %s", ready, line)
		}
	}
}

func newClient(t *testing.T, plane *apitest.Plane) client.Client {
	t.Helper()

	scheme := runtime.NewScheme()
	must(t, clientgoscheme.AddToScheme(scheme))
	must(t, v1alpha2.AddToScheme(scheme))

	c, err := client.New(plane.Admin, client.Options{Scheme: scheme})
	must(t, err)

	return c
}

func testOwner(t *testing.T, c client.Client) {
	owner := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "owner"}}
	must(t, c.Create(t.Context(), owner))

	reference := *metav1.NewControllerRef(owner, v1alpha2.GroupVersion.WithKind("Server"))
	owned, orphan := secret("owned"), secret("orphan")
	owned.OwnerReferences = []metav1.OwnerReference{reference}
	reference.UID = "of-a-server-that-was-never-there"
	orphan.OwnerReferences = []metav1.OwnerReference{reference}

	for _, s := range []*corev1.Secret{owned, orphan, secret("free")} {
		must(t, c.Create(t.Context(), s))
	}

	gone(t, c, orphan)
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(owned), owned))
	must(t, c.Delete(t.Context(), owner))
	gone(t, c, owned)
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(secret("free")), &corev1.Secret{}))
}

func secret(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault}}
}

func testNamespace(t *testing.T, c client.Client) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "short-lived"}}
	must(t, c.Create(t.Context(), namespace))

	var last client.Object

	for i := range 20 {
		name := metav1.ObjectMeta{Name: fmt.Sprint("object-", i), Namespace: namespace.Name}
		last = &corev1.ConfigMap{ObjectMeta: name}
		must(t, c.Create(t.Context(), last))
		must(t, c.Create(t.Context(), &corev1.Secret{ObjectMeta: name}))
	}

	must(t, c.Delete(t.Context(), namespace))
	gone(t, c, namespace)
	gone(t, c, last)

	again := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace.Name}}
	must(t, c.Create(t.Context(), again))
}

func testServiceAccount(t *testing.T, c client.Client) {
	must(t, c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "with-account"}}))

	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "with-account"}}
	eventually(t, "find the service account", func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(account), account)

		return err == nil, client.IgnoreNotFound(err)
	})
}

func gone(t *testing.T, c client.Client, object client.Object) {
	t.Helper()

	eventually(t, object.GetName()+" is gone", func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(object), object)

		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

func eventually(t *testing.T, what string, holds wait.ConditionWithContextFunc) {
	t.Helper()

	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, happensWithin, true, holds); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
