package apiserver_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
)

// happensWithin bounds the wait for what happens by itself.
const happensWithin = 30 * time.Second

// api is the control plane that most tests share, with its administrator's clients.
type api struct {
	*apitest.Plane

	client  client.WithWatch
	kubectl apitest.Kubectl
}

// TestServer runs on one control plane what needs one but does not stop it. Each part uses objects of its own.
func TestServer(t *testing.T) {
	a := newAPI(t)

	for name, test := range map[string]func(*testing.T, api){
		"access/anonymous is refused":              testAnonymous,
		"access/powerless account is refused":      testPowerlessAccount,
		"access/components have their rights only": testComponentRights,
		"objects/verbs":                            testVerbs,
		"objects/watch":                            testWatch,
		"objects/delete collection":                testDeleteCollection,
		"objects/delete by a metadata client":      testMetadataClient,
		"objects/finalizer holds deletion":         testFinalizer,
		"objects/field selectors":                  testFieldSelectors,
		"objects/oversize is refused":              testOversize,
		"apply/conflict and force":                 testApplyConflict,
		"apply/numbers out of range":               testApplyNumbers,
		"apply/operation without a value":          testApplyWithoutValue,
		"apply/status owns no metadata":            testApplyStatus,
		"apply/largest values survive":             testLargestValues,
		"status/is separate from spec":             testStatusIsSeparate,
		"status/of other kinds":                    testStatusOfClass,
		"generation and resourceVersion":           testGeneration,
		"validation/of values":                     testValidation,
		"validation/of fields":                     testFieldValidation,
		"validation/refused patches":               testRefusedPatches,
		"validation/lenience":                      testLenience,
		"versions/what each shows":                 testVersionsShow,
		"versions/writes lose nothing":             testVersionsLoseNothing,
		"versions/apply through both":              testVersionsApply,
		"versions/watch in both":                   testVersionsWatch,
		"versions/of clusters and machines":        testInfrastructureVersions,
		"openapi":                                  testOpenAPI,
		"versions/one manager in both":             testOwnersJoin,
		"templates are compared by meaning":        testPatchesAreCompared,
		"templates cannot be changed":              testTemplatesStay,
		"kubectl/columns":                          testColumns,
		"kubectl/explain":                          testExplain,
		"kubectl/api-resources":                    testResources,
		"kubectl/apply, diff, edit":                testKubectlApply,
		"kubectl/watch and wait":                   testKubectlWatch,
		"kubectl/upstream's manifests":             testUpstreamManifests,
		"custom resources/of another group":        testCustomResource,
		"custom resources/in a native group":       testCustomResourceInNativeGroup,
		"serving certificate is reloaded":          testCertificateReload,
	} {
		t.Run(name, func(t *testing.T) { test(t, a) })
	}

	if libraries.Since(0, "Serving securely") == nil {
		t.Error("the log is not captured")
	}

	if lines := libraries.Since(0, "SHOULD NOT HAPPEN", "panic"); lines != nil {
		t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
	}
}

func newAPI(t *testing.T) api {
	t.Helper()

	return startAPI(t, t.TempDir())
}

// startAPI runs a control plane on a data directory until the test ends, with what the appliance always puts into it.
func startAPI(t *testing.T, dir string) api {
	t.Helper()

	plane := apitest.StartIn(t, dir)

	b, err := bootstrap.New(bootstrap.Config{Client: plane.Admin, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	apitest.Run(t, b)

	return api{Plane: plane, client: newClient(t, plane), kubectl: plane.Kubectl(t)}
}

func newClient(t *testing.T, plane *apitest.Plane) client.WithWatch {
	t.Helper()

	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha2.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}

	c, err := client.NewWithWatch(plane.Admin, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}

	return c
}

// server is one that fits nothing else, to be created.
func server(name string) *v1alpha2.Server {
	return &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// create creates objects for the time of the test.
func (a api) create(t *testing.T, objects ...client.Object) {
	t.Helper()

	for _, object := range objects {
		must(t, a.client.Create(t.Context(), object))
		a.deleteLater(t, object)
	}
}

// deleteLater deletes objects when the test ends, if they are still there.
func (a api) deleteLater(t *testing.T, objects ...client.Object) {
	t.Helper()

	t.Cleanup(func() {
		for _, object := range objects {
			if err := a.client.Delete(context.Background(), object); client.IgnoreNotFound(err) != nil {
				t.Error(err)
			}
		}
	})
}

// reload reads an object again.
func (a api) reload(t *testing.T, object client.Object) {
	t.Helper()

	if err := a.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func(ctx context.Context) (bool, error)) {
	t.Helper()

	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, happensWithin, true, holds); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// must is for steps that only prepare a test.
func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
