package conformance_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func policies() []row {
	return []row{
		{name: "policies/refuse", test: testPolicyRefuses},
		{name: "policies/warn", test: testPolicyWarns},
		{name: "policies/go by parameters", test: testPolicyParameters},
		{name: "policies/end", test: testPolicyEnds},
		{name: "policies/change", test: testPolicyChanges},
		{name: "policies/change by a patch", test: testPolicyPatches},
		{name: "policies/that do not compile", test: testBrokenPolicy},
	}
}

// matching is the case's objects.
func (a api) matching() *admissionregistrationv1.MatchResources {
	var rules []admissionregistrationv1.NamedRuleWithOperations
	for _, rule := range a.rules(a.Version) {
		rule.Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update}
		rules = append(rules, admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: rule})
	}

	return &admissionregistrationv1.MatchResources{ResourceRules: rules, ObjectSelector: a.ownLabel()}
}

// policy has the API server hold the case's objects to some expressions.
func (a api) policy(t *testing.T, action admissionregistrationv1.ValidationAction, validations []admissionregistrationv1.Validation,
	change ...func(*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding),
) {
	t.Helper()

	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: a.id},
		Spec:       admissionregistrationv1.ValidatingAdmissionPolicySpec{MatchConstraints: a.matching(), Validations: validations},
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: a.id},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: a.id, ValidationActions: []admissionregistrationv1.ValidationAction{action},
		},
	}

	for _, c := range change {
		c(policy, binding)
	}

	client := a.kube.AdmissionregistrationV1()
	_, err := client.ValidatingAdmissionPolicies().Create(t.Context(), policy, metav1.CreateOptions{})
	must(t, err)
	_, err = client.ValidatingAdmissionPolicyBindings().Create(t.Context(), binding, metav1.CreateOptions{})
	must(t, err)
}

// isTwo is an expression for objects whose text is the second one.
func (a api) isTwo(object string) string {
	return fmt.Sprintf("(has(%[1]s.%[2]s) && %[1]s.%[2]s == '%[3]s')", object, a.text.path, a.text.two)
}

// refusedBy waits until the creation of an object is refused with a reason.
func (a api) refusedBy(t *testing.T, text, says string) error {
	t.Helper()

	var refusal error

	eventually(t, "refuse "+text, func(ctx context.Context) (bool, error) {
		_, refusal = a.objects.Create(ctx, a.with("probe", text), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})

		return refusal != nil && strings.Contains(refusal.Error(), says), nil
	})

	return refusal
}

func testPolicyRefuses(t *testing.T, a api) {
	before := a.create(t, a.with("before", a.text.one))

	a.policy(t, admissionregistrationv1.Deny, []admissionregistrationv1.Validation{
		{Expression: "!" + a.isTwo("object"), MessageExpression: "'not two, ' + object.metadata.name", Reason: new(metav1.StatusReasonInvalid)},
		{
			Expression: "oldObject == null || request.userInfo.username != '" + a.person().Name + "' && namespaceObject" + map[bool]string{true: " != null", false: " == null"}[a.namespaced],
			Message:    "not by you",
		},
		{Expression: "oldObject == null || oldObject.metadata.uid == object.metadata.uid", Message: "another"},
	})

	err := a.refusedBy(t, a.text.two, "not two, "+a.id+"-probe")
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"+a.id+"' with binding '"+a.id+"' denied request") {
		t.Errorf("create: %v", err)
	}

	a.create(t, a.with("one", a.text.one))
	a.merge(t, before, "metadata.annotations.a", "b")

	update := a.reload(t, before)
	set(update, a.text.path, a.text.two)

	_, err = a.objects.Update(t.Context(), update, metav1.UpdateOptions{})
	refused(t, "update", err, metav1.StatusReasonInvalid, "not two, "+a.id+"-before")

	_, err = a.objects.Apply(t.Context(), a.id+"-applied", a.whole("applied", a.text.path, a.text.two), metav1.ApplyOptions{FieldManager: "ann"})
	refused(t, "apply", err, metav1.StatusReasonInvalid, "not two, "+a.id+"-applied")

	a.grant(t, a.toPerson(), a.rule("get patch"))

	_, err = a.as(a.personal(t)).Patch(t.Context(), before.GetName(), "application/merge-patch+json", []byte(`{"metadata":{"annotations":{"a":"c"}}}`), metav1.PatchOptions{})
	refused(t, "patch by a person", err, metav1.StatusReasonInvalid, "not by you")
}

func testPolicyWarns(t *testing.T, a api) {
	a.policy(t, admissionregistrationv1.Warn, []admissionregistrationv1.Validation{{Expression: "!" + a.isTwo("object"), Message: "two is odd"}})

	w := a.warned()

	eventually(t, "warn", func(ctx context.Context) (bool, error) {
		err := w.Post().AbsPath(a.path()).Param("dryRun", "All").SetHeader("Content-Type", "application/json").
			Body(encode(t, a.with("probe", a.text.two))).Do(ctx).Error()

		return strings.Contains(w.take(), "two is odd"), err
	})
	a.create(t, a.with("one", a.text.two))
}

