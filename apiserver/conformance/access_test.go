package conformance_test

import (
	"context"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func access() []row {
	return []row{
		{name: "rights/verbs", test: testVerbRights},
		{name: "rights/subresources", test: testSubresourceRights},
		{name: "rights/one object", test: testNamedRights},
		{name: "rights/one namespace", takes: subject.inNamespaces, test: testNamespaceRights},
		{name: "rights/reviews", test: testReviews},
		{name: "rights/impersonation", test: testImpersonation},
	}
}

// person is a user of the case.
func (a api) person() user.DefaultInfo { return user.DefaultInfo{Name: "person-" + a.id} }

// personal is a client configuration of the case's user.
func (a api) personal(t *testing.T) *rest.Config {
	t.Helper()

	config := a.Client(t, a.person())
	config.QPS = -1

	return config
}

// rule is a right on the subject.
func (a api) rule(verbs string, resources ...string) rbacv1.PolicyRule {
	if resources == nil {
		resources = []string{a.resource}
	}

	return rbacv1.PolicyRule{Verbs: strings.Fields(verbs), APIGroups: []string{a.Group}, Resources: resources}
}

// grant gives rights in the case's namespace to a subject, or everywhere if the kind has no namespaces, and waits until the
// first of them holds.
func (a api) grant(t *testing.T, to rbacv1.Subject, rules ...rbacv1.PolicyRule) {
	t.Helper()

	meta := metav1.ObjectMeta{Name: "granted-" + a.id}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}
	reference := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name}

	_, err := a.kube.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{})
	must(t, err)

	if a.namespaced {
		_, err = a.kube.RbacV1().RoleBindings(a.namespace).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: reference, Subjects: []rbacv1.Subject{to}}, metav1.CreateOptions{})
	} else {
		_, err = a.kube.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: reference, Subjects: []rbacv1.Subject{to}}, metav1.CreateOptions{})
	}

	must(t, err)

	name := to.Name
	if to.Kind == rbacv1.ServiceAccountKind {
		name = "system:serviceaccount:" + to.Namespace + ":" + to.Name
	}

	first := a.attributes(rules[0].Verbs[0])
	if len(rules[0].ResourceNames) != 0 {
		first.Name = rules[0].ResourceNames[0]
	}

	eventually(t, "have the rights", func(ctx context.Context) (bool, error) {
		return a.may(ctx, name, first)
	})
}

func (a api) toPerson() rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: a.person().Name}
}

// attributes are of a request for the subject.
func (a api) attributes(verb string) authorizationv1.ResourceAttributes {
	attributes := authorizationv1.ResourceAttributes{Verb: verb, Group: a.Group, Version: a.Version, Resource: a.resource}
	if a.namespaced {
		attributes.Namespace = a.namespace
	}

	return attributes
}

// may asks whether a user may do something.
func (a api) may(ctx context.Context, name string, attributes authorizationv1.ResourceAttributes) (bool, error) {
	review, err := a.kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: name, ResourceAttributes: &attributes},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}

	return review.Status.Allowed, nil
}

