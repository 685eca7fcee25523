// Package lending keeps people from using secrets through a Server that they may not read themselves.
//
// The appliance's controllers read the Secrets that Servers name, in any namespace, and send what is in them to the BMC or
// the smart plug that the same Server names. Whoever could name any Secret could have each sent to a machine of his own.
package lending

import (
	"context"
	"errors"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// GuardName is the name of the Guard among the admission plugins.
const GuardName = "SideroSecretReferences"

// Guard is the admission plugin: who writes how a Server's power is controlled must be allowed to get the Secrets that it
// names. All else of the Server may be changed by others.
type Guard struct {
	*admission.Handler

	authorizer authorizer.Authorizer
}

var (
	_ admission.ValidationInterface     = (*Guard)(nil)
	_ admission.InitializationValidator = (*Guard)(nil)
	_ initializer.WantsAuthorizer       = (*Guard)(nil)
)

var (
	errNoAuthorizer = errors.New("there is no authorizer")
	servers         = schema.GroupResource{Group: v1alpha2.GroupName, Resource: "servers"}
)

// NewGuard makes the guard.
func NewGuard() *Guard {
	return &Guard{Handler: admission.NewHandler(admission.Create, admission.Update)}
}

// SetAuthorizer implements initializer.WantsAuthorizer.
func (g *Guard) SetAuthorizer(a authorizer.Authorizer) { g.authorizer = a }

// ValidateInitialization implements admission.InitializationValidator.
func (g *Guard) ValidateInitialization() error {
	if g.authorizer == nil {
		return errNoAuthorizer
	}

	return nil
}

// Validate refuses references to Secrets that the user may not read.
func (g *Guard) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != servers || a.GetSubresource() != "" {
		return nil
	}

	server, ok := a.GetObject().(*v1alpha2.Server)
	if !ok {
		return nil
	}

	// A change of anything there counts: to another endpoint the same Secret would be sent as well.
	old, ok := a.GetOldObject().(*v1alpha2.Server)
	if ok && apiequality.Semantic.DeepEqual(old.Spec.BMC, server.Spec.BMC) && apiequality.Semantic.DeepEqual(old.Spec.Power, server.Spec.Power) {
		return nil
	}

	for name := range references(&server.Spec) {
		decision, _, err := g.authorizer.Authorize(ctx, authorizer.AttributesRecord{
			User: a.GetUserInfo(), Verb: "get", APIVersion: "v1", Resource: "secrets",
			Namespace: name.Namespace, Name: name.Name, ResourceRequest: true,
		})
		if err != nil {
			return admission.NewForbidden(a, fmt.Errorf("whether you may read Secret %s cannot be told: %w", name, err))
		}

		if decision != authorizer.DecisionAllow {
			return admission.NewForbidden(a, fmt.Errorf("it names Secret %s, which you may not read: what is in it would be sent to the "+
				"BMC or device that the Server names. Ask somebody who may read it", name))
		}
	}

	return nil
}

// references are the Secrets that a Server names.
func references(spec *v1alpha2.ServerSpec) sets.Set[types.NamespacedName] {
	named := sets.New[types.NamespacedName]()

	if spec.BMC != nil {
		for _, source := range []*v1alpha2.CredentialSource{spec.BMC.UserFrom, spec.BMC.PassFrom} {
			if source != nil && source.SecretKeyRef != nil {
				named.Insert(types.NamespacedName{Namespace: source.SecretKeyRef.Namespace, Name: source.SecretKeyRef.Name})
			}
		}
	}

	if spec.Power != nil && spec.Power.Webhook != nil && spec.Power.Webhook.SecretRef != nil {
		ref := spec.Power.Webhook.SecretRef
		name := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}

		if name.Namespace == "" {
			name.Namespace = metav1.NamespaceDefault
		}

		named.Insert(name)
	}

	return named
}