// testPolicyParameters has a policy that compares with what a ConfigMap says.
func testPolicyParameters(t *testing.T, a api) {
	parameters, err := a.kube.CoreV1().ConfigMaps(a.namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "parameters"}, Data: map[string]string{"not": a.text.one},
	}, metav1.CreateOptions{})
	must(t, err)

	a.policy(t, admissionregistrationv1.Deny,
		[]admissionregistrationv1.Validation{{Expression: "variables.text != params.data['not']", MessageExpression: "'not ' + variables.text"}},
		func(p *admissionregistrationv1.ValidatingAdmissionPolicy, b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
			p.Spec.ParamKind = &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
			p.Spec.Variables = []admissionregistrationv1.Variable{{Name: "text", Expression: fmt.Sprintf("has(object.%[1]s) ? object.%[1]s : ''", a.text.path)}}
			b.Spec.ParamRef = &admissionregistrationv1.ParamRef{
				Name: parameters.Name, Namespace: a.namespace, ParameterNotFoundAction: new(admissionregistrationv1.DenyAction),
			}
		})

	a.refusedBy(t, a.text.one, "not "+a.text.one)
	a.create(t, a.with("two", a.text.two))

	parameters.Data["not"] = a.text.two
	_, err = a.kube.CoreV1().ConfigMaps(a.namespace).Update(t.Context(), parameters, metav1.UpdateOptions{})
	must(t, err)

	a.refusedBy(t, a.text.two, "not "+a.text.two)
	a.create(t, a.with("one", a.text.one))
}

func testPolicyEnds(t *testing.T, a api) {
	a.policy(t, admissionregistrationv1.Deny, []admissionregistrationv1.Validation{{Expression: "!" + a.isTwo("object"), Message: "not two"}})
	a.refusedBy(t, a.text.two, "not two")
	must(t, a.kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Delete(t.Context(), a.id, metav1.DeleteOptions{}))
	eventually(t, "forget the policy", func(ctx context.Context) (bool, error) {
		_, err := a.objects.Create(ctx, a.with("one", a.text.two), metav1.CreateOptions{})

		return err == nil, nil
	})
}

// mutation has the API server change the case's objects.
func (a api) mutation(t *testing.T, mutation admissionregistrationv1.Mutation) {
	t.Helper()

	client := a.kube.AdmissionregistrationV1()
	_, err := client.MutatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: a.id},
		Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
			MatchConstraints: a.matching(), Mutations: []admissionregistrationv1.Mutation{mutation},
			FailurePolicy: new(admissionregistrationv1.Fail), ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
		},
	}, metav1.CreateOptions{})
	must(t, err)

	_, err = client.MutatingAdmissionPolicyBindings().Create(t.Context(), &admissionregistrationv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: a.id}, Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: a.id},
	}, metav1.CreateOptions{})
	must(t, err)
}

// changedByPolicy waits until an object is changed as it is created, and then changes and applies some.
func (a api) changedByPolicy(t *testing.T) {
	t.Helper()

	eventually(t, "change", func(ctx context.Context) (bool, error) { // policies learn of new kinds a little later
		o, err := a.objects.Create(ctx, a.with("probe", a.text.one), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})

		return err == nil && at(o, a.text.path) == a.text.two && o.GetLabels()["changed"] == "yes", nil
	})

	o := a.create(t, a.object("one"))
	if at(o, a.text.path) != a.text.two || o.GetLabels()["changed"] != "yes" || o.GetLabels()[caseLabel] != a.id {
		t.Errorf("created %v", o.Object)
	}

	if o = a.merge(t, o, a.text.path, a.text.one); at(o, a.text.path) != a.text.two {
		t.Errorf("changed to %v", o.Object)
	}

	if o = a.apply(t, "ann", a.whole("two", a.text.path, a.text.one)); at(o, a.text.path) != a.text.two || o.GetGeneration() != 1 {
		t.Errorf("applied %v", o.Object)
	}
}

// typedExpression is an object of a policy's that holds one value at a path.
func typedExpression(path, text string) string {
	parts := strings.Split(path, ".")
	begin, end, kind := "Object{", "}", "Object"

	for _, part := range parts[:len(parts)-1] {
		kind += "." + part
		begin += part + ": " + kind + "{"
		end += "}"
	}

	return begin + parts[len(parts)-1] + ": '" + text + "'" + end
}

func testPolicyChanges(t *testing.T, a api) {
	expression := strings.TrimSuffix(typedExpression(a.text.path, a.text.two), "}") + ", metadata: Object.metadata{labels: {'changed': 'yes'}}}"
	a.mutation(t, admissionregistrationv1.Mutation{
		PatchType:          admissionregistrationv1.PatchTypeApplyConfiguration,
		ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{Expression: expression},
	})
	a.changedByPolicy(t)
}

func testPolicyPatches(t *testing.T, a api) {
	a.mutation(t, admissionregistrationv1.Mutation{
		PatchType: admissionregistrationv1.PatchTypeJSONPatch,
		JSONPatch: &admissionregistrationv1.JSONPatch{Expression: fmt.Sprintf(
			`[JSONPatch{op: "add", path: "%s", value: "%s"}, JSONPatch{op: "add", path: "/metadata/labels/changed", value: "yes"}]`,
			pointer(a.text.path), a.text.two)},
	})
	a.changedByPolicy(t)
}

func testBrokenPolicy(t *testing.T, a api) {
	_, err := a.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: a.id},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: a.matching(), Validations: []admissionregistrationv1.Validation{{Expression: "object.spec.("}},
		},
	}, metav1.CreateOptions{})
	refused(t, "a policy that is no expression", err, metav1.StatusReasonInvalid, "spec.validations[0].expression", "compilation failed")

	// What is wrong only when it is asked refuses, for the policy's failures do.
	a.policy(t, admissionregistrationv1.Deny, []admissionregistrationv1.Validation{{Expression: "object.spec.nonsense == 'x'"}})
	a.refusedBy(t, a.text.one, "no such key: nonsense")
}
