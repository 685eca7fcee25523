package bootstrap_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/controllers/kube"
)

const (
	metal = v1alpha2.GroupName
	rbac  = "rbac.authorization.k8s.io"
)

// happensWithin bounds the wait for what happens by itself.
const happensWithin = 30 * time.Second

// house is a control plane with roles and what aggregates them.
type house struct {
	*apitest.Plane

	admin *kubernetes.Clientset
}

func TestPeople(t *testing.T) {
	plane := apitest.Start(t)
	h := house{Plane: plane, admin: kubernetes.NewForConfigOrDie(plane.Admin)}

	roles, err := bootstrap.New(bootstrap.Config{Client: plane.Client(t, pki.Owner), Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	apitest.Run(t, roles)

	aggregation, err := kube.New(plane.Client(t, pki.Owner))
	must(t, err)
	apitest.Run(t, aggregation)

	for _, r := range rights() { // so that what may not be is not only not yet
		r.each(func(group, verb string, a authorizationv1.ResourceAttributes, allowed bool) {
			if allowed {
				h.comes(t, group, verb, a)
			}
		})
	}

	for name, test := range map[string]func(*testing.T, house){
		"groups have their rights":               testGroups,
		"every native resource is covered":       testCovered,
		"kubernetes's own roles cover them":      testKubernetesRoles,
		"an operator works":                      testOperator,
		"an administrator gives no more than is": testEscalation,
		"a user's kind is added by labels":       testUsersKind,
		"kubectl makes tokens":                   testTokens,
		"requests are sorted by priority":        testFairness,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // some wait for what the API server remembers to be forgotten
			test(t, h)
		})
	}
}

// may asks the API server.
func (h house) may(t *testing.T, group, verb string, a authorizationv1.ResourceAttributes) bool {
	t.Helper()

	a.Verb = verb
	answer, err := h.admin.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: "jane", Groups: []string{group, user.AllAuthenticated}, ResourceAttributes: &a},
	}, metav1.CreateOptions{})
	must(t, err)

	return answer.Status.Allowed
}

// comes waits for a right: aggregation follows a little later.
func (h house) comes(t *testing.T, group, verb string, a authorizationv1.ResourceAttributes) {
	t.Helper()

	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, happensWithin, true, func(context.Context) (bool, error) {
		return h.may(t, group, verb, a), nil
	})
	if err != nil {
		t.Fatalf("%s may not %s %s/%s: %v", group, verb, a.Group, a.Resource, err)
	}
}

func testGroups(t *testing.T, h house) {
	for _, r := range rights() {
		r.each(func(group, verb string, a authorizationv1.ResourceAttributes, allowed bool) {
			if got := h.may(t, group, verb, a); got != allowed {
				t.Errorf("%s: %s %s/%s %s: allowed %t", group, verb, a.Group, a.Resource, a.Subresource, got)
			}
		})
	}

	if h.may(t, "some:other", "list", authorizationv1.ResourceAttributes{Group: metal, Resource: "servers"}) {
		t.Error("anybody may list servers")
	}
}

// right is what the group from and those above it may do.
type right struct {
	verbs, group string
	resources    string
	subresource  string
	from         string
}

const nobody = "nobody"

