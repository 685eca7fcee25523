package controlplane_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/talosapi/talostest"
)

// kubernetes answers for the cluster's API: on the nodes that are on runs what their configurations say.
func (l *lab) kubernetes() http.Handler {
	mux := http.NewServeMux()
	tell := func(w http.ResponseWriter, answer any) {
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			l.t.Log(err)
		}
	}

	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) { tell(w, map[string]string{"gitVersion": version}) })
	mux.HandleFunc("/api/v1/nodes", func(w http.ResponseWriter, _ *http.Request) {
		var list corev1.NodeList
		for _, n := range l.running() {
			list.Items = append(list.Items, node(n))
		}

		tell(w, list)
	})
	mux.HandleFunc("/api/v1/namespaces/kube-system/pods", func(w http.ResponseWriter, _ *http.Request) {
		var list corev1.PodList

		for _, n := range l.running() {
			for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
				list.Items = append(list.Items, pod(n, name))
			}
		}

		tell(w, list)
	})

	return mux
}

func (l *lab) running() []*talostest.Node {
	var running []*talostest.Node

	for _, n := range l.talos.Nodes() {
		if _, on := n.Running(); on {
			running = append(running, n)
		}
	}

	return running
}

func node(n *talostest.Node) corev1.Node {
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Hostname}}
	_, node.Status.NodeInfo.KubeletVersion, _ = strings.Cut(image(n, "kubelet"), ":")
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: n.Address}}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}

	return node
}

func pod(n *talostest.Node, name string) corev1.Pod {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name + "-" + n.Hostname, Namespace: metav1.NamespaceSystem, Labels: map[string]string{"tier": "control-plane", "k8s-app": name},
	}}
	pod.Spec.NodeName = n.Hostname
	pod.Spec.Containers = []corev1.Container{{Name: name, Image: image(n, name)}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}

	return pod
}

// image is that of a part by a node's configuration.
func image(n *talostest.Node, part string) string {
	for line := range strings.Lines(string(n.Configuration())) {
		if _, named, ok := strings.Cut(strings.TrimSpace(line), "image: "); ok && strings.Contains(named, "/"+part+":") {
			return named
		}
	}

	return ""
}

// serveKubernetes serves the cluster's API by the certificates of the cluster.
func serveKubernetes(t *testing.T, secrets *machineconfig.Secrets, handler http.Handler) (host string, port int32) {
	t.Helper()

	authority, err := tls.X509KeyPair(secrets.KubernetesCA())
	clustertest.Must(t, err)

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	clustertest.Must(t, err)

	certificate, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kube-apiserver"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority.Leaf, key.Public(), authority.PrivateKey)
	clustertest.Must(t, err)

	trusted := x509.NewCertPool()
	trusted.AddCert(authority.Leaf)

	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted,
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
	})
	clustertest.Must(t, err)

	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(listener) //nolint:errcheck // it ends with the test
	t.Cleanup(func() { clustertest.Must(t, server.Close()) })

	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP")
	}

	return "127.0.0.1", int32(address.Port) //nolint:gosec // a port
}
