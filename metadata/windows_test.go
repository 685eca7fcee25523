package metadata_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/metadata"
)

// TestWindows: how a window was opened is written once for each opening, with the rights that the component has, also what happened
// while it did not run.
func TestWindows(t *testing.T) {
	api := clustertest.Start(t)
	objects := runCache(t, api)

	live, err := client.New(api.Plane.Client(t, bootstrap.Metadata), client.Options{Scheme: api.Scheme(), Mapper: api.RESTMapper()})
	clustertest.Must(t, err)

	log := &bytes.Buffer{}
	windows := func() *metadata.Windows {
		return &metadata.Windows{Cache: objects, Client: live, Log: slog.New(slog.NewTextHandler(log, nil))}
	}

	if windows().Ready(t.Context()) == nil {
		t.Error("ready before it runs")
	}

	running, err := apitest.Begin(windows())
	clustertest.Must(t, err)

	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "box"}}
	clustertest.Must(t, api.Create(t.Context(), server))

	binding := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: "box"}}
	binding.Spec.MetalMachineRef.Name = "m"
	clustertest.Must(t, api.Create(t.Context(), binding))

	ask(t, api, server, "first")
	opened(api, binding, v1alpha3.BootWindow{Generation: 1, OpenedBy: v1alpha3.OpenedByPerson, Request: "first"})

	binding.Status.ConfigurationLoadedAt = ptr.To(metav1.NowMicro())
	clustertest.Must(t, api.Status().Update(t.Context(), binding))
	ask(t, api, server, "second")
	opened(api, binding, v1alpha3.BootWindow{Generation: 2, OpenedBy: v1alpha3.OpenedByPerson, Request: "second"})

	clustertest.Must(t, running.Stop())

	binding.Status.ConfigurationLoadedAt = ptr.To(metav1.NowMicro())
	clustertest.Must(t, api.Status().Update(t.Context(), binding))

	server.Status.StartedAt = ptr.To(metav1.NowMicro())
	clustertest.Must(t, api.Status().Update(t.Context(), server))

	running, err = apitest.Begin(windows())
	clustertest.Must(t, err)
	opened(api, binding, v1alpha3.BootWindow{Generation: 3, OpenedBy: v1alpha3.OpenedByPower, Request: "second"})

	if at := binding.Status.BootWindow.OpenedAt; !at.Equal(server.Status.StartedAt) {
		t.Errorf("opened at %s, want %s", at, server.Status.StartedAt)
	}

	clustertest.Must(t, api.Delete(t.Context(), binding))
	clustertest.Must(t, running.Stop())

	if strings.Contains(log.String(), "not written") {
		t.Error(log)
	}
}

func runCache(t *testing.T, api *clustertest.API) cache.Cache {
	t.Helper()

	objects, err := cache.New(api.Plane.Client(t, bootstrap.Controllers), cache.Options{Scheme: api.Scheme(), Mapper: api.RESTMapper()})
	clustertest.Must(t, err)
	apitest.Run(t, cached{objects})

	return objects
}

// ask is what "sidero-appliance boot-window" does.
func ask(t *testing.T, api *clustertest.API, server *metal.Server, request string) {
	t.Helper()

	before := server.DeepCopy()
	server.Annotations = map[string]string{metal.BootWindowAnnotation: request}
	clustertest.Must(t, api.Patch(t.Context(), server, client.MergeFrom(before)))
}

func opened(api *clustertest.API, binding *v1alpha3.ServerBinding, want v1alpha3.BootWindow) {
	clustertest.Until(api, binding, "its window is written", func(b *v1alpha3.ServerBinding) bool {
		got := b.Status.BootWindow

		return got != nil && got.Generation == want.Generation && got.OpenedBy == want.OpenedBy && got.Request == want.Request && !got.OpenedAt.IsZero()
	})
}

// cached is a cache as a component.
type cached struct{ cache.Cache }

func (cached) Name() string                    { return "cache" }
func (c cached) Run(ctx context.Context) error { return c.Start(ctx) }
func (cached) Ready(context.Context) error     { return nil }
