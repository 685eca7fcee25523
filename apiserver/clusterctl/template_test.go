package clusterctl_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	talos "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	rights "github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/repository"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure"
	controllers "github.com/sidero-appliance/sidero-appliance/controllers/provider"
	"github.com/sidero-appliance/sidero-appliance/controllers/talos/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/controllers/talos/controlplane"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

// hall is an API with all that makes machines of a cluster, and servers that never boot.
type hall struct {
	*clustertest.API

	kubectl    apitest.Kubectl
	clusterctl apitest.Clusterctl
}

func newHall(t *testing.T, servers int) *hall {
	t.Helper()

	a := clustertest.Start(t)
	h := &hall{API: a, kubectl: a.Plane.Kubectl(t), clusterctl: a.Plane.Clusterctl(t)}

	dir := t.TempDir()
	must(t, repository.Write(dir))
	h.clusterctl.Config = filepath.Join(dir, repository.Config)
	h.clusterctl.Environment = []string{"CONTROL_PLANE_ENDPOINT=127.0.0.9"} // where nobody answers

	config := func(client *rest.Config) controllers.Config {
		return controllers.Config{Client: client, Identity: "test", Logger: logr.FromSlogHandler(a.Logger().Handler()), Log: a.Logger()}
	}
	for _, c := range []apitest.Component{
		clusterapi.New(config(a.Plane.Client(t, rights.ClusterAPIControllers))),
		infrastructure.New(config(a.Plane.Client(t, rights.Infrastructure))),
		bootstrap.New(config(a.Plane.Client(t, rights.TalosBootstrap))),
		controlplane.New(config(a.Plane.Client(t, rights.TalosControlPlane))),
	} {
		a.Begin(c)
	}

	must(t, a.Create(t.Context(), &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "any"}}))

	for i := range servers {
		s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("s%d", i)}, Spec: metal.ServerSpec{
			Accepted: true, ManagementAPI: &metal.ManagementAPI{Endpoint: "127.0.0.9:4000"}, // or somebody has to go there when it is released
		}}
		must(t, a.Create(t.Context(), s))

		before := s.DeepCopy()
		s.Status.IsClean = true
		s.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.9"}}
		must(t, a.Status().Patch(t.Context(), s, client.MergeFrom(before)))
	}

	return h
}

// TestTemplates makes a cluster of Sidero's own template, which is of Cluster API's older version, and one of the template that
// the appliance publishes, as people do: by clusterctl and kubectl. Each comes as far as it can without machines that boot, and
// then gives its servers back.
func TestTemplates(t *testing.T) {
	h := newHall(t, 8)

	t.Run("Sidero's", func(t *testing.T) {
		h.try(t, "old", []string{
			"Warning: cluster.x-k8s.io/v1beta1 Cluster is deprecated; use cluster.x-k8s.io/v1beta2 Cluster",
			"Warning: cluster.x-k8s.io/v1beta1 MachineDeployment is deprecated; use cluster.x-k8s.io/v1beta2 MachineDeployment",
		}, "--from", filepath.Join("testdata", "sidero-template.yaml"))
	})
	t.Run("the appliance's", func(t *testing.T) { h.try(t, "new", nil) })
	t.Run("docs/clusters.md", h.typeDocument) // here, because a process has one set of Cluster API's controllers

	for _, line := range h.Log.Since(0, "forbidden", "Forbidden") {
		t.Error(line)
	}
}

// try makes a cluster of one machine for its control plane and two workers, and deletes it. The warnings are those that an
// apply of the manifest may give.
func (h *hall) try(t *testing.T, name string, warnings []string, how ...string) {
	manifest := h.clusterctl.Do(t, append([]string{"generate", "cluster", name, "--worker-machine-count", "2"}, how...)...)

	for range 2 { // the second time it is all there
		var got []string

		for line := range strings.Lines(h.kubectl.With(manifest).Do(t, "apply", "-f", "-")) {
			if strings.Contains(line, "arning") {
				got = append(got, strings.TrimSpace(line))
			}
		}

		if slices.Sort(got); !slices.Equal(got, warnings) {
			t.Errorf("kubectl warns %q, want %q", got, warnings)
		}
	}

	h.allocated(t, name)
	h.configured(t, name)

	h.kubectl.Do(t, "delete", "cluster", name, "--timeout=50s")

	if left := h.kubectl.Do(t, "get", "serverbindings,machines,metalmachines,taloscontrolplanes,machinedeployments", "-A", "-o", "name"); left != "" {
		t.Errorf("left after the cluster: %s", left)
	}
}

