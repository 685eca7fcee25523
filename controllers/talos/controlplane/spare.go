package controlplane

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/membership"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/allocation"
)

// spare tells whether one machine more would get a server. Of other infrastructure than servers there is always more. It is asked for
// only while machines are about to be replaced, so nobody keeps all servers in mind for it.
func (r *reconciler) spare(ctx context.Context, s *scene) (bool, error) {
	ref := infrastructure(s.plane)
	if ref.Kind != "MetalMachineTemplate" || ref.GroupVersionKind().Group != infrav1.GroupName {
		return true, nil
	}

	template := &infrav1.MetalMachineTemplate{}
	if found, err := contract.Find(ctx, r.live, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, template); !found {
		return false, err //nolint:wrapcheck // it names the object
	}

	named := template.Spec.Template.Spec.ServerClassRef
	if named == nil {
		return false, nil
	}

	class := &metal.ServerClass{}
	if found, err := contract.Find(ctx, r.live, client.ObjectKey{Name: named.Name}, class); !found {
		return false, err //nolint:wrapcheck // it names the object
	}

	matcher, err := membership.NewMatcher(class.Spec)
	if err != nil {
		return false, nil // machines of it say so
	}

	servers, bindings := &metal.ServerList{}, &infrav1.ServerBindingList{}
	if err := r.live.List(ctx, servers); err != nil {
		return false, fmt.Errorf("list servers: %w", err)
	}

	if err := r.live.List(ctx, bindings); err != nil {
		return false, fmt.Errorf("list bindings: %w", err)
	}

	if s.facts.replacing() {
		comeBack(servers.Items, s.facts.now)
	}

	_, err = allocation.Candidates(
		allocation.Want{Class: class.Name, Judge: matcher.Judge}, allocation.Pool{Servers: servers.Items, Bindings: bindings.Items})

	return err == nil, nil
}

// returnsWithin is how long after it was restarted for its wipe a server is expected to be clean.
const returnsWithin = 15 * time.Minute

// comeBack takes servers for clean that are on their way to that: those that were given back a moment ago, and those that were restarted
// for their wipe. One that does not get there within its time is not waited for.
func comeBack(servers []metal.Server, now time.Time) {
	for i := range servers {
		status := &servers[i].Status
		cycle, _ := status.Conditions.Find(metal.ConditionPowerCycle)

		if status.InUse || cycle.Reason == metal.ReasonInProgress && now.Before(cycle.LastTransitionTime.Add(returnsWithin)) {
			status.InUse, status.IsClean = false, true
		}
	}
}
