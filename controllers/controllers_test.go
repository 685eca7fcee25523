package controllers_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/offline"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
	"github.com/sidero-appliance/sidero-appliance/controllers"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/environment"
)

const happensWithin = 10 * time.Second

var libraries *apitest.Log

func TestMain(m *testing.M) {
	libraries = apitest.CaptureLog()
	m.Run()
}

// TestDefaultObjects runs the controllers with the rights that they have in the appliance.
func TestDefaultObjects(t *testing.T) {
	plane := apitest.Start(t)

	rights, err := bootstrap.New(bootstrap.Config{Client: plane.Admin, Logger: slog.New(slog.NewTextHandler(libraries, nil))})
	must(t, err)
	apitest.Run(t, rights)

	c, err := controllers.New(controllers.Config{
		Client:       plane.Client(t, bootstrap.Controllers),
		Environments: noReleases(t),
		Logger:       funcr.New(func(_, text string) { libraries.Write([]byte(text + "\n")) }, funcr.Options{}),
	})
	must(t, err)

	if c.Ready(t.Context()) == nil {
		t.Error("ready before it runs")
	}

	apitest.Run(t, c)

	admin := newClient(t, plane)

	for _, test := range []struct { // in this order: the third edits what the first looks at
		name string
		run  func(*testing.T, client.Client)
	}{
		{"the environment is upstream's", testEnvironment},
		{"what was deleted comes back", testDeletion},
		{"the environment keeps what is said", testEdits},
		{"the class takes all servers", testAny},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, admin) })
	}

	cached := &v1alpha2.ServerList{}
	must(t, admin.Create(t.Context(), &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "cached"}}))
	eventually(t, "find the server in the cache", func(ctx context.Context) (bool, error) {
		return len(cached.Items) == 1, c.Cache().List(ctx, cached)
	})

	for _, line := range libraries.Since(0, "forbidden", "Forbidden", `"error"`, "level=WARN", "level=ERROR") {
		t.Error(line)
	}
}

// noReleases are Environments without a way to the internet.
func noReleases(t testing.TB) environment.Config {
	t.Helper()

	kept, err := store.Open(t.TempDir())
	must(t, err)

	folder, err := offline.Open(t.TempDir())
	must(t, err)

	return environment.Config{
		TalosReleases: "http://releases.test/",
		Downloads: download.Config{
			Store: kept, Offline: folder, Transport: nowhere{}, Log: slog.New(slog.DiscardHandler),
		},
	}
}

// nowhere is a network that nobody answers in.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) { return nil, syscall.EHOSTUNREACH }

func newClient(t *testing.T, plane *apitest.Plane) client.Client {
	t.Helper()

	scheme := runtime.NewScheme()
	must(t, v1alpha2.AddToScheme(scheme))

	c, err := client.New(plane.Admin, client.Options{Scheme: scheme})
	must(t, err)

	return c
}

func defaultEnvironment() *v1alpha2.Environment {
	return &v1alpha2.Environment{ObjectMeta: metav1.ObjectMeta{Name: v1alpha2.EnvironmentDefault}}
}

func class() *v1alpha2.ServerClass {
	return &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: v1alpha2.ServerClassAny}}
}

func testEnvironment(t *testing.T, c client.Client) {
	e := defaultEnvironment()
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(e), e))

	for _, asset := range []struct{ url, file string }{
		{e.Spec.Kernel.URL, "/vmlinuz-amd64"}, {e.Spec.Initrd.URL, "/initramfs-amd64.xz"},
	} {
		if !strings.HasPrefix(asset.url, "http://releases.test/v1.") || !strings.HasSuffix(asset.url, asset.file) {
			t.Errorf("URL is %s", asset.url)
		}
	}

	if args := e.Spec.Kernel.Args; !slices.IsSorted(args) || !slices.Contains(args, "talos.platform=metal") || !slices.Contains(args, "initrd=initramfs.xz") {
		t.Errorf("arguments are %v", args)
	}
}

func testDeletion(t *testing.T, c client.Client) {
	for _, object := range []client.Object{defaultEnvironment(), class()} {
		must(t, c.Get(t.Context(), client.ObjectKeyFromObject(object), object))

		deleted := object.GetUID()
		must(t, c.Delete(t.Context(), object))

		eventually(t, object.GetName()+" comes back", func(ctx context.Context) (bool, error) {
			err := c.Get(ctx, client.ObjectKeyFromObject(object), object)

			return err == nil && object.GetUID() != deleted, client.IgnoreNotFound(err)
		})
	}
}

// testEdits changes the environment, and then the class, whose controller does react: by then the other's would have.
func testEdits(t *testing.T, c client.Client) {
	e := defaultEnvironment()
	must(t, c.Patch(t.Context(), e, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"kernel":{"url":"http://mine/vmlinuz","args":["mine"]}}}`))))
	generation := e.Generation

	testAny(t, c)
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(e), e))

	if e.Spec.Kernel.URL != "http://mine/vmlinuz" || !slices.Equal(e.Spec.Kernel.Args, []string{"mine"}) || e.Generation != generation {
		t.Errorf("changed to %+v", e.Spec.Kernel)
	}
}

func testAny(t *testing.T, c client.Client) {
	taker := class()

	must(t, c.Patch(t.Context(), taker, client.RawPatch(types.MergePatchType, []byte(`{"spec":{
		"qualifiers":{"hardware":[{"system":{"manufacturer":"ACME"}}],"labelSelectors":[{"a":"b"}]},
		"selector":{"matchLabels":{"rack":"r1"}}, "environmentRef":{"name":"mine"}, "strategicPatches":["machine: {}"]}}`))))

	eventually(t, "empty the qualifiers", func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(taker), taker)

		return taker.Spec.Qualifiers.Hardware == nil && taker.Spec.Qualifiers.LabelSelectors == nil, err
	})

	if taker.Spec.Selector.MatchLabels["rack"] != "r1" || taker.Spec.EnvironmentRef.Name != "mine" || len(taker.Spec.StrategicPatches) != 1 {
		t.Errorf("other fields changed: %+v", taker.Spec)
	}
}

func eventually(t testing.TB, what string, holds wait.ConditionWithContextFunc) {
	t.Helper()

	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, happensWithin, true, holds); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
