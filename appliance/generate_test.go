package appliance

import (
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	controlplane "github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/manifest"
	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

func TestGenerateUsedWrongly(t *testing.T) {
	for _, test := range []struct {
		args string
		env  []string
		want []string
	}{
		{"generate clutser", nil, []string{`error: there is no command "clutser": did you mean cluster?`}},
		{"generate cluster", nil, []string{`error: "sidero-appliance generate cluster" takes the name of one cluster, not []: see "sidero-appliance generate cluster --help"`}},
		{"generate cluster a b", nil, []string{`takes the name of one cluster, not ["a" "b"]`}},
		{"generate cluster a", nil, []string{"error: where is the cluster's API to be reached? Give --endpoint (CONTROL_PLANE_ENDPOINT), the address of a load balancer, or --virtual-ip, a free address"}},
		{"generate cluster a --workers few", nil, []string{`error: invalid argument "few" for "--workers" flag: "few" is not a number`}},
		{"generate cluster", []string{"CLUSTER_NAME=A", "CONTROL_PLANE_ENDPOINT=a:6443", "CONTROL_PLANE_MACHINE_COUNT=2"}, []string{
			`error: name (CLUSTER_NAME) "A": `, `error: --endpoint (CONTROL_PLANE_ENDPOINT) "a:6443": `, `error: --control-planes (CONTROL_PLANE_MACHINE_COUNT) "2": must be an odd number`,
		}},
		{"generate cluster a --virtual-ip 192.0.2.10", []string{"WORKER_MACHINE_COUNT=few", "CONTROL_PLANE_PORT=x"}, []string{
			`error: CONTROL_PLANE_PORT: "x" is not a number: correct it, or give --port`, `error: WORKER_MACHINE_COUNT: "few" is not a number: correct it, or give --workers`,
		}},
	} {
		got := command(t, test.env, append(strings.Fields(test.args), noAppliance(test.args)...)...)
		if got.code != exitUsage || got.stdout != "" {
			t.Errorf("%s: exit code %d, %s", test.args, got.code, got.stdout)
		}
		for _, want := range test.want {
			if !strings.Contains(got.stderr, want) {
				t.Errorf("%s: %s, want %s", test.args, got.stderr, want)
			}
		}
	}
}

// noAppliance has a command look for an appliance where none is, also when there is one on the machine of the test.
func noAppliance(args string) []string {
	if !strings.HasPrefix(args, "generate cluster") {
		return nil
	}
	return []string{"--data-dir=/nowhere"}
}

// TestGenerateWithoutAppliance gives what clusterctl does, of flags and variables alike.
func TestGenerateWithoutAppliance(t *testing.T) {
	byFlags := command(t, nil, "generate", "cluster", "rack-1", "--data-dir=/nowhere", "--endpoint=192.0.2.10", "--port=8443", "--control-plane-class=small",
		"--worker-class=big", "--control-planes=3", "--workers=2", "--kubernetes-version=v1.35.1", "--talos-version=v1.12")
	byVariables := command(t, []string{
		"CLUSTER_NAME=rack-1", "CONTROL_PLANE_ENDPOINT=192.0.2.10", "CONTROL_PLANE_PORT=8443", "CONTROL_PLANE_SERVERCLASS=small", "WORKER_SERVERCLASS=big",
		"CONTROL_PLANE_MACHINE_COUNT=3", "WORKER_MACHINE_COUNT=2", "KUBERNETES_VERSION=v1.35.1", "TALOS_VERSION=v1.12",
	}, "generate", "cluster", "--data-dir=/nowhere")
	if byFlags != byVariables || byFlags.code != exitOK {
		t.Errorf("by flags %+v\nby variables %+v", byFlags, byVariables)
	}
	for _, want := range []string{"  name: rack-1-cp\n", "    port: 8443\n", `name: "small"`, `name: "big"`, "  replicas: 3\n", "  replicas: 2\n", "version: v1.35.1\n", "talosVersion: v1.12\n"} {
		if !strings.Contains(byFlags.stdout, want) {
			t.Errorf("the manifest lacks %q:\n%s", want, byFlags.stdout)
		}
	}
	if want := "warning: whether there are servers enough is not known: there is no kubeconfig at /nowhere/admin.kubeconfig: "; !strings.HasPrefix(byFlags.stderr, want) {
		t.Errorf("it says %s", byFlags.stderr)
	}
	flagsFirst := command(t, []string{"CONTROL_PLANE_ENDPOINT=192.0.2.10", "WORKER_MACHINE_COUNT=many", "KUBERNETES_VERSION=v1.35.1"},
		"generate", "cluster", "rack-1", "--data-dir=/nowhere", "--workers=4", "--kubernetes-version=v1.34.0")
	if flagsFirst.code != exitOK || !strings.Contains(flagsFirst.stdout, "  replicas: 4\n") || !strings.Contains(flagsFirst.stdout, "version: v1.34.0\n") {
		t.Errorf("flags do not go before variables: %+v", flagsFirst)
	}
}

// TestGenerateFromPool has an appliance with five servers, of which four are free.
func TestGenerateFromPool(t *testing.T) {
	plane := apitest.Start(t)
	c, err := servers.NewClient(plane.Admin)
	if err != nil {
		t.Fatal(err)
	}
	fillPool(t, c)
	env := []string{"KUBECONFIG=" + plane.Kubeconfig}

	got := command(t, env, "generate", "cluster", "rack-1", "--virtual-ip", "10.0.0.99")
	if got.code != exitOK || strings.Count(got.stdout, `name: "any"`) != 2 || !strings.Contains(got.stdout, "  replicas: 3\n") ||
		!strings.Contains(got.stdout, "talosVersion: v1.12\n") || !strings.Contains(got.stdout, "version: v1.35.0\n") {
		t.Errorf("%+v", got)
	}
	if want := "note: 1 of the control plane and 3 workers, of 4 servers that are free: --control-planes and --workers say otherwise\n" +
		"warning: the control plane and the workers take their servers from the same class, any: which gets which is chance. " +
		"If they are not all alike, make a class for each, and name it by --control-plane-class and --worker-class\n"; got.stderr != want {
		t.Errorf("it says %s", got.stderr)
	}

	got = command(t, env, "generate", "cluster", "rack-1", "--endpoint", "10.0.0.7", "--control-plane-class", "rack", "--workers", "6")
	for _, want := range []string{
		"warning: there is no server class rack: the machines wait until you make it. --control-plane-class names another: there are any, spare\n",
		"warning: 10.0.0.7 is the address of server s1",
	} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("it says %s, want %s", got.stderr, want)
		}
	}

	got = command(t, env, "generate", "cluster", "rack-1", "--endpoint", "10.0.0.99", "--control-planes", "5")
	for _, want := range []string{
		"server class any has 4 free servers, and the cluster wants 5: the others wait. Of the rest of the class are 1 not clean: ",
		"warning: 10.0.0.99 is in the network of the machines, and nothing here makes it lead to them. If no load balancer has it, give --virtual-ip 10.0.0.99",
	} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("it says %s, want %s", got.stderr, want)
		}
	}

	known := &v1alpha3.MetalCluster{ObjectMeta: metav1.ObjectMeta{Name: "rack-0", Namespace: "default"}}
	if err := c.Create(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	got = command(t, env, "generate", "cluster", "rack-0", "--endpoint", "rack-0.example.com")
	if !strings.HasSuffix(got.stderr, "warning: there is a cluster rack-0 already: to apply this changes that one\n") {
		t.Errorf("it says %s", got.stderr)
	}

	got = command(t, env, "__complete", "generate", "cluster", "rack-1", "--worker-class", "a")
	if want := "any\t0 available\n:4\n"; got.stdout != want {
		t.Errorf("completion: %s", got.stdout)
	}
}