func rights() []right {
	return []right{
		{verbs: "get list watch", group: metal, resources: "servers serverclasses environments", from: bootstrap.Viewers},
		{verbs: "get", group: metal, resources: "servers", subresource: "status", from: bootstrap.Viewers},
		{verbs: "get list watch", resources: "events namespaces", from: bootstrap.Viewers},
		{verbs: "get list watch", group: "events.k8s.io", resources: "events", from: bootstrap.Viewers},
		{verbs: "list", group: "apiextensions.k8s.io", resources: "customresourcedefinitions", from: bootstrap.Viewers},
		{verbs: "create update patch delete", group: metal, resources: "servers serverclasses environments", from: bootstrap.Operators},
		{verbs: "deletecollection", group: metal, resources: "servers serverclasses environments", from: bootstrap.Admins},
		{verbs: "update patch", group: metal, resources: "servers serverclasses environments", subresource: "status", from: bootstrap.Admins},
		{verbs: "get list watch create update patch delete", resources: "secrets configmaps serviceaccounts", from: bootstrap.Admins},
		{verbs: "create", resources: "serviceaccounts", subresource: "token", from: bootstrap.Admins},
		{verbs: "create patch", group: rbac, resources: "roles rolebindings clusterroles clusterrolebindings", from: bootstrap.Admins},
		{verbs: "bind escalate", group: rbac, resources: "clusterroles", from: nobody},
		{verbs: "impersonate", resources: "users groups serviceaccounts", from: nobody},
		{verbs: "create delete", group: "apiextensions.k8s.io", resources: "customresourcedefinitions", from: nobody},
		{verbs: "create", group: "admissionregistration.k8s.io", resources: "validatingwebhookconfigurations", from: nobody},
		{verbs: "patch", group: "flowcontrol.apiserver.k8s.io", resources: "flowschemas", from: nobody},
		{verbs: "get list watch", group: "bootstrap.cluster.x-k8s.io", resources: "talosconfigs", from: bootstrap.Operators},
		{verbs: "get", group: "bootstrap.cluster.x-k8s.io", resources: "talosconfigs", subresource: "status", from: bootstrap.Operators},
		{verbs: "get list watch", group: clusterctlv1.GroupVersion.Group, resources: "providers", from: bootstrap.Viewers},
		{verbs: "create update patch delete", group: clusterctlv1.GroupVersion.Group, resources: "providers", from: nobody},
		{verbs: "get list watch", group: "cluster.x-k8s.io", resources: "clusters clusterclasses machines machinedeployments", from: bootstrap.Viewers},
		{verbs: "create update patch delete", group: "cluster.x-k8s.io", resources: "clusters machinedeployments", from: bootstrap.Operators},
		{verbs: "patch", group: "cluster.x-k8s.io", resources: "machinedeployments", subresource: "scale", from: bootstrap.Operators},
		{verbs: "patch", group: "cluster.x-k8s.io", resources: "clusters", subresource: "status", from: bootstrap.Admins},
		{verbs: "deletecollection", group: "cluster.x-k8s.io", resources: "clusters", from: bootstrap.Admins},
		{verbs: "list", group: "ipam.cluster.x-k8s.io", resources: "ipaddresses", from: bootstrap.Viewers},
		{verbs: "create", group: "addons.cluster.x-k8s.io", resources: "clusterresourcesets", from: bootstrap.Operators},
		{verbs: "create list", group: "runtime.cluster.x-k8s.io", resources: "extensionconfigs", from: bootstrap.Admins},
		{verbs: "create", group: "cert-manager.io", resources: "certificates issuers", from: nobody},
	}
}

// each visits every group, verb and resource.
func (r right) each(visit func(group, verb string, a authorizationv1.ResourceAttributes, allowed bool)) {
	allowed := false

	for _, group := range []string{bootstrap.Viewers, bootstrap.Operators, bootstrap.Admins} {
		allowed = allowed || group == r.from

		for _, verb := range strings.Fields(r.verbs) {
			for _, resource := range strings.Fields(r.resources) {
				visit(group, verb, authorizationv1.ResourceAttributes{
					Group: r.group, Resource: resource, Subresource: r.subresource, Namespace: "default",
				}, allowed)
			}
		}
	}
}

// testCovered fails when a kind is served that bootstrap forgot.
func testCovered(t *testing.T, h house) {
	lists, err := h.admin.Discovery().ServerPreferredResources()
	must(t, err)

	covered := 0

	for _, list := range lists {
		group, _, native := strings.Cut(list.GroupVersion, "/")
		if !native || strings.HasSuffix(group, ".k8s.io") && !strings.HasSuffix(group, ".cluster.x-k8s.io") || forTools(group) {
			continue
		}

		for _, resource := range list.APIResources {
			covered++

			lowest := bootstrap.Viewers
			if resource.Name == "talosconfigs" { // their status has a key, see TestPeople's table
				lowest = bootstrap.Operators
			}

			h.comes(t, lowest, "list", authorizationv1.ResourceAttributes{Group: group, Resource: resource.Name})
			h.comes(t, bootstrap.Operators, "patch", authorizationv1.ResourceAttributes{Group: group, Resource: resource.Name})
			h.comes(t, bootstrap.Admins, "deletecollection", authorizationv1.ResourceAttributes{Group: group, Resource: resource.Name})
		}
	}

	if covered < 3 {
		t.Errorf("only %d native resources were found", covered)
	}
}

