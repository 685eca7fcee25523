package encryption_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/encryption"
)

// TestRefusedSecret rotates while a policy of the user's lets nobody write a Secret.
func TestRefusedSecret(t *testing.T) {
	h, all := newHome(t), secrets(3)
	plane := apitest.StartIn(t, h.dir)
	create(t, plane, all)

	admin := kubernetes.NewForConfigOrDie(plane.Admin)
	remove := freeze(t, admin, all[2].Name)

	_, err := h.rotation(plane).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "write secret default/secret-2 again: ") || !strings.Contains(err.Error(), "the old key stays") {
		t.Errorf("got %v", err)
	}

	content, err := os.ReadFile(h.file)
	must(t, err)
	keys, err := encryption.Parse(content)
	must(t, err)

	if !keys.Rotating() || !keys.Plain {
		t.Errorf("the old key is gone: %d keys, plain %t", len(keys.Secretbox), keys.Plain)
	}

	readable(t, plane, all)
	remove()

	result, err := h.rotation(plane).Run(t.Context())
	must(t, err)

	if !result.Resumed || result.Key != keys.Newest() || result.Rewritten != 1 {
		t.Errorf("the second rotation: %+v, want the last secret under %s", result, keys.Newest())
	}

	h.allUnder(t, keys.Newest(), len(all))
}

// freeze makes a Secret unwritable, until remove.
func freeze(t *testing.T, admin kubernetes.Interface, name string) (remove func()) {
	t.Helper()

	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "frozen"},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				ResourceNames: []string{name},
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: "false", Message: "frozen"}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "frozen"},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: "frozen", ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	policies := admin.AdmissionregistrationV1()

	_, err := policies.ValidatingAdmissionPolicies().Create(t.Context(), policy, metav1.CreateOptions{})
	must(t, err)
	_, err = policies.ValidatingAdmissionPolicyBindings().Create(t.Context(), binding, metav1.CreateOptions{})
	must(t, err)
	awaitWritable(t, admin, name, false)

	return func() {
		must(t, policies.ValidatingAdmissionPolicyBindings().Delete(t.Context(), "frozen", metav1.DeleteOptions{}))
		awaitWritable(t, admin, name, true)
	}
}

// awaitWritable waits until a policy is heeded. It only asks: nothing is written.
func awaitWritable(t *testing.T, admin kubernetes.Interface, name string, want bool) {
	t.Helper()

	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := admin.CoreV1().Secrets("default").Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
			metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})

		return (err == nil) == want, nil
	})
	must(t, err)
}