// fillPool makes the servers, and the classes and Environments that the appliance would make, and a class that has none.
func fillPool(t *testing.T, c client.Client) {
	t.Helper()
	environment := &v1alpha2.Environment{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	environment.Spec.Kernel.URL = "https://mirror.test/talos/releases/download/v1.12.4/vmlinuz-amd64"
	spare := &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "spare"}}
	spare.Spec.Selector.MatchLabels = map[string]string{"spare": "yes"}
	for _, object := range []client.Object{environment, spare, &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "any"}}} {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"s1", "s2", "s3", "s4", "s5"} {
		s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha2.ServerSpec{Accepted: true}}
		if i == 0 {
			s.Spec.Hardware = &v1alpha2.HardwareInformation{Network: &v1alpha2.NetworkInformation{Interfaces: []*v1alpha2.NetworkInterface{
				{Name: "lo", Addresses: []string{"127.0.0.1/8", "::1/128"}}, {Name: "eth0", Addresses: []string{"10.0.0.7/24", "fe80::1/64"}},
			}}}
		}
		if err := c.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		s.Status.IsClean = i < 4
		if err := c.Status().Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// TestVirtualIP: Talos understands the patch that has machines share an address.
func TestVirtualIP(t *testing.T) {
	text, err := manifest.Render(manifest.Cluster{
		Name: "c", VirtualIP: "192.0.2.11", Port: 6443, ControlPlaneClass: "any", WorkerClass: "any", ControlPlanes: ptr.To[int64](1), Workers: ptr.To[int64](0),
		KubernetesVersion: "v1.35.0", TalosVersion: "v1.13",
	})
	if err != nil {
		t.Fatal(err)
	}
	plane := &controlplane.TalosControlPlane{}
	for document := range strings.SplitSeq(text, "\n---\n") {
		if strings.Contains(document, "\nkind: TalosControlPlane\n") {
			if err := yaml.UnmarshalStrict([]byte(document), plane); err != nil {
				t.Fatal(err)
			}
		}
	}
	secrets, err := machineconfig.NewSecrets("v1.13", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	made, err := machineconfig.Generate(machineconfig.Node{
		Role: "controlplane", TalosVersion: "v1.13", KubernetesVersion: "v1.35.0", Cluster: machineconfig.Cluster{Name: "c", Host: "192.0.2.11", Port: 6443},
	}, secrets)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := machineconfig.Patch(made, machineconfig.Patches{Strategic: plane.Spec.ControlPlaneConfig.ControlPlane.StrategicPatches})
	if err != nil {
		t.Fatal(err)
	}
	if err := machineconfig.Validate(patched); err != nil || !strings.Contains(string(patched), "ip: 192.0.2.11") {
		t.Errorf("%v:\n%s", err, patched)
	}
}

// TestDocumentedGenerate runs the commands in the docs that write a manifest.
func TestDocumentedGenerate(t *testing.T) {
	for _, path := range []string{"../docs/clusters.md", "../README.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		ran := 0
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " >")
			if args, ok := strings.CutPrefix(line, "sidero-appliance generate cluster "); ok {
				ran++
				got := command(t, nil, strings.Fields("generate cluster --data-dir=/nowhere "+args)...)
				if got.code != exitOK || !strings.Contains(got.stdout, "kind: TalosControlPlane") {
					t.Errorf("%s: %s: %+v", path, line, got)
				}
			}
		}
		if ran == 0 {
			t.Errorf("%s has no such command", path)
		}
	}
}
