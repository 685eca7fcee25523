package servers_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	talos "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
	"github.com/sidero-appliance/sidero-appliance/controllers/kube"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/metadata"
)

// TestConfiguration shows what a machine would get and what has changed, to an administrator and to others, from a real API with
// the objects of a real machine.
func TestConfiguration(t *testing.T) {
	api := clustertest.Start(t)
	r := newRoom(t, api.Plane)
	records := metadata.Records{Client: r.Client, Namespace: bootstrap.Namespace}

	r.make("box", func(s *v1alpha2.Server) { s.Spec.Accepted = true })
	r.refused(r.RenderConfiguration(t.Context(), "box", false), "box: it is not in use: there is no configuration for its machine")

	r.bind("box", corev1.ObjectReference{Name: "m"})
	r.refused(r.RenderConfiguration(t.Context(), "box", false),
		"box: it is not written down yet where nodes report to: the appliance does so when it starts: start it, or look into its log")
	must(t, records.WriteLink(t.Context(), metadata.Link{API: "grpc://192.0.2.1:8081"}))
	r.refused(r.RenderConfiguration(t.Context(), "box", false), `box: read MetalMachine default/m: .* not found`)

	machine := r.clustered(api)
	r.refused(r.RenderConfiguration(t.Context(), "box", false),
		"box: Machine default/m has no configuration yet: its bootstrap provider has not made one")

	whole := r.bootstraps(machine)
	binding := &v1alpha3.ServerBinding{}
	must(t, r.Client.Get(t.Context(), client.ObjectKey{Name: "box"}, binding))

	testRender(r, whole)
	r.refused(r.DiffConfiguration(t.Context(), "box", false), "box: no configuration is on record that it has fetched since it came into use: "+
		`"sidero-appliance config render box" shows what its machine would get`)
	testDiff(r, records, binding)
	testOthers(t, r)
}

// refused expects an error and nothing else.
func (r *room) refused(err error, want string) {
	r.t.Helper()

	if err == nil || !regexp.MustCompile("^"+want+"$").MatchString(err.Error()) || r.out.Len() > 0 || r.err.Len() > 0 {
		r.t.Errorf("error is %v, printed %q, said %q, want %s", err, &r.out, &r.err, want)
	}

	r.out.Reset()
	r.err.Reset()
}

// clustered makes the objects that Cluster API makes of a machine.
func (r *room) clustered(api *clustertest.API) *clusterv1.Machine {
	r.t.Helper()

	api.Cluster("c", true)

	machine := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Name: "m", Namespace: metav1.NamespaceDefault}}
	machine.Spec.ClusterName = "c"
	machine.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{
		APIGroup: v1alpha3.GroupVersion.Group, Kind: "MetalMachine", Name: "m",
	}
	machine.Spec.Bootstrap.ConfigRef = clusterv1.ContractVersionedObjectReference{APIGroup: talos.GroupName, Kind: "TalosConfig", Name: "m"}
	must(r.t, r.Client.Create(r.t.Context(), machine))

	metal := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: "m", Namespace: metav1.NamespaceDefault, OwnerReferences: []metav1.OwnerReference{
		{APIVersion: clusterv1.GroupVersion.String(), Kind: "Machine", Name: "m", UID: machine.UID},
	}}}
	must(r.t, r.Client.Create(r.t.Context(), metal))

	return machine
}

// bootstraps gives a machine a configuration, and returns what a worker's is like.
func (r *room) bootstraps(machine *clusterv1.Machine) []byte {
	r.t.Helper()

	secrets, err := machineconfig.NewSecrets("v1.5", time.Now())
	must(r.t, err)

	text, err := machineconfig.Generate(machineconfig.Node{
		Role: "worker", TalosVersion: "v1.9", KubernetesVersion: "v1.31.4", Cluster: machineconfig.Cluster{Name: "c", Host: "10.0.0.1", Port: 6443},
	}, secrets)
	must(r.t, err)

	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "m-data", Namespace: machine.Namespace}, Data: map[string][]byte{"value": text}}
	must(r.t, r.Client.Create(r.t.Context(), secret))

	before := machine.DeepCopy()
	machine.Spec.Bootstrap.DataSecretName = ptr.To(secret.Name)
	must(r.t, r.Client.Patch(r.t.Context(), machine, client.MergeFrom(before)))

	return text
}

// patch gives the server one patch in place of those that it has.
func (r *room) patch(path, value string) {
	r.t.Helper()

	s := r.get("box")
	before := s.DeepCopy()
	s.Spec.ConfigPatches = []v1alpha2.ConfigPatch{{Op: "add", Path: path, Value: apiextensionsv1.JSON{Raw: []byte(value)}}}
	must(r.t, r.Client.Patch(r.t.Context(), s, client.MergeFrom(before)))
}

// wouldGet is what the appliance's own service makes.
func (r *room) wouldGet() []byte {
	r.t.Helper()

	binding, server, err := metadata.Lookup{Objects: r.Client, Live: r.Client}.Binding(r.t.Context(), "box")
	must(r.t, err)

	sources, err := metadata.Lookup{Objects: r.Client, Live: r.Client}.Sources(r.t.Context(), binding, server)
	must(r.t, err)

	made, err := metadata.Render(sources, metadata.Link{API: "grpc://192.0.2.1:8081"})
	must(r.t, err)

	return made
}

