package hall_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/sidero-appliance/sidero-appliance/e2e/simulated/image"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/hall"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/talosapi"
	"github.com/sidero-appliance/sidero-appliance/talosapi/talostest"
)

// TestHall takes two clusters of one process from power-on to a wiped machine, by the clients that the product has.
func TestHall(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	h := start(t)
	for _, name := range []string{"a", "b"} {
		s := newSite(t, name)
		control, worker := s.powerOn(ctx, t, h, "controlplane"), s.powerOn(ctx, t, h, "worker")

		api := s.dial(t, control)
		eventually(t, func() error {
			err := api.Bootstrap(ctx)
			if errors.Is(err, talosapi.ErrBootstrapped) {
				t.Fatal("bootstrapped before it was")
			}
			return err
		})
		if err := api.Bootstrap(ctx); !errors.Is(err, talosapi.ErrBootstrapped) {
			t.Errorf("second bootstrap: %v", err)
		}
		members, err := api.EtcdMembers(ctx)
		if err != nil || len(members) != 1 || members[0].PeerURLs[0] != "https://"+control.address+":2380" {
			t.Errorf("members are %+v, %v", members, err)
		}
		if err := api.EtcdLeave(ctx); err == nil {
			t.Error("the last member may leave")
		}

		nodes := s.nodes(ctx, t, 2)
		for _, m := range []*machine{control, worker} {
			if !slices.ContainsFunc(nodes, func(n *corev1.Node) bool {
				return n.Status.NodeInfo.SystemUUID == m.uuid && n.Status.Addresses[0].Address == m.address
			}) {
				t.Errorf("no Node is that of %s", m.uuid)
			}
		}
		s.writes(ctx, t, nodes[0])

		its := s.dial(t, worker)
		eventually(t, func() error { _, err := its.Version(ctx); return err })
		if err := its.Reset(ctx, talosapi.Reset{Graceful: true}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-worker.off:
		case <-ctx.Done():
			t.Fatal("a machine that is reset is not switched off")
		}
		if image.Boots(worker.disk) {
			t.Error("it is not wiped")
		}
	}
}

// start is a hall behind a unix socket.
func start(t *testing.T) hall.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "hall")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	must(t, err)
	server := &http.Server{Handler: hall.New().Handler(slog.New(slog.DiscardHandler))}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { must(t, server.Close()) })
	return hall.Client{Socket: socket}
}

// site are the secrets of a cluster, and who gives out its configurations.
type site struct {
	name     string
	secrets  *machineconfig.Secrets
	endpoint string
	admin    []byte
	api      kubernetes.Interface
}

func newSite(t *testing.T, name string) *site {
	t.Helper()
	secrets, err := machineconfig.NewSecrets("v1.13", time.Now())
	must(t, err)
	admin, err := secrets.ClientConfig(machineconfig.Client{Cluster: name}, time.Now())
	must(t, err)
	s := &site{name: name, secrets: secrets, endpoint: talostest.Address(), admin: admin}
	authority, err := pki.NewAuthority(secrets.KubernetesCA())
	must(t, err)
	pair, err := authority.Issue(pki.Subject{Name: "test", Organizations: []string{"system:masters"}})
	must(t, err)
	s.api, err = kubernetes.NewForConfig(&rest.Config{
		Host:            "https://" + s.endpoint + ":6443",
		TLSClientConfig: rest.TLSClientConfig{CAData: authority.PEM, CertData: pair.Certificate, KeyData: pair.Key},
	})
	must(t, err)
	return s
}

type machine struct {
	uuid, address, disk string
	off                 chan struct{}
}

