package manifest

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func valid() Cluster {
	return Cluster{
		Name: "rack-1", Endpoint: "192.0.2.10", Port: 6443, ControlPlaneClass: "any", WorkerClass: "big",
		ControlPlanes: 3, Workers: 2, KubernetesVersion: "v1.34.0", TalosVersion: "v1.13",
	}
}

// objects are those of a manifest, by kind and name.
func objects(t *testing.T, text string) map[string]map[string]any {
	t.Helper()

	all, decoder := map[string]map[string]any{}, yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)

	for {
		var o map[string]any

		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}

		if err != nil {
			t.Fatal(err)
		}

		if o != nil {
			u := unstructured.Unstructured{Object: o}
			all[u.GetKind()+" "+u.GetName()] = o
		}
	}
}

func TestRender(t *testing.T) {
	text, err := Render(valid())
	if err != nil || strings.Contains(text, "${") || strings.Contains(text, "strategicPatches") {
		t.Fatalf("%v\n%s", err, text)
	}

	all := objects(t, text)

	host, _, _ := unstructured.NestedString(all["MetalCluster rack-1"], "spec", "controlPlaneEndpoint", "host")
	class, _, _ := unstructured.NestedString(all["MetalMachineTemplate rack-1-workers"], "spec", "template", "spec", "serverClassRef", "name")
	version, _, _ := unstructured.NestedString(all["TalosControlPlane rack-1-cp"], "spec", "version")

	if len(all) != 7 || host != "192.0.2.10" || class != "big" || version != "v1.34.0" {
		t.Errorf("%d objects, %s, %s, %s", len(all), host, class, version)
	}
}

func TestVirtualIP(t *testing.T) {
	c := valid()
	c.Endpoint, c.VirtualIP = "", "192.0.2.11"

	text, err := Render(c)
	if err != nil {
		t.Fatal(err)
	}

	all := objects(t, text)
	host, _, _ := unstructured.NestedString(all["MetalCluster rack-1"], "spec", "controlPlaneEndpoint", "host")
	patches, _, _ := unstructured.NestedStringSlice(all["TalosControlPlane rack-1-cp"], "spec", "controlPlaneConfig", "controlplane", "strategicPatches")
	_, workers, _ := unstructured.NestedFieldNoCopy(all["TalosConfigTemplate rack-1-workers"], "spec", "template", "spec", "strategicPatches")

	if host != c.VirtualIP || len(patches) != 1 || !strings.Contains(patches[0], `vip: {ip: "192.0.2.11"}`) || workers {
		t.Errorf("%s, %q, %v", host, patches, workers)
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Cluster)
		want   string
	}{
		"name":           {func(c *Cluster) { c.Name = "A b" }, `name "A b"`},
		"no endpoint":    {func(c *Cluster) { c.Endpoint = "" }, "--virtual-ip"},
		"endpoint":       {func(c *Cluster) { c.Endpoint = "a: b" }, "an address or a host name"},
		"virtual ip":     {func(c *Cluster) { c.VirtualIP = "host" }, "must be an address"},
		"port":           {func(c *Cluster) { c.Port = 0 }, "between 1 and 65535"},
		"class":          {func(c *Cluster) { c.WorkerClass = "" }, "server class"},
		"even":           {func(c *Cluster) { c.ControlPlanes = 2 }, "odd number"},
		"none":           {func(c *Cluster) { c.ControlPlanes = 0 }, "odd number"},
		"workers":        {func(c *Cluster) { c.Workers = -1 }, "negative"},
		"kubernetes":     {func(c *Cluster) { c.KubernetesVersion = "latest" }, "Kubernetes version"},
		"without letter": {func(c *Cluster) { c.KubernetesVersion = "1.34.0" }, "Kubernetes version"},
		"talos":          {func(c *Cluster) { c.TalosVersion = "newest" }, "Talos version"},
	} {
		cluster := valid()
		c.change(&cluster)

		if _, err := Render(cluster); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestShortages(t *testing.T) {
	for name, c := range map[string]struct {
		available map[string]int64
		change    func(*Cluster)
		want      []string
	}{
		"enough":             {map[string]int64{"any": 3, "big": 2}, func(*Cluster) {}, nil},
		"none":               {nil, func(*Cluster) {}, []string{"no server class any", "no server class big"}},
		"few":                {map[string]int64{"any": 2, "big": 2}, func(*Cluster) {}, []string{"any has 2 servers available, and the cluster wants 3"}},
		"one class, enough":  {map[string]int64{"any": 5}, func(c *Cluster) { c.WorkerClass = "any" }, nil},
		"one class, few":     {map[string]int64{"any": 4}, func(c *Cluster) { c.WorkerClass = "any" }, []string{"any has 4 servers available, and the cluster wants 5"}},
		"no workers, no big": {map[string]int64{"any": 3}, func(c *Cluster) { c.Workers = 0 }, nil},
	} {
		cluster := valid()
		c.change(&cluster)

		if got := Shortages(cluster, c.available); !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