// attempts are requests by a user, by the verb that they need.
func (a api) attempts(t *testing.T, config *rest.Config, name string) map[string]func() error {
	objects, ctx := a.as(config), t.Context()
	whole := a.object("by-" + a.person().Name)

	return map[string]func() error{
		"get":  func() error { _, err := objects.Get(ctx, name, metav1.GetOptions{}); return err },
		"list": func() error { _, err := objects.List(ctx, a.mine()); return err },
		"watch": func() error {
			w, err := objects.Watch(ctx, a.mine())
			if err == nil {
				w.Stop()
			}

			return err
		},
		"create": func() error { _, err := objects.Create(ctx, whole, metav1.CreateOptions{}); return err },
		"update": func() error {
			_, err := objects.Update(ctx, a.reload(t, a.object("one")), metav1.UpdateOptions{})
			return err
		},
		"patch": func() error {
			_, err := objects.Patch(ctx, name, types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
			return err
		},
		"delete": func() error {
			return objects.Delete(ctx, name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		},
		"deletecollection": func() error {
			return objects.DeleteCollection(ctx, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}, a.mine())
		},
	}
}

func testVerbRights(t *testing.T, a api) {
	o := a.create(t, a.object("one"))
	attempts := a.attempts(t, a.personal(t), o.GetName())

	for verb, attempt := range attempts {
		err := attempt()
		refused(t, verb+" without rights", err, metav1.StatusReasonForbidden, a.person().Name, "cannot "+verb, `"`+a.resource+`"`, a.Group)
	}

	a.grant(t, a.toPerson(), a.rule("get list watch"))

	for verb, attempt := range attempts {
		if err := attempt(); strings.Contains("get list watch", verb) != (err == nil) || err != nil && !apierrors.IsForbidden(err) {
			t.Errorf("%s by who may read: %v", verb, err)
		}
	}

	objects := a.as(a.personal(t))
	fresh := a.configuration("fresh")
	_, err := objects.Apply(t.Context(), fresh.GetName(), fresh, metav1.ApplyOptions{FieldManager: "ann"})
	refused(t, "apply without the right to patch", err, metav1.StatusReasonForbidden, "cannot patch")
}

func testSubresourceRights(t *testing.T, a api) {
	o := a.create(t, a.object("one"))
	a.grant(t, a.toPerson(), a.rule("get patch"))

	objects := a.as(a.personal(t))
	patch := encode(t, nested(a.note.path, a.note.one))

	_, err := objects.Patch(t.Context(), o.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	refused(t, "patch the status", err, metav1.StatusReasonForbidden, `"`+a.resource+`/status"`)

	role, err := a.kube.RbacV1().ClusterRoles().Get(t.Context(), "granted-"+a.id, metav1.GetOptions{})
	must(t, err)

	role.Rules = []rbacv1.PolicyRule{a.rule("patch", a.resource+"/status")}
	_, err = a.kube.RbacV1().ClusterRoles().Update(t.Context(), role, metav1.UpdateOptions{})
	must(t, err)

	status := a.attributes("patch")
	status.Subresource = "status"

	eventually(t, "have the right", func(ctx context.Context) (bool, error) { return a.may(ctx, a.person().Name, status) })

	_, err = objects.Patch(t.Context(), o.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	must(t, err)

	_, err = objects.Patch(t.Context(), o.GetName(), types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
	refused(t, "patch the rest", err, metav1.StatusReasonForbidden)
}

func testNamedRights(t *testing.T, a api) {
	a.few(t, "one two")

	rule := a.rule("get list watch update patch delete")
	rule.ResourceNames = []string{a.id + "-one"}
	a.grant(t, a.toPerson(), rule)

	objects := a.as(a.personal(t))

	_, err := objects.Get(t.Context(), a.id+"-one", metav1.GetOptions{})
	must(t, err)

	_, err = objects.Get(t.Context(), a.id+"-two", metav1.GetOptions{})
	refused(t, "get another", err, metav1.StatusReasonForbidden)

	_, err = objects.List(t.Context(), metav1.ListOptions{})
	refused(t, "list all", err, metav1.StatusReasonForbidden)

	list, err := objects.List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + a.id + "-one"})
	must(t, err)

	if a.names(list) != "one" {
		t.Errorf("listed are %s", a.names(list))
	}
}

func testNamespaceRights(t *testing.T, a api) {
	a.grant(t, a.toPerson(), a.rule("list"))

	_, err := a.as(a.personal(t)).List(t.Context(), metav1.ListOptions{})
	must(t, err)

	for _, namespace := range []string{metav1.NamespaceDefault, metav1.NamespaceAll} {
		_, err = a.in(a.personal(t), namespace).List(t.Context(), metav1.ListOptions{})
		refused(t, "list in namespace "+namespace, err, metav1.StatusReasonForbidden)
	}
}

func testReviews(t *testing.T, a api) {
	a.grant(t, a.toPerson(), a.rule("get list"))

	own := kubernetes.NewForConfigOrDie(a.personal(t)).AuthorizationV1()

	for verb, want := range map[string]bool{"get": true, "list": true, "delete": false, "*": false} {
		attributes := a.attributes(verb)

		self, err := own.SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &attributes},
		}, metav1.CreateOptions{})
		must(t, err)

		asked, err := a.may(t.Context(), a.person().Name, attributes)
		must(t, err)

		local, err := a.kube.AuthorizationV1().LocalSubjectAccessReviews(a.namespace).Create(t.Context(), &authorizationv1.LocalSubjectAccessReview{
			ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace},
			Spec: authorizationv1.SubjectAccessReviewSpec{User: a.person().Name, ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verb, Group: a.Group, Resource: a.resource, Namespace: a.namespace,
			}},
		}, metav1.CreateOptions{})
		must(t, err)

		if self.Status.Allowed != want || asked != want || local.Status.Allowed != want {
			t.Errorf("%s: allowed %t, %t, %t, want %t", verb, self.Status.Allowed, asked, local.Status.Allowed, want)
		}
	}

	rules, err := own.SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: a.namespace},
	}, metav1.CreateOptions{})
	must(t, err)

	if !strings.Contains(string(encode(t, rules.Status.ResourceRules)), `"resources":["`+a.resource+`"]`) {
		t.Errorf("the rules are %v", rules.Status)
	}
}

func testImpersonation(t *testing.T, a api) {
	a.grant(t, a.toPerson(), a.rule("list"))

	as := rest.CopyConfig(a.Admin)
	as.Impersonate = rest.ImpersonationConfig{UserName: a.person().Name}

	_, err := a.as(as).List(t.Context(), metav1.ListOptions{})
	must(t, err)

	_, err = a.as(as).Create(t.Context(), a.object("one"), metav1.CreateOptions{})
	refused(t, "create as a person", err, metav1.StatusReasonForbidden, a.person().Name)

	own := a.personal(t)
	own.Impersonate = rest.ImpersonationConfig{UserName: "somebody"}

	_, err = a.as(own).List(t.Context(), metav1.ListOptions{})
	refused(t, "a person as somebody", err, metav1.StatusReasonForbidden, "impersonate")
}