// of lists the objects of a cluster until there are so many of which something is true.
func of[T any, L interface {
	*T
	client.ObjectList
}](h *hall, t *testing.T, cluster string, are func(*T) bool,
) *T {
	t.Helper()

	list := L(new(T))

	eventually(t, fmt.Sprintf("there are %T of cluster %s as wanted", list, cluster), func() bool {
		err := h.List(t.Context(), list, client.MatchingLabels{clusterv1.ClusterNameLabel: cluster})

		return err == nil && are(list)
	})

	return list
}

// allocated: each machine has a server, which is bound to it.
func (h *hall) allocated(t *testing.T, cluster string) {
	t.Helper()

	machines := of(h, t, cluster, func(l *v1alpha3.MetalMachineList) bool {
		return len(l.Items) == 3 && !slices.ContainsFunc(l.Items, func(m v1alpha3.MetalMachine) bool { return !m.Status.Ready })
	})
	owners := of(h, t, cluster, func(l *clusterv1.MachineList) bool {
		return len(l.Items) == 3 && !slices.ContainsFunc(l.Items, func(m clusterv1.Machine) bool { return m.Spec.ProviderID == "" })
	})
	bindings := of(h, t, cluster, func(l *v1alpha3.ServerBindingList) bool { return len(l.Items) == 3 })

	bound := map[string]string{}
	for _, b := range bindings.Items {
		bound[b.Spec.MetalMachineRef.Name] = "sidero://" + b.Name

		if b.Spec.ServerClassRef == nil || b.Spec.ServerClassRef.Name != "any" {
			t.Errorf("binding %s is of class %v", b.Name, b.Spec.ServerClassRef)
		}
	}

	for _, m := range machines.Items {
		if id := ptr.Deref(m.Spec.ProviderID, ""); id != bound[m.Name] || !strings.HasPrefix(id, "sidero://s") {
			t.Errorf("MetalMachine %s has the provider ID %q, its binding %q", m.Name, id, bound[m.Name])
		}
	}

	for _, m := range owners.Items {
		if m.Spec.ProviderID != bound[m.Spec.InfrastructureRef.Name] || m.Spec.Version != repository.KubernetesVersion {
			t.Errorf("Machine %s has the provider ID %q and version %s", m.Name, m.Spec.ProviderID, m.Spec.Version)
		}
	}
}

// configured: each machine has a machine configuration for its part in the cluster, and all share the cluster's secrets, which are
// kept under upstream's names.
func (h *hall) configured(t *testing.T, cluster string) {
	t.Helper()

	configs := of(h, t, cluster, func(l *talos.TalosConfigList) bool {
		return len(l.Items) == 3 && !slices.ContainsFunc(l.Items, func(c talos.TalosConfig) bool { return !c.Status.Ready })
	})
	authority, parts := h.data(t, cluster+"-ca", corev1.TLSCertKey), map[string]int{}

	for _, c := range configs.Items {
		data := h.data(t, ptr.Deref(c.Status.DataSecretName, ""), "value")
		must(t, machineconfig.Validate(data))

		loaded, err := configloader.NewFromBytes(data)
		must(t, err)

		parts[loaded.Machine().Type().String()]++

		if got := loaded.Cluster().Endpoint().String(); got != "https://127.0.0.9:6443" || loaded.Cluster().Network().PodCIDRs()[0] != "10.244.0.0/16" ||
			!bytes.Equal(loaded.Cluster().IssuingCA().Crt, authority) {
			t.Errorf("%s is of another cluster, whose endpoint is %s", c.Name, got)
		}
	}

	if parts["controlplane"] != 1 || parts["worker"] != 2 {
		t.Errorf("the machines are %v", parts)
	}

	for name, key := range map[string]string{"-talos": "bundle", "-talosconfig": "talosconfig", "-kubeconfig": "value"} {
		if len(h.data(t, cluster+name, key)) == 0 {
			t.Errorf("Secret %s%s has no %s", cluster, name, key)
		}
	}
}

// data waits for a Secret.
func (h *hall) data(t *testing.T, name, key string) []byte {
	t.Helper()

	secret := &corev1.Secret{}

	eventually(t, "there is a Secret "+name, func() bool {
		return h.Get(t.Context(), client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: name}, secret) == nil
	})

	return secret.Data[key]
}
