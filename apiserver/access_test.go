package apiserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
)

func testAnonymous(t *testing.T, a api) {
	stranger := foreignClient(t)

	for _, path := range []string{
		"/", "/api", "/apis", "/version", "/healthz", "/livez", "/readyz", "/metrics", "/openapi/v2", "/openapi/v3",
		"/api/v1/namespaces/default/secrets", "/apis/metal.sidero.dev/v1alpha2/servers", "/debug/pprof/", "/nowhere",
	} {
		for name, certificates := range map[string][]tls.Certificate{"no certificate": nil, "foreign certificate": {stranger}} {
			if got := a.status(t, path, certificates); got != http.StatusUnauthorized {
				t.Errorf("%s with %s: %d, want 401", path, name, got)
			}
		}
	}
}

// foreignClient is the administrator's certificate of another appliance.
func foreignClient(t *testing.T) tls.Certificate {
	t.Helper()

	other, err := pki.Open(t.TempDir())
	must(t, err)

	pair, err := other.EnsureClient(pki.Admin)
	must(t, err)

	return tls.Certificate{Certificate: [][]byte{pair.Certificate.Raw}, PrivateKey: pair.Key}
}

func (a api) status(t *testing.T, path string, certificates []tls.Certificate) int {
	t.Helper()

	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.authorities(t), Certificates: certificates}}
	defer transport.CloseIdleConnections()

	response, err := (&http.Client{Transport: transport}).Get("https://" + a.Address.String() + path)
	must(t, err)

	defer response.Body.Close()

	return response.StatusCode
}

func (a api) authorities(t *testing.T) *x509.CertPool {
	t.Helper()

	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(a.Authority.PEM()) {
		t.Fatal("the authority has no certificate")
	}

	return pool
}

func testPowerlessAccount(t *testing.T, a api) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "powerless", Namespace: metav1.NamespaceDefault}}
	a.create(t, account)

	clients, later := a.bearer(t, account), a.bearer(t, account)

	who, err := clients.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	must(t, err)

	if name := who.Status.UserInfo.Username; name != "system:serviceaccount:default:powerless" {
		t.Errorf("the token's user is %q", name)
	}

	for _, path := range []string{
		"/api/v1/namespaces", "/api/v1/secrets", "/apis/metal.sidero.dev/v1alpha2/servers", "/metrics",
		"/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
	} {
		if err := clients.RESTClient().Get().AbsPath(path).Do(t.Context()).Error(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want 403", path, err)
		}
	}

	testNoLentSecrets(t, a, clients)

	must(t, a.client.Delete(t.Context(), account))

	// Another token, because the API server remembers for ten seconds whom it has let in.
	eventually(t, "refuse the token of a deleted account", func(ctx context.Context) (bool, error) {
		return apierrors.IsUnauthorized(later.RESTClient().Get().AbsPath("/version").Do(ctx).Error()), nil
	})
}

// testNoLentSecrets: who may write Servers may not have Secrets sent to a BMC that he may not read.
func testNoLentSecrets(t *testing.T, a api, clients *kubernetes.Clientset) {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "writes-servers"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{v1alpha2.GroupName}, Resources: []string{"servers"}, Verbs: []string{"create"}},
	}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceDefault, Name: "powerless"}},
	}
	a.create(t, role, binding)

	write := func(body string) error {
		return clients.RESTClient().Post().AbsPath("/apis/metal.sidero.dev/v1alpha2/servers").Param("dryRun", "All").
			SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(t.Context()).Error()
	}

	eventually(t, "let it write servers", func(context.Context) (bool, error) {
		return write(`{"apiVersion":"metal.sidero.dev/v1alpha2","kind":"Server","metadata":{"name":"x"},"spec":{"accepted":false}}`) == nil, nil
	})

	err := write(`{"apiVersion":"metal.sidero.dev/v1alpha2","kind":"Server","metadata":{"name":"x"},"spec":{"accepted":false,"bmc":{"endpoint":"evil",
		"passFrom":{"secretKeyRef":{"namespace":"kube-system","name":"one","key":"k"}}}}}`)
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "Secret kube-system/one, which you may not read") {
		t.Errorf("a Secret that the account may not read: %v", err)
	}
}

