package lending_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/lending"
)

// bmc is a Server with a BMC whose password is in a Secret.
func bmc(endpoint, namespace, secret string) *v1alpha2.Server {
	return &v1alpha2.Server{Spec: v1alpha2.ServerSpec{BMC: &v1alpha2.BMC{
		Endpoint: endpoint, PassFrom: &v1alpha2.CredentialSource{
			SecretKeyRef: &v1alpha2.SecretKeyRef{Namespace: namespace, Name: secret, Key: "pass"},
		},
	}}}
}

func hook(secret string) *v1alpha2.Server {
	return &v1alpha2.Server{Spec: v1alpha2.ServerSpec{Power: &v1alpha2.PowerControl{
		Webhook: &v1alpha2.WebhookPower{Preset: "tasmota", URL: "http://plug", SecretRef: &v1alpha2.SecretRef{Name: secret}},
	}}}
}

func accepted(s *v1alpha2.Server) *v1alpha2.Server {
	s.Spec.Accepted = true

	return s
}

func TestGuard(t *testing.T) {
	guard := lending.NewGuard()
	if guard.ValidateInitialization() == nil {
		t.Error("it is content without an authorizer")
	}

	var asked []string

	guard.SetAuthorizer(authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		asked = append(asked, a.GetUser().GetName()+" "+a.GetVerb()+" "+a.GetResource()+" "+a.GetNamespace()+"/"+a.GetName())

		switch a.GetName() {
		case "mine":
			return authorizer.DecisionAllow, "", nil
		case "broken":
			return authorizer.DecisionNoOpinion, "", errors.New("broken")
		default:
			return authorizer.DecisionNoOpinion, "", nil
		}
	}))

	if err := guard.ValidateInitialization(); err != nil {
		t.Error(err)
	}

	for name, c := range map[string]struct {
		old, now *v1alpha2.Server
		asked    []string
		refused  bool
	}{
		"no Secret":                     {nil, &v1alpha2.Server{}, nil, false},
		"one's own":                     {nil, bmc("b", "ns", "mine"), []string{"jane get secrets ns/mine"}, false},
		"another's":                     {nil, bmc("b", "ns", "admin"), []string{"jane get secrets ns/admin"}, true},
		"another's in a webhook":        {nil, hook("admin"), []string{"jane get secrets default/admin"}, true},
		"nobody can tell":               {nil, bmc("b", "ns", "broken"), []string{"jane get secrets ns/broken"}, true},
		"there before":                  {bmc("b", "ns", "admin"), accepted(bmc("b", "ns", "admin")), nil, false},
		"there before in a webhook":     {hook("admin"), accepted(hook("admin")), nil, false},
		"there before, for another BMC": {bmc("b", "ns", "admin"), bmc("evil", "ns", "admin"), []string{"jane get secrets ns/admin"}, true},
		"taken away":                    {bmc("b", "ns", "admin"), &v1alpha2.Server{}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			asked = nil
			operation := admission.Create

			var old runtime.Object
			if c.old != nil {
				old, operation = c.old, admission.Update
			}

			err := guard.Validate(t.Context(), attributes(c.now, old, operation), nil)
			if (err != nil) != c.refused || !slices.Equal(asked, c.asked) {
				t.Errorf("got %v, asked %q", err, asked)
			}
		})
	}
}

func attributes(now, old runtime.Object, operation admission.Operation) admission.Attributes {
	return admission.NewAttributesRecord(now, old, v1alpha2.GroupVersion.WithKind("Server"), "", "s",
		schema.GroupVersionResource{Group: v1alpha2.GroupName, Version: "v1alpha2", Resource: "servers"}, "", operation, nil, false,
		&user.DefaultInfo{Name: "jane"})
}
