package bootstrap

import (
	"context"
	"fmt"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	flowcontrolv1ac "k8s.io/client-go/applyconfigurations/flowcontrol/v1"
)

const (
	// componentsFlow is the name of the FlowSchema of the appliance's components.
	componentsFlow = "sidero-components"
	// componentsLevel is the level that Kubernetes has for its own controllers: what other people's programs ask for is in a
	// lower one.
	componentsLevel = "workload-high"
	// componentsPrecedence puts the schema in front of those that take everybody.
	componentsPrecedence = 700
)

// applyPriority keeps the components' requests out of the queue in which those of everybody else wait.
func (b *Bootstrap) applyPriority(ctx context.Context) error {
	rule := flowcontrolv1ac.PolicyRulesWithSubjects().WithResourceRules(flowcontrolv1ac.ResourcePolicyRule().
		WithVerbs("*").WithAPIGroups("*").WithResources("*").WithClusterScope(true).WithNamespaces("*"))

	for _, c := range components() {
		rule.WithSubjects(flowcontrolv1ac.Subject().WithKind(flowcontrolv1.SubjectKindUser).
			WithUser(flowcontrolv1ac.UserSubject().WithName(c.user.Name)))
	}

	flow := flowcontrolv1ac.FlowSchema(componentsFlow).WithSpec(flowcontrolv1ac.FlowSchemaSpec().
		WithPriorityLevelConfiguration(flowcontrolv1ac.PriorityLevelConfigurationReference().WithName(componentsLevel)).
		WithMatchingPrecedence(componentsPrecedence).
		WithDistinguisherMethod(flowcontrolv1ac.FlowDistinguisherMethod().WithType(flowcontrolv1.FlowDistinguisherMethodByUserType)).
		WithRules(rule))

	if _, err := b.client.FlowcontrolV1().FlowSchemas().Apply(ctx, flow, own()); err != nil {
		return fmt.Errorf("apply flow schema %s: %w", componentsFlow, err)
	}

	return nil
}
