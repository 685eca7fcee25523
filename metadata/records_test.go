package metadata_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/metadata"
)

// TestRecords writes and reads with the rights that the appliance has for it.
func TestRecords(t *testing.T) {
	api := clustertest.Start(t)

	live, err := client.New(api.Plane.Client(t, bootstrap.Metadata), client.Options{Scheme: api.Scheme(), Mapper: api.RESTMapper()})
	clustertest.Must(t, err)

	own := metadata.Records{Client: live, Namespace: bootstrap.Namespace}
	read := metadata.Records{Client: api, Namespace: bootstrap.Namespace}

	t.Run("where nodes report to", func(t *testing.T) { testAnnouncement(t, own, read) })
	t.Run("what was fetched", func(t *testing.T) { testFetched(t, api, own, read) })
}

func testAnnouncement(t *testing.T, own, read metadata.Records) {
	if _, err := read.Link(t.Context()); !errors.Is(err, metadata.ErrNoLink) {
		t.Errorf("before it is written: %v", err)
	}

	for _, want := range []metadata.Link{wholeLink(), {API: "grpc://192.0.2.2:8081"}} { // the second start is at another address
		tries := 0
		announcement := &metadata.Announcement{Records: own, Log: slog.New(slog.DiscardHandler), Link: func() (metadata.Link, error) {
			if tries++; tries == 1 {
				return metadata.Link{}, errors.New("not known yet")
			}

			return want, nil
		}}

		if announcement.Ready(t.Context()) == nil {
			t.Error("ready before it runs")
		}

		running, err := apitest.Begin(announcement)
		clustertest.Must(t, err)

		if got, err := read.Link(t.Context()); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}

		clustertest.Must(t, running.Stop())
	}
}

func testFetched(t *testing.T, api *clustertest.API, own, read metadata.Records) {
	binding := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: "box"}}
	binding.Spec.MetalMachineRef.Name = "m"
	clustertest.Must(t, api.Create(t.Context(), binding))

	if _, err := read.Fetched(t.Context(), binding); !errors.Is(err, metadata.ErrNotFetched) {
		t.Errorf("before it is written: %v", err)
	}

	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		configuration string
		at, want      time.Duration
	}{{"a: 1\n", 0, 0}, {"a: 1\n", 1, 0}, {"a: 2\n", 2, 2}, {"a: 1\n", 3, 3}} {
		clustertest.Must(t, own.WriteFetched(t.Context(), binding, metadata.Fetched{
			Configuration: []byte(step.configuration), At: noon.Add(step.at * time.Hour),
		}))

		got, err := read.Fetched(t.Context(), binding)
		if err != nil || string(got.Configuration) != step.configuration || !got.At.Equal(noon.Add(step.want*time.Hour)) {
			t.Errorf("%+v: %+v, %v", step, got, err)
		}
	}

	secrets := &corev1.SecretList{}
	clustertest.Must(t, api.List(t.Context(), secrets, client.InNamespace(bootstrap.Namespace)))

	found := 0

	for _, secret := range secrets.Items {
		if len(secret.OwnerReferences) == 1 && secret.OwnerReferences[0].UID == binding.UID {
			found++
		}
	}

	if found != 1 {
		t.Errorf("%d Secrets go with the binding, want 1", found)
	}

	again := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: "box", UID: "another"}}
	if _, err := read.Fetched(t.Context(), again); !errors.Is(err, metadata.ErrNotFetched) {
		t.Errorf("of another allocation: %v", err)
	}
}
