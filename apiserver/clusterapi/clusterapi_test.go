package clusterapi_test

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clusterv1beta1 "sigs.k8s.io/cluster-api/api/core/v1beta1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sidero-appliance/sidero-appliance/apiserver"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
)

func TestMain(m *testing.M) {
	apitest.CaptureLog()
	ctrllog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// plane is a control plane with Cluster API's kinds.
type plane struct {
	*apitest.Plane

	client   client.Client
	listener *clusterapi.Listener
}

func startIn(t *testing.T, dir string) plane {
	t.Helper()

	p := plane{listener: clusterapi.NewListener()}
	p.Plane = apitest.StartIn(t, dir, func(c *apiserver.Config) { c.LocalServices = p.listener.Services() })

	rights, err := bootstrap.New(bootstrap.Config{Client: p.Client(t, pki.Owner), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	apitest.Run(t, rights)
	p.run(t)

	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, apiextensionsv1.AddToScheme, clusterv1beta1.AddToScheme, clusterv1.AddToScheme,
	} {
		must(t, add(scheme))
	}

	p.client, err = client.New(p.Admin, client.Options{Scheme: scheme})
	must(t, err)

	return p
}

// run runs what is tested until the test ends.
func (p plane) run(t *testing.T) {
	t.Helper()

	c, err := clusterapi.New(clusterapi.Config{
		Owner:       p.Client(t, pki.Owner),
		Client:      p.Client(t, bootstrap.ClusterAPI),
		Listener:    p.listener,
		Certificate: p.Authority.ServiceCertificate(clusterapi.Names()...),
		Logger:      slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(t, err)

	begin := time.Now()
	apitest.Run(t, c)
	t.Logf("Cluster API is ready after %s", time.Since(begin).Round(time.Millisecond))
}

func TestClusterAPI(t *testing.T) {
	p := startIn(t, t.TempDir())
	p.define(t, "ExampleCluster", "v1alpha7")
	p.define(t, "ExampleClusterTemplate", "v1alpha7")

	for name, test := range map[string]func(*testing.T, plane){
		"cluster converted":      testClusterConverted,
		"deployment converted":   testDeploymentConverted,
		"invalid":                testInvalid,
		"unknown kind":           testUnknownKind,
		"class in use":           testClassInUse,
		"definition and objects": testDefinedTogether,
	} {
		t.Run(name, func(t *testing.T) { test(t, p) })
	}

	t.Run("definition gone", func(t *testing.T) { testDefinitionGone(t, p) })
}

// testClusterConverted writes a Cluster in the old version and reads it in both.
func testClusterConverted(t *testing.T, p plane) {
	old := cluster("converted", "ExampleCluster")
	must(t, p.client.Create(t.Context(), old))

	stored := &clusterv1.Cluster{}
	must(t, p.client.Get(t.Context(), client.ObjectKeyFromObject(old), stored))

	want := clusterv1.ContractVersionedObjectReference{APIGroup: infrastructure, Kind: "ExampleCluster", Name: "converted"}
	if stored.Spec.InfrastructureRef != want {
		t.Errorf("stored reference %v, want %v", stored.Spec.InfrastructureRef, want)
	}

	again := &clusterv1beta1.Cluster{}
	must(t, p.client.Get(t.Context(), client.ObjectKeyFromObject(old), again))

	if got := again.Spec.InfrastructureRef; got.APIVersion != infrastructure+"/v1alpha7" || got.Name != "converted" {
		t.Errorf("reference read in the old version: %v", got)
	}

	definition := &apiextensionsv1.CustomResourceDefinition{}
	must(t, p.client.Get(t.Context(), client.ObjectKey{Name: "clusters.cluster.x-k8s.io"}, definition))

	if got := definition.Status.StoredVersions; len(got) != 1 || got[0] != "v1beta2" {
		t.Errorf("stored versions %v", got)
	}
}

// testDeploymentConverted writes a MachineDeployment in the old version: it is defaulted and converted.
func testDeploymentConverted(t *testing.T, p plane) {
	old := deployment("converted", "v1.33.1")
	must(t, p.client.Create(t.Context(), old))

	stored := &clusterv1.MachineDeployment{}
	must(t, p.client.Get(t.Context(), client.ObjectKeyFromObject(old), stored))

	if got := stored.Labels[clusterv1.ClusterNameLabel]; got != "some" {
		t.Errorf("label of the cluster %q", got)
	}

	if got := stored.Spec.Selector.MatchLabels[clusterv1.MachineDeploymentNameLabel]; got != "converted" {
		t.Errorf("defaulted selector %v", stored.Spec.Selector)
	}

	if got := stored.Spec.Rollout.Strategy.Type; got != clusterv1.RollingUpdateMachineDeploymentStrategyType {
		t.Errorf("defaulted strategy %q", got)
	}

	again := &clusterv1beta1.MachineDeployment{}
	must(t, p.client.Get(t.Context(), client.ObjectKeyFromObject(old), again))

	if again.Spec.Strategy == nil || again.Spec.Strategy.RollingUpdate.MaxSurge.IntValue() != 1 || *again.Spec.Template.Spec.Version != "v1.33.1" {
		t.Errorf("read in the old version: %+v", again.Spec)
	}
}

func testInvalid(t *testing.T, p plane) {
	refused(t, p.client.Create(t.Context(), deployment("invalid", "thirty-three")),
		"spec.template.spec.version", "must be a valid semantic version")
}

// testDefinedTogether applies a definition and an object that needs it in one file, as people do.
func testDefinedTogether(t *testing.T, p plane) {
	p.Kubectl(t).With(manifest("TogetherCluster", "v1beta1")+`
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: together, namespace: default}
spec:
  infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: TogetherCluster, name: together}
`).Do(t, "apply", "-f", "-")

	old := &clusterv1beta1.Cluster{}
	must(t, p.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "together"}, old))

	if got := old.Spec.InfrastructureRef.APIVersion; got != infrastructure+"/v1beta1" {
		t.Errorf("version %s", got)
	}
}

// testDefinitionGone deletes the definition of a kind that Clusters name. They stay readable in the old version, and can be
// changed and deleted.
func testDefinitionGone(t *testing.T, p plane) {
	p.define(t, "GoneCluster", "v1alpha8")

	old := cluster("gone", "GoneCluster")
	old.Finalizers = []string{"example.com/test"}
	must(t, p.client.Create(t.Context(), old))
	must(t, p.client.Delete(t.Context(), &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "goneclusters." + infrastructure},
	}))

	eventually(t, "the kind is gone", func(ctx context.Context) (bool, error) {
		return p.client.Create(ctx, cluster("late", "GoneCluster"), client.DryRunAll) != nil, nil
	})

	var list clusterv1beta1.ClusterList

	must(t, p.client.List(t.Context(), &list))

	for _, c := range list.Items {
		if c.Name == "gone" && c.Spec.InfrastructureRef.APIVersion != infrastructure+"/v1alpha8" {
			t.Errorf("version %s, want the last that was known", c.Spec.InfrastructureRef.APIVersion)
		}
	}

	must(t, p.client.Get(t.Context(), client.ObjectKeyFromObject(old), old))

	changed := old.DeepCopy()
	changed.Spec.InfrastructureRef.Name = "another"
	refused(t, p.client.Update(t.Context(), changed), "spec.infrastructureRef.kind", "no kind GoneCluster")

	must(t, p.client.Delete(t.Context(), old))
	must(t, p.client.Get(t.Context(), client.ObjectKeyFromObject(old), old))

	old.Finalizers = nil
	must(t, p.client.Update(t.Context(), old))
}

