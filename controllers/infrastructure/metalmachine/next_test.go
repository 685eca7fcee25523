package metalmachine

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

// ready are the facts of a machine that is to have a server, changed.
func ready(change func(*facts)) facts {
	f := facts{machine: &v1alpha3.MetalMachine{}, owner: &clusterv1.Machine{}, cluster: &clusterv1.Cluster{}}
	f.machine.Spec.ServerClassRef = &corev1.ObjectReference{Name: "any"}
	f.owner.Spec.Bootstrap.DataSecretName = new("data")
	f.cluster.Status.Initialization.InfrastructureProvisioned = new(true)
	change(&f)

	return f
}

func TestNext(t *testing.T) {
	gone := &metav1.Time{Time: time.Unix(1, 0)}
	deleted := func(f *facts) { f.machine.DeletionTimestamp = gone }

	for name, c := range map[string]struct {
		change func(*facts)
		action action
		reason string
	}{
		"by class": {func(*facts) {}, bind, ""},
		"by name": {func(f *facts) {
			f.machine.Spec.ServerRef, f.machine.Spec.ServerClassRef = f.machine.Spec.ServerClassRef, nil
		}, bind, ""},
		"neither":              {func(f *facts) { f.machine.Spec.ServerClassRef = nil }, wait, v1alpha3.ReasonNothingNamed},
		"empty names":          {func(f *facts) { f.machine.Spec.ServerClassRef.Name = "" }, wait, v1alpha3.ReasonNothingNamed},
		"no owner":             {func(f *facts) { f.owner = nil }, wait, v1alpha3.ReasonWaitingForOwner},
		"no cluster":           {func(f *facts) { f.cluster = nil }, wait, v1alpha3.ReasonWaitingForOwner},
		"no infrastructure":    {func(f *facts) { f.cluster.Status.Initialization.InfrastructureProvisioned = nil }, wait, v1alpha3.ReasonWaitingForInfrastructure},
		"infrastructure fails": {func(f *facts) { f.cluster.Status.Initialization.InfrastructureProvisioned = new(false) }, wait, v1alpha3.ReasonWaitingForInfrastructure},
		"no data":              {func(f *facts) { f.owner.Spec.Bootstrap.DataSecretName = nil }, wait, v1alpha3.ReasonWaitingForBootstrapData},
		"machine goes":         {func(f *facts) { f.owner.DeletionTimestamp = gone }, wait, v1alpha3.ReasonGoes},
		"cluster goes":         {func(f *facts) { f.cluster.DeletionTimestamp = gone }, wait, v1alpha3.ReasonGoes},
		"machine goes, and has a server": {func(f *facts) {
			f.owner.DeletionTimestamp, f.machine.Spec.ServerRef = gone, &corev1.ObjectReference{Name: "s"}
		}, bind, ""},
		"paused":               {func(f *facts) { f.cluster.Spec.Paused = new(true) }, leave, ""},
		"no longer paused":     {func(f *facts) { f.cluster.Spec.Paused = new(false) }, bind, ""},
		"paused by annotation": {func(f *facts) { f.machine.Annotations = map[string]string{clusterv1.PausedAnnotation: ""} }, leave, ""},
		"deleted":              {deleted, release, ""},
		"deleted, and all else is gone": {func(f *facts) {
			deleted(f)
			f.owner, f.cluster, f.machine.Spec = nil, nil, v1alpha3.MetalMachineSpec{}
		}, release, ""},
		"deleted during a pause": {func(f *facts) {
			deleted(f)
			f.cluster.Spec.Paused = new(true)
		}, leave, ""},
	} {
		if got := next(ready(c.change)); got.action != c.action || got.reason != c.reason || (got.message == "") != (c.reason == "") {
			t.Errorf("%s: %+v, want %v %s", name, got, c.action, c.reason)
		}
	}
}
