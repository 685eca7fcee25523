package clusterapi

import (
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
)

// TestWorkloads reads from a cluster by the kubeconfig in its Secret. The cluster is the control plane itself.
func TestWorkloads(t *testing.T) {
	p := apitest.Start(t)

	c, err := client.New(p.Admin, client.Options{})
	if err != nil {
		t.Fatal(err)
	}

	content, err := os.ReadFile(p.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}

	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "some-kubeconfig"},
		Data:       map[string][]byte{"value": content},
	}
	if err := c.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}

	workload, err := workloads{c}.GetReader(t.Context(), client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: "some"})
	if err != nil {
		t.Fatal(err)
	}

	if err := workload.Get(t.Context(), client.ObjectKey{Name: metav1.NamespaceDefault}, &corev1.Namespace{}); err != nil {
		t.Error(err)
	}

	if _, err := (workloads{c}).GetReader(t.Context(), client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: "other"}); err == nil {
		t.Error("a cluster without a kubeconfig was reached")
	}
}

// TestClientConfig gives kubeconfigs that would make the appliance run or read something.
func TestClientConfig(t *testing.T) {
	const complete = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://192.0.2.1:6443"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`

	for _, c := range []struct{ name, old, new, want string }{
		{"complete", "", "", ""},
		{"program", "token: t", "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/true}", "from a program"},
		{"provider", "token: t", "auth-provider: {name: oidc}", "from a program"},
		{"token file", "token: t", "tokenFile: /etc/passwd", "names files"},
		{"certificate file", "token: t", "client-certificate: /etc/passwd", "names files"},
		{"key file", "token: t", "client-key: /etc/passwd", "names files"},
		{"authority file", `server: "https`, `certificate-authority: /etc/passwd, server: "https`, "names files"},
		{"broken", "users:", "users", "parse it"},
		{"no context", "current-context: x", "current-context: other", "make client configuration"},
	} {
		_, err := clientConfig([]byte(strings.Replace(complete, c.old, c.new, 1)))
		if c.want == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
