package bootstrap_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

func spec(role v1alpha3.GenerateType) v1alpha3.TalosConfigSpec {
	return v1alpha3.TalosConfigSpec{GenerateType: role, TalosVersion: "v1.13"}
}

// TestTalosConfigs runs the controllers with their own rights against the API.
func TestTalosConfigs(t *testing.T) {
	a := start(t)
	stop := a.begin()

	t.Run("one cluster", func(t *testing.T) { testCluster(t, a) })
	t.Run("bad patch", func(t *testing.T) { testBadPatch(t, a) })
	t.Run("given data", func(t *testing.T) { testData(t, a) })
	t.Run("moved", func(t *testing.T) { testMoved(t, a) })
	t.Run("paused and deleted", func(t *testing.T) { testPaused(t, a) })
	t.Run("predecessor", func(t *testing.T) { testPredecessor(t, a) })

	stop()
	t.Run("lost secrets", func(t *testing.T) { testLost(t, a) })
}

// testCluster makes many nodes at once, and wants all to share the secrets of one cluster.
func testCluster(t *testing.T, a *api) {
	c := a.Cluster("lab", false)
	configs := map[string]*v1alpha3.TalosConfig{}

	for i := range 8 {
		role := v1alpha3.GenerateControlPlane
		if i > 2 {
			role = v1alpha3.GenerateJoin
		}

		name := fmt.Sprintf("lab-%d", i)
		s := spec(role)
		s.Hostname.Source = v1alpha3.HostnameFromInfrastructure
		_, configs[name] = a.node(c, name, s)
	}

	a.reason(configs["lab-0"], v1alpha3.ReasonWaitingForInfrastructure)
	a.Provision(c)

	ca := a.shared(t, configs)

	got := a.secret("lab-ca")
	if !bytes.Equal(got.Data["tls.crt"], ca) || got.Labels[clusterv1.ClusterNameLabel] != "lab" || len(got.Data["tls.key"]) == 0 {
		t.Errorf("the Secret of the certificate authority has labels %v", got.Labels)
	}

	for _, name := range []string{"lab-talos", "lab-ca", "lab-talosconfig"} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.Namespace}}
		clustertest.Until(a.API, secret, "it is there", func(*corev1.Secret) bool { return true })

		if owner := metav1.GetControllerOf(secret); owner == nil || owner.Kind != "Cluster" || owner.UID != c.UID {
			t.Errorf("%s is owned by %v", name, owner)
		}
	}

	a.reach(t, "lab-1", "10.0.0.31")

	// Who may read logs may not read secrets.
	var bundle map[string]map[string]any
	clustertest.Must(t, yaml.Unmarshal(a.secret("lab-talos").Data["bundle"], &bundle))

	for _, secret := range []any{bundle["secrets"]["bootstraptoken"], bundle["trustdinfo"]["token"], bundle["cluster"]["secret"]} {
		if text, _ := secret.(string); text == "" || a.logged(text) {
			t.Errorf("the log holds a secret, or there is none: %q", text)
		}
	}
}

// shared waits for the configurations, and returns the certificate authority that all have.
func (a *api) shared(t *testing.T, configs map[string]*v1alpha3.TalosConfig) []byte {
	t.Helper()

	var ca []byte

	for name, config := range configs {
		a.ready(config)

		if *config.Status.DataSecretName != name+"-bootstrap-data" || !*config.Status.Initialization.DataSecretCreated ||
			!config.Status.Conditions.Is(v1alpha3.DataSecretAvailableCondition, corev1.ConditionTrue) || config.Status.ObservedGeneration != 1 {
			t.Errorf("%s: status %v", name, config.Status.Conditions)
		}

		if !strings.HasPrefix(config.Status.TalosConfig, "context: lab\n") {
			t.Errorf("%s: no configuration for talosctl", name)
		}

		secret := a.secret(*config.Status.DataSecretName)
		clustertest.Must(t, machineconfig.Validate(secret.Data["value"]))

		loaded, err := configloader.NewFromBytes(secret.Data["value"])
		clustertest.Must(t, err)

		if owner := metav1.GetControllerOf(secret); owner.UID != config.UID || secret.Labels[clusterv1.ClusterNameLabel] != "lab" {
			t.Errorf("%s: data is owned by %v", name, owner)
		}

		if got := loaded.NetworkHostnameConfig().Hostname(); got != name+"-metal" || loaded.Cluster().Network().PodCIDRs()[0] != "10.1.0.0/16" {
			t.Errorf("%s: host name %s", name, got)
		}

		if ca == nil {
			ca = loaded.Cluster().IssuingCA().Crt
		}

		if !bytes.Equal(ca, loaded.Cluster().IssuingCA().Crt) {
			t.Errorf("%s has other secrets than other nodes", name)
		}
	}

	return ca
}