// bearer is the client of a service account's token.
func (a api) bearer(t *testing.T, account *corev1.ServiceAccount) *kubernetes.Clientset {
	t.Helper()

	token := &authenticationv1.TokenRequest{}
	must(t, a.client.SubResource("token").Create(t.Context(), account, token))

	config := rest.AnonymousClientConfig(a.Admin)
	config.BearerToken = token.Status.Token

	return kubernetes.NewForConfigOrDie(config)
}

// testComponentRights asks the API server what each component may do. What is not listed it may not.
func testComponentRights(t *testing.T, a api) {
	const metal, infrastructure, none, event = v1alpha2.GroupName, "infrastructure.cluster.x-k8s.io", "", "events.k8s.io"

	for _, c := range []struct {
		user                   user.DefaultInfo
		verb, group, resource  string
		namespace, subresource string
		allowed                bool
	}{
		{user: pki.Admin, verb: "*", group: "*", resource: "*", allowed: true},

		{user: bootstrap.Controllers, verb: "watch", group: metal, resource: "servers", allowed: true},
		{user: bootstrap.Controllers, verb: "create", group: metal, resource: "environments", allowed: true},
		{user: bootstrap.Controllers, verb: "patch", group: metal, resource: "serverclasses", allowed: true},
		{user: bootstrap.Controllers, verb: "create", group: event, resource: "events", allowed: true},
		{user: bootstrap.Controllers, verb: "create", group: metal, resource: "servers"},
		{user: bootstrap.Controllers, verb: "delete", group: metal, resource: "servers"},
		{user: bootstrap.Controllers, verb: "patch", group: metal, resource: "servers", subresource: "status", allowed: true},
		{user: bootstrap.Controllers, verb: "update", group: metal, resource: "servers"},
		{user: bootstrap.Controllers, verb: "delete", group: metal, resource: "environments"},
		{user: bootstrap.Controllers, verb: "get", group: none, resource: "secrets", allowed: true},
		{user: bootstrap.Controllers, verb: "list", group: none, resource: "secrets"},
		{user: bootstrap.Controllers, verb: "delete", group: infrastructure, resource: "serverbindings"},
		{user: bootstrap.Controllers, verb: "create", group: "rbac.authorization.k8s.io", resource: "clusterrolebindings"},

		{user: bootstrap.Registration, verb: "create", group: metal, resource: "servers", allowed: true},
		{user: bootstrap.Registration, verb: "patch", group: metal, resource: "servers", allowed: true},
		{user: bootstrap.Registration, verb: "patch", group: metal, resource: "servers", subresource: "status", allowed: true},
		{user: bootstrap.Registration, verb: "create", group: event, resource: "events", allowed: true},
		{user: bootstrap.Registration, verb: "delete", group: metal, resource: "servers"},
		{user: bootstrap.Registration, verb: "deletecollection", group: metal, resource: "servers"},
		{user: bootstrap.Registration, verb: "create", group: none, resource: "secrets", namespace: metav1.NamespaceDefault, allowed: true},
		{user: bootstrap.Registration, verb: "patch", group: none, resource: "secrets", namespace: metav1.NamespaceDefault, allowed: true},
		{user: bootstrap.Registration, verb: "list", group: none, resource: "secrets", namespace: metav1.NamespaceDefault},
		{user: bootstrap.Registration, verb: "list", group: none, resource: "secrets"},
		{user: bootstrap.Registration, verb: "watch", group: none, resource: "secrets"},
		{user: bootstrap.Registration, verb: "delete", group: none, resource: "secrets"},
		{user: bootstrap.Registration, verb: "get", group: none, resource: "secrets", namespace: metav1.NamespaceSystem},
		{user: bootstrap.Registration, verb: "create", group: metal, resource: "environments"},
		{user: bootstrap.Registration, verb: "create", group: "rbac.authorization.k8s.io", resource: "clusterrolebindings"},

		{user: bootstrap.Metadata, verb: "get", group: none, resource: "secrets", allowed: true},
		{user: bootstrap.Metadata, verb: "get", group: "cluster.x-k8s.io", resource: "machines", allowed: true},
		{user: bootstrap.Metadata, verb: "get", group: "bootstrap.cluster.x-k8s.io", resource: "talosconfigs", allowed: true},
		{user: bootstrap.Metadata, verb: "patch", group: infrastructure, resource: "serverbindings", subresource: "status", allowed: true},
		{user: bootstrap.Metadata, verb: "list", group: none, resource: "secrets"},
		{user: bootstrap.Metadata, verb: "create", group: none, resource: "secrets"},
		{user: bootstrap.Metadata, verb: "patch", group: metal, resource: "servers"},
		{user: bootstrap.Metadata, verb: "patch", group: infrastructure, resource: "serverbindings", allowed: true},
		{user: bootstrap.Metadata, verb: "delete", group: infrastructure, resource: "serverbindings"},

		{user: bootstrap.ClusterAPI, verb: "watch", group: "apiextensions.k8s.io", resource: "customresourcedefinitions", allowed: true},
		{user: bootstrap.ClusterAPI, verb: "get", group: "cluster.x-k8s.io", resource: "clusterclasses", allowed: true},
		{user: bootstrap.ClusterAPI, verb: "list", group: "cluster.x-k8s.io", resource: "clusters", allowed: true},
		{user: bootstrap.ClusterAPI, verb: "get", group: "controlplane.cluster.x-k8s.io", resource: "taloscontrolplanes", allowed: true},
		{user: bootstrap.ClusterAPI, verb: "get", group: none, resource: "secrets", allowed: true},
		{user: bootstrap.ClusterAPI, verb: "list", group: none, resource: "secrets"},
		{user: bootstrap.ClusterAPI, verb: "patch", group: "cluster.x-k8s.io", resource: "clusters"},
		{user: bootstrap.ClusterAPI, verb: "update", group: "controlplane.cluster.x-k8s.io", resource: "taloscontrolplanes"},
		{user: bootstrap.ClusterAPI, verb: "create", group: "apiextensions.k8s.io", resource: "customresourcedefinitions"},
		{user: bootstrap.ClusterAPI, verb: "patch", group: "admissionregistration.k8s.io", resource: "mutatingwebhookconfigurations"},
		{user: bootstrap.ClusterAPI, verb: "create", group: "rbac.authorization.k8s.io", resource: "clusterrolebindings"},
	} {
		clients := kubernetes.NewForConfigOrDie(a.Client(t, c.user))
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: c.verb, Group: c.group, Resource: c.resource, Subresource: c.subresource, Namespace: c.namespace,
			},
		}}

		answer, err := clients.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		must(t, err)

		if answer.Status.Allowed != c.allowed {
			t.Errorf("%s %s %s/%s %s: allowed %t", c.user.Name, c.verb, c.group, c.resource, c.subresource, answer.Status.Allowed)
		}
	}
}

// testCertificateReload gives the running server a certificate with a further address.
func testCertificateReload(t *testing.T, a api) {
	also := netip.MustParseAddr("192.0.2.7")
	if a.servedFor(t, also) {
		t.Fatalf("the server is known at %s already", also)
	}

	written, err := a.Authority.EnsureServing([]netip.Addr{a.Address.Addr(), also})
	if err != nil || !written {
		t.Fatalf("written %t, %v", written, err)
	}

	eventually(t, "serve the new certificate", func(context.Context) (bool, error) { return a.servedFor(t, also), nil })
}

// servedFor tells whether the certificate that the server shows is for an address.
func (a api) servedFor(t *testing.T, address netip.Addr) bool {
	t.Helper()

	connection, err := tls.Dial("tcp", a.Address.String(), &tls.Config{RootCAs: a.authorities(t)})
	must(t, err)

	defer connection.Close()

	return connection.ConnectionState().PeerCertificates[0].VerifyHostname(net.IP(address.AsSlice()).String()) == nil
}
