package controllers_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/controllers"
)

func newControllers(t *testing.T, plane *apitest.Plane) *controllers.Controllers {
	t.Helper()

	rights, err := bootstrap.New(bootstrap.Config{Client: plane.Admin, Logger: slog.New(slog.NewTextHandler(libraries, nil))})
	must(t, err)
	apitest.Run(t, rights)

	c, err := controllers.New(controllers.Config{
		Client: plane.Client(t, bootstrap.Controllers), Environments: noReleases(t), Identity: "here",
		Logger: funcr.New(func(_, text string) { libraries.Write([]byte(text + "\n")) }, funcr.Options{}),
	})
	must(t, err)

	return c
}

// TestSiderosManagerWorks: while Sidero's manager holds its Lease the controllers wait, and their cache is filled.
func TestSiderosManagerWorks(t *testing.T) {
	plane := apitest.Start(t)
	c := newControllers(t, plane)
	admin := newClient(t, plane)

	api, err := kubernetes.NewForConfig(plane.Admin)
	must(t, err)

	leases := api.CoordinationV1().Leases("sidero-system")
	held, err := leases.Create(t.Context(), &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: "controller-leader-election-sidero-controller-manager"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: new("sidero-controller-manager-0"), LeaseDurationSeconds: new(int32(3600)),
			AcquireTime: new(metav1.NowMicro()), RenewTime: new(metav1.NowMicro()),
		},
	}, metav1.CreateOptions{})
	must(t, err)

	apitest.Run(t, c) // until it is ready

	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(class()), class()); !apierrors.IsNotFound(err) {
		t.Errorf("the controllers work beside Sidero's: %v", err)
	}

	held.Spec.HolderIdentity = new("")
	_, err = leases.Update(t.Context(), held, metav1.UpdateOptions{})
	must(t, err)

	// It looks every ten seconds.
	must(t, wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := admin.Get(ctx, client.ObjectKeyFromObject(class()), class())

		return err == nil, client.IgnoreNotFound(err)
	}))
	eventually(t, "ready", func(ctx context.Context) (bool, error) { return c.Ready(ctx) == nil, nil })
}

// TestWorkAgain: controllers whose Lease was lost work again when they have it again, on the same cache.
func TestWorkAgain(t *testing.T) {
	plane := apitest.Start(t)
	c := newControllers(t, plane)
	admin := newClient(t, plane)
	caching, stop := context.WithCancel(t.Context())
	cached := make(chan error, 1)

	go func() { cached <- c.Cache().Start(caching) }()

	for range 2 {
		working, end := context.WithCancel(t.Context())
		ended := make(chan error, 1)

		go func() { ended <- c.Work(working) }()

		eventually(t, "the controllers work", func(ctx context.Context) (bool, error) {
			err := admin.Get(ctx, client.ObjectKeyFromObject(class()), class())

			return err == nil, client.IgnoreNotFound(err)
		})
		end()
		must(t, <-ended)
		must(t, admin.Delete(t.Context(), class()))
	}

	stop()
	must(t, <-cached)
}
