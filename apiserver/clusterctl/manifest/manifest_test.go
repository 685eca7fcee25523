package manifest

import (
	"errors"
	"io"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/utils/ptr"
)

func valid() Cluster {
	return Cluster{
		Name: "rack-1", Endpoint: "192.0.2.10", Port: 6443, ControlPlaneClass: "any", WorkerClass: "big",
		ControlPlanes: ptr.To[int64](3), Workers: ptr.To[int64](2), KubernetesVersion: "v1.34.0", TalosVersion: "v1.13",
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
		"name":           {func(c *Cluster) { c.Name = "A b" }, `name (CLUSTER_NAME) "A b"`},
		"no endpoint":    {func(c *Cluster) { c.Endpoint = "" }, "Give --endpoint (CONTROL_PLANE_ENDPOINT)"},
		"a port in it":   {func(c *Cluster) { c.Endpoint = "a:6443" }, "without a port: that is --port"},
		"endpoint":       {func(c *Cluster) { c.Endpoint = "a: b" }, "an address or a host name"},
		"virtual ip":     {func(c *Cluster) { c.VirtualIP = "host" }, "must be an address"},
		"port":           {func(c *Cluster) { c.Port = 0 }, "between 1 and 65535"},
		"class":          {func(c *Cluster) { c.WorkerClass = "" }, "--worker-class (WORKER_SERVERCLASS)"},
		"even":           {func(c *Cluster) { c.ControlPlanes = ptr.To[int64](2) }, "odd number"},
		"none":           {func(c *Cluster) { c.ControlPlanes = ptr.To[int64](0) }, "odd number"},
		"workers":        {func(c *Cluster) { c.Workers = ptr.To[int64](-1) }, "negative"},
		"kubernetes":     {func(c *Cluster) { c.KubernetesVersion = "latest" }, "--kubernetes-version (KUBERNETES_VERSION)"},
		"without letter": {func(c *Cluster) { c.KubernetesVersion = "1.34.0" }, "--kubernetes-version (KUBERNETES_VERSION)"},
		"talos":          {func(c *Cluster) { c.TalosVersion = "newest" }, "--talos-version (TALOS_VERSION)"},
	} {
		cluster := valid()
		c.change(&cluster)

		if _, err := Render(cluster); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