// reach gives a node of the control plane an address, and waits for talosctl to be told.
func (a *api) reach(t *testing.T, name, address string) {
	t.Helper()

	m := &clusterv1.Machine{}
	clustertest.Must(t, a.Get(t.Context(), client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: name}, m))
	before := m.DeepCopy()
	m.Status.Addresses = clusterv1.MachineAddresses{{Type: clusterv1.MachineInternalIP, Address: address}}
	clustertest.Must(t, a.Status().Patch(t.Context(), m, client.MergeFrom(before)))

	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: m.Spec.ClusterName + "-talosconfig", Namespace: m.Namespace}}
	clustertest.Until(a.API, secret, "it has the address", func(s *corev1.Secret) bool {
		var read struct {
			Contexts map[string]struct{ Endpoints []string }
		}
		clustertest.Must(t, yaml.Unmarshal(s.Data["talosconfig"], &read))

		return slices.Equal(read.Contexts[m.Spec.ClusterName].Endpoints, []string{address})
	})
}

// testBadPatch has a patch that does not fit, and then another TalosConfig in its place, because none can be changed.
func testBadPatch(t *testing.T, a *api) {
	c := a.Cluster("patched", true)

	bad := spec(v1alpha3.GenerateWorker)
	bad.ConfigPatches = []metal.ConfigPatch{
		{Op: "add", Path: "/machine/sysctls", Value: value(t, map[string]string{"a": "b"})},
		{Op: "replace", Path: "/machine/kublet/image", Value: value(t, "hunter2")},
	}

	m, config := a.node(c, "patched-0", bad)

	message := a.reason(config, v1alpha3.ReasonGenerationFailed)
	if !strings.Contains(message, "configPatches[1] (replace /machine/kublet/image)") ||
		strings.Contains(message, "hunter2") || a.logged("hunter2") {
		t.Errorf("message %q, or the log, is wrong", message)
	}

	clustertest.Must(t, a.Delete(t.Context(), config))

	mended := spec(v1alpha3.GenerateWorker)
	mended.ConfigPatches = bad.ConfigPatches[:1]
	config = a.ready(a.config(m, mended))

	if text := string(a.secret(*config.Status.DataSecretName).Data["value"]); !strings.Contains(text, "a: b") {
		t.Error("the patch was not applied")
	}
}

func value(t *testing.T, of any) apiextensionsv1.JSON {
	t.Helper()

	text, err := json.Marshal(of)
	clustertest.Must(t, err)

	return apiextensionsv1.JSON{Raw: text}
}

// testData takes a configuration that is given, and finds the certificate authority in it.
func testData(t *testing.T, a *api) {
	s, err := machineconfig.NewSecrets("v1.5", metav1.Now().Time)
	clustertest.Must(t, err)

	text, err := machineconfig.Generate(machineconfig.Node{
		Role: "controlplane", Cluster: machineconfig.Cluster{Name: "given", Host: "10.0.0.9", Port: 6443},
	}, s)
	clustertest.Must(t, err)

	given := v1alpha3.TalosConfigSpec{
		GenerateType: v1alpha3.GenerateNone, Data: string(text), StrategicPatches: []string{"machine: {nodeLabels: {a: b}}"},
	}
	_, config := a.node(a.Cluster("given", true), "given-0", given)
	a.ready(config)

	loaded, err := configloader.NewFromBytes(a.secret("given-0-bootstrap-data").Data["value"])
	clustertest.Must(t, err)

	certificate, _ := s.KubernetesCA()
	if loaded.Machine().NodeLabels()["a"] != "b" || !bytes.Equal(a.secret("given-ca").Data["tls.crt"], certificate) ||
		!strings.HasPrefix(config.Status.TalosConfig, "context: given\n") {
		t.Error("what was given is not used")
	}

	// Nodes that are added, and those who ask nodes, go by the same secrets.
	kept, err := machineconfig.ReadSecrets(a.secret("given-talos").Data)
	clustertest.Must(t, err)

	if same, _ := kept.KubernetesCA(); !bytes.Equal(same, certificate) {
		t.Error("the secrets of the cluster are not those that were given")
	}
}