// TestRestart starts again on the data of before: nothing is written, and objects are as they were.
func TestRestart(t *testing.T) {
	dir, versions := t.TempDir(), map[string]string{}

	t.Run("first", func(t *testing.T) {
		p := startIn(t, dir)
		p.define(t, "GoneCluster", "v1alpha8")
		must(t, p.client.Create(t.Context(), cluster("kept", "GoneCluster")))
		must(t, p.client.Delete(t.Context(), &apiextensionsv1.CustomResourceDefinition{
			ObjectMeta: metav1.ObjectMeta{Name: "goneclusters." + infrastructure},
		}))

		versions = p.versions(t)
	})

	t.Run("second", func(t *testing.T) {
		p := startIn(t, dir)

		for name, version := range p.versions(t) {
			if versions[name] != version {
				t.Errorf("%s was written: version %s, before %s", name, version, versions[name])
			}
		}

		var list clusterv1beta1.ClusterList

		must(t, p.client.List(t.Context(), &list))

		if len(list.Items) != 1 || list.Items[0].Spec.InfrastructureRef.APIVersion != infrastructure+"/unknown" {
			t.Errorf("Clusters after the restart: %+v", list.Items)
		}

		p.restores(t)
	})
}

// restores changes a definition and installs once more: it is as it was, and what others added to its labels stays.
func (p plane) restores(t *testing.T) {
	t.Helper()

	changed := &apiextensionsv1.CustomResourceDefinition{}
	must(t, p.client.Get(t.Context(), client.ObjectKey{Name: "machines.cluster.x-k8s.io"}, changed))

	changed.Labels = map[string]string{"example.com/mine": "yes"}
	changed.Spec.Names.ShortNames = []string{"mine"}
	must(t, p.client.Update(t.Context(), changed))

	p.listener = clusterapi.NewListener() // the other is in use
	p.run(t)
	must(t, p.client.Get(t.Context(), client.ObjectKeyFromObject(changed), changed))

	labels := map[string]string{"example.com/mine": "yes", "cluster.x-k8s.io/provider": "cluster-api", "clusterctl.cluster.x-k8s.io": ""}
	if !maps.Equal(changed.Labels, labels) || slices.Contains(changed.Spec.Names.ShortNames, "mine") {
		t.Errorf("definition has labels %v, short names %v", changed.Labels, changed.Spec.Names.ShortNames)
	}
}

// versions are the resource versions of the definitions of Cluster API.
func (p plane) versions(t *testing.T) map[string]string {
	t.Helper()

	var list metav1.PartialObjectMetadataList

	list.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinitionList"))
	must(t, p.client.List(t.Context(), &list, client.MatchingLabels{"cluster.x-k8s.io/provider": "cluster-api"}))

	versions := map[string]string{}
	for _, definition := range list.Items {
		versions[definition.Name] = definition.ResourceVersion
	}

	if len(versions) != 13 {
		t.Errorf("%d definitions: %v", len(versions), versions)
	}

	return versions
}

// refused wants an error that holds all the words.
func refused(t *testing.T, err error, words ...string) {
	t.Helper()

	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("error %v, want it to hold %q", err, word)
		}
	}
}

// eventually waits for what happens by itself.
func eventually(t *testing.T, what string, happens func(context.Context) (bool, error)) {
	t.Helper()

	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, happens); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