// forTools tells whether only tools have to do with a group: the inventory is clusterctl's, and what stands in for
// cert-manager is there for it.
func forTools(group string) bool {
	return group == clusterctlv1.GroupVersion.Group || group == "cert-manager.io"
}

func testKubernetesRoles(t *testing.T, h house) {
	servers := authorizationv1.ResourceAttributes{Group: metal, Resource: "servers"}

	for _, c := range []struct{ role, may, mayNot string }{
		{"view", "list", "patch"}, {"edit", "patch", "deletecollection"}, {"admin", "deletecollection", ""},
	} {
		_, err := h.admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding("test-"+c.role, c.role), metav1.CreateOptions{})
		must(t, err)
		h.comes(t, "test-"+c.role, c.may, servers)

		if c.mayNot != "" && h.may(t, "test-"+c.role, c.mayNot, servers) {
			t.Errorf("%s may %s servers", c.role, c.mayNot)
		}
	}

	if h.may(t, "test-view", "list", authorizationv1.ResourceAttributes{Resource: "secrets"}) {
		t.Error("view may list secrets")
	}
}

func binding(group, role string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: group},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbac, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbac, Kind: "Group", Name: group}},
	}
}

// testOperator does what an operator does all day.
func testOperator(t *testing.T, h house) {
	c, err := client.New(h.Client(t, user.DefaultInfo{Name: "joe", Groups: []string{bootstrap.Operators}}), client.Options{})
	must(t, err)
	must(t, v1alpha2.AddToScheme(c.Scheme()))

	server := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "box"}}
	must(t, c.Create(t.Context(), server))
	must(t, c.Patch(t.Context(), server, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"accepted":true}}`))))

	server.Status.IsClean = true
	if err := c.Status().Update(t.Context(), server); !apierrors.IsForbidden(err) {
		t.Errorf("writing status: %v, want 403", err)
	}

	if err := c.List(t.Context(), &corev1.SecretList{}); !apierrors.IsForbidden(err) {
		t.Errorf("listing secrets: %v, want 403", err)
	}

	must(t, c.Delete(t.Context(), server))
}

func testEscalation(t *testing.T, h house) {
	ann := kubernetes.NewForConfigOrDie(h.Client(t, user.DefaultInfo{Name: "ann", Groups: []string{bootstrap.Admins}}))

	_, err := ann.RbacV1().ClusterRoleBindings().Create(t.Context(), binding("test-more-operators", bootstrap.Operators), metav1.CreateOptions{})
	must(t, err)

	_, err = ann.RbacV1().ClusterRoleBindings().Create(t.Context(), binding("test-too-much", "cluster-admin"), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("binding cluster-admin: %v, want 403", err)
	}

	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "test-smuggled", Labels: map[string]string{"rbac.sidero.dev/aggregate-to-admin": "true"}},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}},
	}
	if _, err := ann.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("aggregating everything: %v, want 403", err)
	}
}

// testUsersKind adds rights on a kind of somebody else's, and takes them away.
func testUsersKind(t *testing.T, h house) {
	gadgets := authorizationv1.ResourceAttributes{Group: "example.org", Resource: "gadgets"}
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "test-gadgets", Labels: map[string]string{
			"rbac.sidero.dev/aggregate-to-viewer":          "true",
			"rbac.authorization.k8s.io/aggregate-to-admin": "true",
		}},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{gadgets.Group}, Resources: []string{gadgets.Resource}, Verbs: []string{"list"}}},
	}

	_, err := h.admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding("test-admin-of-gadgets", "admin"), metav1.CreateOptions{})
	must(t, err)

	if h.may(t, bootstrap.Viewers, "list", gadgets) {
		t.Fatal("gadgets may be listed already")
	}

	_, err = h.admin.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{})
	must(t, err)

	for _, group := range []string{bootstrap.Viewers, bootstrap.Operators, bootstrap.Admins, "test-admin-of-gadgets"} {
		h.comes(t, group, "list", gadgets)
	}

	must(t, h.admin.RbacV1().ClusterRoles().Delete(t.Context(), role.Name, metav1.DeleteOptions{}))

	err = wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, happensWithin, true, func(context.Context) (bool, error) {
		return !h.may(t, bootstrap.Admins, "list", gadgets), nil
	})
	must(t, err)
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
