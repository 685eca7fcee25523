//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc/grpclog"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	controlplanev1 "github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/e2e/simulated"
	talos "github.com/sidero-appliance/sidero-appliance/e2e/talosnode/hall"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
)

// asHall has this program be a hall of nodes, at the socket that it names, instead of a test.
const asHall = "SIDERO_APPLIANCE_TEST_HALL"

func TestMain(m *testing.M) {
	// Programs that stand for machines dial an appliance that was killed until it is there again, and gRPC tells of each time.
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, os.Stderr))

	socket := os.Getenv(asHall)
	if socket == "" {
		os.Exit(m.Run())
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := talos.Serve(ctx, socket, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))

	stop()

	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// nodes is where simulated machines have Talos from: a process beside the appliance, as many nodes as are needed.
type nodes struct {
	talos.Client

	// reports has machines tell events.
	reports bool
}

// nodesBeside starts it. Each address of 10.0.0.0/8 is the appliance's computer's from then on: machines have some of them, and clusters
// their endpoints.
func nodesBeside(ctx context.Context, t testing.TB, i *installation.Installation) *nodes {
	t.Helper()

	must(t, 0, i.Lab.Run(i.Lab.Command(ctx, "ip", "route", "add", "local", "10.0.0.0/8", "dev", "lo")))

	self, err := os.Executable()
	self = must(t, self, err)
	dir := t.TempDir()
	said, err := lab.NewTranscript(filepath.Join(dir, "hall.log"))
	said = must(t, said, err)
	n := &nodes{Client: talos.Client{Socket: filepath.Join(dir, "hall")}}

	cmd := i.Lab.Command(context.Background(), self)
	cmd.Env = append(os.Environ(), asHall+"="+n.Socket)
	cmd.Stdout, cmd.Stderr = said, said

	process, err := i.Lab.Start(cmd)
	process = must(t, process, err)

	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}

		if t.Failed() {
			showLog(t, said.Path())
		}

		if err := said.Close(); err != nil {
			t.Error(err)
		}
	})

	eventually(ctx, t, func() error {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", n.Socket)
		if err != nil {
			return err
		}

		return conn.Close()
	})

	return n
}

// boot is a simulated machine's System.
func (n *nodes) boot(ctx context.Context, m *simulated.Machine, arguments string) (bool, error) {
	outcome, err := n.PowerOn(ctx, talos.Machine{
		Args: arguments, UUID: m.Name, MAC: m.MAC.String(), Hostname: "node-" + m.Name[:8], Addresses: []netip.Addr{m.Reachable()},
		Disk: m.Disk(), Reports: n.reports,
	})

	return outcome == node.Reboot, err
}

// shape is what a cluster is made of.
type shape struct {
	name, class, kubernetes, talos string
	// controls and workers are numbers of machines.
	controls, workers int
	// endpoint is the address of the cluster's API, at port 7443: the appliance's own API is at 6443 of all addresses.
	endpoint string
}

// newShape is a cluster of today's versions. Its number gives it an address that no machine has.
func newShape(number int, name, class string, controls, workers int) shape {
	return shape{
		name: name, class: class, controls: controls, workers: workers, kubernetes: "v" + constants.DefaultKubernetesVersion, talos: "v1.13",
		endpoint: netip.AddrFrom4([4]byte{10, 200, byte(number >> 8), byte(number)}).String(),
	}
}

// manifest is Sidero's own template of it.
func (s shape) manifest(t testing.TB) string {
	t.Helper()

	text, err := os.ReadFile(template)

	return os.Expand(string(must(t, text, err)), func(name string) string {
		return map[string]string{
			"CLUSTER_NAME": s.name, "CONTROL_PLANE_ENDPOINT": s.endpoint, "CONTROL_PLANE_PORT": "7443",
			"CONTROL_PLANE_SERVERCLASS": s.class, "WORKER_SERVERCLASS": s.class,
			"CONTROL_PLANE_MACHINE_COUNT": strconv.Itoa(s.controls), "WORKER_MACHINE_COUNT": strconv.Itoa(s.workers),
			"KUBERNETES_VERSION": s.kubernetes, "TALOS_VERSION": s.talos,
		}[name]
	})
}

// serveReleases serves files as Talos's releases, outside, each of which holds its own path.
func serveReleases(ctx context.Context, t testing.TB, i *installation.Installation) {
	t.Helper()

	files := http.NewServeMux()
	files.HandleFunc("GET /talos/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })

	serve(ctx, t, i, &http.Server{Addr: outside, Handler: files})
}

// serve has a server at its address inside the lab until the test ends.
func serve(ctx context.Context, t testing.TB, i *installation.Installation, server *http.Server) {
	t.Helper()

	listener, err := i.Lab.Listen(ctx, "tcp", server.Addr)
	listener = must(t, listener, err)
	server.ReadHeaderTimeout = time.Minute

	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
}

// complete returns nil when a cluster is what Sidero's suite calls ready: available, with all machines of its control plane and of its
// workers there, and no other; and when its own nodes are healthy.
func complete(ctx context.Context, i *installation.Installation, c client.Client, of shape) error {
	var (
		cluster clusterv1.Cluster
		plane   controlplanev1.TalosControlPlane
		workers clusterv1.MachineDeployment
	)

	for name, object := range map[string]client.Object{of.name: &cluster, of.name + "-cp": &plane, of.name + "-workers": &workers} {
		if err := c.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: name}, object); err != nil {
			return err
		}
	}

	available := false
	for _, c := range cluster.Status.Conditions {
		available = available || c.Type == clusterv1.ClusterAvailableCondition && c.Status == metav1.ConditionTrue
	}

	is, up := plane.Status, workers.Status
	if !available || !is.Ready || !is.Initialized || int(is.Replicas) != of.controls || int(is.ReadyReplicas) != of.controls ||
		int(ptr.Deref(up.ReadyReplicas, 0)) != of.workers || int(ptr.Deref(up.Replicas, 0)) != of.workers {
		return fmt.Errorf("cluster %s is available=%t, its control plane %+v, its workers %+v, its conditions %+v",
			of.name, available, is, up, cluster.Status.Conditions)
	}

	return healthy(ctx, i, c, of.name, of.controls+of.workers)
}

// workloadOf is a client of a cluster itself, by the Secret that Cluster API keeps for it.
func workloadOf(ctx context.Context, i *installation.Installation, c client.Client, cluster string) (*kubernetes.Clientset, error) {
	secret := &corev1.Secret{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: cluster + "-kubeconfig"}, secret); err != nil {
		return nil, err
	}

	config, err := clientcmd.RESTConfigFromKubeConfig(secret.Data["value"])
	if err != nil {
		return nil, err
	}

	config.Dial = i.Lab.Dial

	return kubernetes.NewForConfig(config)
}

// healthy returns nil when a cluster has so many Nodes, all of them ready.
func healthy(ctx context.Context, i *installation.Installation, c client.Client, cluster string, count int) error {
	api, err := workloadOf(ctx, i, c, cluster)
	if err != nil {
		return err
	}

	list, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}

	ready := 0

	for n := range list.Items {
		if isReady(&list.Items[n]) {
			ready++
		}
	}

	if ready != count || len(list.Items) != count {
		return fmt.Errorf("%d of %d nodes are ready, want %d", ready, len(list.Items), count)
	}

	return nil
}

func isReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}
