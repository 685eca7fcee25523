package metadata_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	bootstrap "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/metadata"
)

// made are the objects that a configuration is made of.
type made struct {
	server  *metal.Server
	binding *v1alpha3.ServerBinding
	class   *metal.ServerClass
	metal   *v1alpha3.MetalMachine
	machine *clusterv1.Machine
	config  *bootstrap.TalosConfig
	secret  *corev1.Secret
}

func wholeSources() made {
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: "ns"} }
	m := made{
		&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "box"}}, &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: "box"}},
		&metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "class"}}, &v1alpha3.MetalMachine{ObjectMeta: named("m")},
		&clusterv1.Machine{ObjectMeta: named("m-1")}, &bootstrap.TalosConfig{ObjectMeta: named("m-config")}, &corev1.Secret{ObjectMeta: named("m-data")},
	}
	m.binding.Spec.MetalMachineRef = corev1.ObjectReference{Namespace: "ns", Name: "m", UID: "uid-m"}
	m.binding.Spec.ServerClassRef = &corev1.ObjectReference{Namespace: "default", Name: "class"}
	m.metal.UID = "uid-m"
	m.metal.OwnerReferences = []metav1.OwnerReference{
		{APIVersion: "example.com/v1", Kind: "Machine", Name: "other", UID: "a"}, {APIVersion: "cluster.x-k8s.io/v1beta1", Kind: "Machine", Name: "m-1", UID: "b"},
	}
	m.machine.Spec.Bootstrap.DataSecretName = ptr.To("m-data")
	m.machine.Spec.Bootstrap.ConfigRef = clusterv1.ContractVersionedObjectReference{APIGroup: bootstrap.GroupName, Kind: "TalosConfig", Name: "m-config"}
	m.config.Spec.TalosVersion = "v1.4"
	m.secret.Data = map[string][]byte{"value": []byte("version: v1alpha1\n")}

	return m
}

// TestSources follows the way from a binding to a configuration, and has upstream's status for each part of it that is missing
// (sidero-behaviour.md §7.1).
func TestSources(t *testing.T) {
	for name, test := range map[string]struct {
		edit   func(*made)
		status int
		says   string
	}{
		"whole":                   {func(*made) {}, 200, ""},
		"no class":                {func(m *made) { m.binding.Spec.ServerClassRef = nil }, 200, ""},
		"another provider's":      {func(m *made) { m.machine.Spec.Bootstrap.ConfigRef.Kind = "Other" }, 200, ""},
		"TalosConfig gone":        {func(m *made) { m.config.Name = "x" }, 200, ""},
		"no UID":                  {func(m *made) { m.binding.Spec.MetalMachineRef.UID = "" }, 200, ""},
		"moved":                   {func(m *made) { m.metal.UID, m.metal.Spec.ServerRef = "new", &corev1.ObjectReference{Name: "box"} }, 200, ""},
		"no binding":              {func(m *made) { m.binding.Name = "x" }, 404, "server is not allocated (missing serverbinding): box"},
		"no server":               {func(m *made) { m.server.Name = "x" }, 500, "read Server box"},
		"no MetalMachine":         {func(m *made) { m.metal.Name = "x" }, 500, "read MetalMachine ns/m"},
		"a later MetalMachine":    {func(m *made) { m.metal.UID = "new" }, 500, "is another one than the server was given to"},
		"of another server":       {func(m *made) { m.metal.UID, m.metal.Spec.ServerRef = "new", &corev1.ObjectReference{Name: "x"} }, 500, "is another one"},
		"no owner":                {func(m *made) { m.metal.OwnerReferences = m.metal.OwnerReferences[:1] }, 500, "has no owner"},
		"no Machine":              {func(m *made) { m.machine.Name = "x" }, 500, "read Machine ns/m-1"},
		"no data yet":             {func(m *made) { m.machine.Spec.Bootstrap.DataSecretName = nil }, 404, "has no configuration yet"},
		"no Secret":               {func(m *made) { m.secret.Name = "x" }, 404, "there is no Secret ns/m-data"},
		"Secret elsewhere":        {func(m *made) { m.secret.Namespace = "default" }, 404, "there is no Secret ns/m-data"},
		"Secret without its key":  {func(m *made) { m.secret.Data = map[string][]byte{"data": nil} }, 404, "has no key value"},
		"class gone":              {func(m *made) { m.class.Name = "x" }, 500, "read ServerClass class"},
		"Secret of another owner": {func(m *made) { m.metal.OwnerReferences[1].Name = "other" }, 500, "read Machine ns/other"},
	} {
		t.Run(name, func(t *testing.T) {
			m := wholeSources()
			test.edit(&m)

			scheme := runtime.NewScheme()
			for _, add := range []func(*runtime.Scheme) error{
				metal.AddToScheme, v1alpha3.AddToScheme, bootstrap.AddToScheme, clusterv1.AddToScheme, corev1.AddToScheme,
			} {
				if err := add(scheme); err != nil {
					t.Fatal(err)
				}
			}

			objects := []client.Object{m.server, m.binding, m.class, m.metal, m.machine, m.config, m.secret}
			api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
			lookup := metadata.Lookup{Objects: api, Live: api}

			binding, server, err := lookup.Binding(t.Context(), "box")

			sources := metadata.Sources{}
			if err == nil {
				sources, err = lookup.Sources(t.Context(), binding, server)
			}

			status := http.StatusOK
			if problem := (*metadata.Problem)(nil); errors.As(err, &problem) {
				status = problem.Status
			}

			if status != test.status || (err == nil) != (test.status == http.StatusOK) || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Fatalf("%d, %v, want %d, %s", status, err, test.status, test.says)
			}

			if err == nil && (string(sources.Configuration) != "version: v1alpha1\n" || (sources.Class == nil) != (m.binding.Spec.ServerClassRef == nil) || sources.Server == nil) {
				t.Errorf("%+v", sources)
			}

			if version := sources.TalosVersion; name == "whole" && version != "v1.4" {
				t.Errorf("for Talos %q", version)
			}
		})
	}
}