func testRender(r *room, bootstrapped []byte) {
	token := regexp.MustCompile(`token: (\S+)`).FindStringSubmatch(string(bootstrapped))[1]

	r.patch("/machine/sysctls", `{"a": "b"}`)
	r.expect(r.RenderConfiguration(r.t.Context(), "box", true), string(r.wouldGet()),
		"This holds secrets of a cluster: whoever has them can take it over.\n", "")

	must(r.t, r.RenderConfiguration(r.t.Context(), "box", false))

	got := r.out.String()
	for _, want := range []string{"token: (hidden)", "a: b", "node-labels: metal.sidero.dev/uuid=box", "apiUrl: grpc://192.0.2.1:8081"} {
		if !strings.Contains(got, want) {
			r.t.Errorf("%q is not in\n%s", want, got)
		}
	}

	if strings.Contains(got, token) {
		r.t.Errorf("the token %s is shown:\n%s", token, got)
	}

	if said := r.err.String(); said != "Secrets are hidden: --secrets shows them.\n" {
		r.t.Errorf("said %q", said)
	}

	r.out.Reset()
	r.err.Reset()

	r.patch("/machine/nothing/below", "1")
	r.refused(r.RenderConfiguration(r.t.Context(), "box", false), `box: its machine gets no configuration until this is mended: `+
		`patch with Server box: spec.configPatches\[0\] \(add /machine/nothing/below\): does not fit .*`)

	r.patch("/machine/type", `"king"`)
	must(r.t, r.RenderConfiguration(r.t.Context(), "box", false))

	if !strings.HasPrefix(r.err.String(), "warning: ") {
		r.t.Errorf("nothing is said of what Talos refuses: %s", &r.err)
	}

	r.out.Reset()
	r.err.Reset()
}

func testDiff(r *room, records metadata.Records, binding *v1alpha3.ServerBinding) {
	const at = "2026-11-27T12:00:00Z"

	noon, err := time.Parse(time.RFC3339, at)
	must(r.t, err)

	r.patch("/machine/sysctls", `{"a": "b", "password": "hunter1"}`)
	must(r.t, records.WriteFetched(r.t.Context(), binding, metadata.Fetched{Configuration: r.wouldGet(), At: noon}))
	r.expect(r.DiffConfiguration(r.t.Context(), "box", false), "", "box: nothing has changed since its machine fetched its configuration, at "+at+"\n", "")

	r.patch("/machine/sysctls", `{"a": "c", "password": "hunter2"}`)
	must(r.t, r.DiffConfiguration(r.t.Context(), "box", false))

	got := regexp.MustCompile(`\(hidden [0-9a-f]{8}\)`).ReplaceAllString(r.out.String(), "(hidden)")
	for _, want := range []string{
		"--- fetched " + at + "\n+++ now\n@@ ", "\n-    a: b\n-    password: (hidden)\n+    a: c\n+    password: (hidden)\n",
	} {
		if !strings.Contains(got, want) {
			r.t.Errorf("%q is not in\n%s", want, got)
		}
	}

	if changed := len(regexp.MustCompile(`(?m)^[-+] `).FindAllString(got, -1)); changed != 4 || strings.Contains(got, "hunter") {
		r.t.Errorf("%d lines have changed:\n%s", changed, &r.out)
	}

	r.out.Reset()
	r.err.Reset()
	must(r.t, r.DiffConfiguration(r.t.Context(), "box", true))

	if got := r.out.String(); !strings.Contains(got, "-    password: hunter1\n") || !strings.Contains(got, "+    password: hunter2\n") {
		r.t.Errorf("printed\n%s", got)
	}

	r.out.Reset()
	r.err.Reset()
}

// testOthers: whoever may not read Secrets is told so.
func testOthers(t *testing.T, r *room) {
	t.Helper()

	admin := r.Client

	aggregation, err := kube.New(r.plane.Client(r.t, pki.Owner))
	must(r.t, err)
	apitest.Run(r.t, aggregation)

	c, err := servers.NewClient(r.plane.Client(r.t, user.DefaultInfo{Name: "joe", Groups: []string{bootstrap.Operators}}))
	must(r.t, err)

	r.Client = c
	eventually(t, "operators have their rights", func(ctx context.Context) (bool, error) {
		return r.List(ctx, nil, servers.Name) == nil, nil
	})
	r.out.Reset()
	r.err.Reset()
	r.refused(r.RenderConfiguration(r.t.Context(), "box", false), "box: this kubeconfig does not allow that: docs/access.md tells who may do what: .*")
	r.refused(r.DiffConfiguration(r.t.Context(), "box", false), "box: this kubeconfig does not allow that: docs/access.md tells who may do what: .*")

	r.Client = admin
	s := r.get("box")
	before := s.DeepCopy()
	s.Spec.Accepted = false
	must(r.t, r.Client.Patch(r.t.Context(), s, client.MergeFrom(before)))
	r.refused(r.RenderConfiguration(r.t.Context(), "box", false), "box: it is not accepted: its machine gets no configuration")
}