// powerOn switches a machine on, and again when it restarts.
func (s *site) powerOn(ctx context.Context, t *testing.T, h hall.Client, role string) *machine {
	t.Helper()
	m := &machine{uuid: s.name + "-" + role, address: talostest.Address(), disk: t.TempDir(), off: make(chan struct{})}
	if role == "worker" { // there are disks of both kinds
		m.disk = filepath.Join(m.disk, "disk")
		must(t, os.WriteFile(m.disk, []byte("what was there before"), 0o600))
	}
	text, err := machineconfig.Generate(machineconfig.Node{
		Role: role, TalosVersion: "v1.13", KubernetesVersion: "v1.36.2", Cluster: machineconfig.Cluster{Name: s.name, Host: s.endpoint, Port: 6443},
	}, s.secrets)
	must(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
	t.Cleanup(server.Close)
	go func() {
		defer close(m.off)
		for outcome := node.Reboot; outcome == node.Reboot; {
			var err error
			outcome, err = h.PowerOn(ctx, hall.Machine{
				Args: "talos.config=" + server.URL + "/?uuid=", UUID: m.uuid, Addresses: []netip.Addr{netip.MustParseAddr(m.address)}, Disk: m.disk,
			})
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	}()
	return m
}

func (s *site) dial(t *testing.T, m *machine) talosapi.Node {
	t.Helper()
	api, err := talosapi.Dial(s.admin, m.address)
	must(t, err)
	t.Cleanup(func() { _ = api.Close() })
	return api
}

// nodes waits for Nodes by an informer, as Cluster API has it.
func (s *site) nodes(ctx context.Context, t *testing.T, want int) []*corev1.Node {
	t.Helper()
	eventually(t, func() error { _, err := s.api.Discovery().ServerVersion(); return err })
	for _, version := range []string{"v1", "coordination.k8s.io/v1"} {
		if list, err := s.api.Discovery().ServerResourcesForGroupVersion(version); err != nil || len(list.APIResources) == 0 {
			t.Errorf("of %s there is %+v, %v", version, list, err)
		}
	}
	factory := informers.NewSharedInformerFactory(s.api, 0)
	lister := factory.Core().V1().Nodes().Lister()
	informer := factory.Core().V1().Nodes().Informer()
	ctx, cancel := context.WithCancel(ctx)
	defer factory.Shutdown()
	defer cancel()
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		t.Fatal("Nodes are not known")
	}
	var nodes []*corev1.Node
	eventually(t, func() (err error) {
		if nodes, err = lister.List(labels.Everything()); err == nil && len(nodes) != want {
			err = fmt.Errorf("%d Nodes instead of %d", len(nodes), want)
		}
		return err
	})
	return nodes
}

// writes does to a Node what Cluster API does.
func (s *site) writes(ctx context.Context, t *testing.T, n *corev1.Node) {
	t.Helper()
	nodes := s.api.CoreV1().Nodes()
	for kind, patch := range map[types.PatchType]string{
		types.StrategicMergePatchType: `{"metadata":{"labels":{"x":"1"}},"spec":{"taints":[{"key":"k","effect":"NoSchedule"}]}}`,
		types.MergePatchType:          `{"spec":{"providerID":"sidero://u"}}`,
		types.JSONPatchType:           `[{"op":"add","path":"/metadata/annotations","value":{"y":"2"}}]`,
	} {
		if _, err := nodes.Patch(ctx, n.Name, kind, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	is, err := nodes.Get(ctx, n.Name, metav1.GetOptions{})
	must(t, err)
	if is.Labels["x"] != "1" || is.Spec.ProviderID != "sidero://u" || is.Annotations["y"] != "2" || len(is.Spec.Taints) == 0 || is.UID != n.UID {
		t.Errorf("patched it is %+v", is)
	}
	if pods, err := s.api.CoreV1().Pods("").List(ctx, metav1.ListOptions{}); err != nil || len(pods.Items) != 0 {
		t.Errorf("pods: %v, %v", pods, err)
	}
	if lease, err := s.api.CoordinationV1().Leases("kube-node-lease").Get(ctx, n.Name, metav1.GetOptions{}); err != nil || time.Since(lease.Spec.RenewTime.Time) > time.Minute {
		t.Errorf("lease: %+v, %v", lease, err)
	}
	must(t, nodes.Delete(ctx, n.Name, metav1.DeleteOptions{}))
	if _, err := nodes.Get(ctx, n.Name, metav1.GetOptions{}); err == nil {
		t.Error("a deleted Node is there")
	}
}

func eventually(t *testing.T, is func() error) {
	t.Helper()
	var last error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if last = is(); last == nil {
			return
		}
	}
	t.Fatal(last)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