// testMoved has a Machine with its data already, whose TalosConfig came without its status.
func testMoved(t *testing.T, a *api) {
	c := a.Cluster("moved", false)
	m, config := a.node(c, "moved-0", spec(v1alpha3.GenerateWorker))

	before := m.DeepCopy()
	m.Spec.Bootstrap.DataSecretName = ptr.To("moved-data")
	clustertest.Must(t, a.Patch(t.Context(), m, client.MergeFrom(before)))
	a.Provision(c)

	if a.ready(config); *config.Status.DataSecretName != "moved-data" {
		t.Errorf("data is %s", *config.Status.DataSecretName)
	}

	err := a.Get(t.Context(), client.ObjectKey{Namespace: c.Namespace, Name: "moved-talos"}, &corev1.Secret{})
	if client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("secrets were made for a cluster that has some: %v", err)
	}
}

// testPaused makes nothing for an object that is paused, and lets it go when it is deleted.
func testPaused(t *testing.T, a *api) {
	c := a.Cluster("paused", true)
	m, _ := a.node(c, "paused-0", spec(v1alpha3.GenerateWorker))

	paused := &v1alpha3.TalosConfig{ObjectMeta: metav1.ObjectMeta{
		Name: "paused-1", Namespace: c.Namespace, Annotations: map[string]string{clusterv1.PausedAnnotation: ""},
		Finalizers:      []string{v1alpha3.TalosConfigFinalizer},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(m, clusterv1.GroupVersion.WithKind("Machine"))},
	}, Spec: spec(v1alpha3.GenerateWorker)}
	clustertest.Must(t, a.Create(t.Context(), paused))

	// Another that is looked at later shows that this one was.
	_, other := a.node(c, "paused-2", spec(v1alpha3.GenerateWorker))
	a.ready(other)
	clustertest.Must(t, a.Get(t.Context(), client.ObjectKeyFromObject(paused), paused))

	if paused.Status.Ready || len(paused.Status.Conditions) != 0 {
		t.Errorf("something was done: %v", paused.Status)
	}

	clustertest.Must(t, a.Delete(t.Context(), paused))
	a.Goes(paused)
}

// testPredecessor waits for the Secrets of a cluster of the same name to be gone that was deleted.
func testPredecessor(t *testing.T, a *api) {
	controller := metav1.OwnerReference{
		APIVersion: clusterv1.GroupVersion.String(), Kind: "Cluster", Name: "again",
		UID: "00000000-0000-0000-0000-000000000001", Controller: ptr.To(true),
	}
	old := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Name: "again-talos", Namespace: metav1.NamespaceDefault, OwnerReferences: []metav1.OwnerReference{controller},
	}, Data: a.secret("lab-talos").Data}
	clustertest.Must(t, a.Create(t.Context(), old))

	_, config := a.node(a.Cluster("again", true), "again-0", spec(v1alpha3.GenerateWorker))

	if message := a.reason(config, v1alpha3.ReasonGenerationFailed); !strings.Contains(message, "again-talos: it belongs to another object") {
		t.Errorf("message %q", message)
	}

	clustertest.Must(t, a.Delete(t.Context(), old))
	a.touch(config)
	a.ready(config)

	if bytes.Equal(a.secret("again-talos").Data["bundle"], old.Data["bundle"]) {
		t.Error("the new cluster has the secrets of the old one")
	}
}

// testLost begins with the secrets of a cluster lost while no controllers ran: they never make others, and go on with those restored.
func testLost(t *testing.T, a *api) {
	lost := a.secret("lab-talos")
	clustertest.Must(t, a.Delete(t.Context(), lost))
	a.begin()

	c := &clusterv1.Cluster{}
	clustertest.Must(t, a.Get(t.Context(), client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: "lab"}, c))
	_, config := a.node(c, "lab-9", spec(v1alpha3.GenerateWorker))

	if message := a.reason(config, v1alpha3.ReasonSecretsMissing); !strings.Contains(message, "no Secret lab-talos: restore that") {
		t.Errorf("message %q", message)
	}

	clustertest.Must(t, a.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: lost.Name, Namespace: lost.Namespace}, Data: lost.Data}))
	a.touch(config)
	a.ready(config)

	loaded, err := configloader.NewFromBytes(a.secret("lab-9-bootstrap-data").Data["value"])
	clustertest.Must(t, err)

	if !bytes.Equal(loaded.Cluster().IssuingCA().Crt, a.secret("lab-ca").Data["tls.crt"]) {
		t.Error("the node has other secrets than its cluster")
	}
}
