package serverbinding

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

func TestNext(t *testing.T) {
	start := time.Unix(1e9, 0)

	gone := func(f *facts) { f.machine = nil }
	marked := func(f *facts) { f.binding.Annotations = map[string]string{PausedAnnotation: ""} }
	paused := func(f *facts) { f.cluster.Spec.Paused = new(true) }
	young := func(f *facts) { f.now = start.Add(time.Minute) }

	for name, c := range map[string]struct {
		changes []func(*facts)
		want    decision
	}{
		"in order":                   {nil, decision{ready: true}},
		"without a server":           {[]func(*facts){func(f *facts) { f.server = false }}, decision{}},
		"paused":                     {[]func(*facts){paused}, decision{mark: true, ready: true}},
		"no longer paused":           {[]func(*facts){marked}, decision{ready: true}},
		"orphan":                     {[]func(*facts){gone}, decision{clear: true, ready: true}},
		"orphan without a cluster":   {[]func(*facts){gone, func(f *facts) { f.cluster = nil }}, decision{clear: true, ready: true}},
		"orphan of a paused cluster": {[]func(*facts){gone, paused}, decision{ready: true}},
		"orphan that is paused": {[]func(*facts){gone, func(f *facts) {
			f.binding.Annotations = map[string]string{clusterv1.PausedAnnotation: ""}
		}}, decision{ready: true}},
		"moved elsewhere":               {[]func(*facts){gone, marked, func(f *facts) { f.cluster = nil }}, decision{mark: true, kept: true, ready: true}},
		"moved elsewhere, a minute old": {[]func(*facts){gone, marked, young}, decision{mark: true, kept: true, ready: true}},
		"restored before its machine":   {[]func(*facts){gone, young}, decision{again: 4 * time.Minute, ready: true}},
		"goes already":                  {[]func(*facts){gone, func(f *facts) { f.binding.DeletionTimestamp = &metav1.Time{Time: start} }}, decision{ready: true}},
		"of a former machine":           {[]func(*facts){func(f *facts) { f.machine.UID = "2" }}, decision{clear: true, ready: true}},
		"of a restored machine": {[]func(*facts){func(f *facts) {
			f.machine.UID, f.machine.Spec.ServerRef = "2", &corev1.ObjectReference{Name: "a"}
		}}, decision{ready: true}},
	} {
		f := facts{
			binding: &v1alpha3.ServerBinding{
				ObjectMeta: metav1.ObjectMeta{Name: "a", CreationTimestamp: metav1.Time{Time: start}},
				Spec:       v1alpha3.ServerBindingSpec{MetalMachineRef: corev1.ObjectReference{Name: "m", UID: "1"}},
			},
			machine: &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: "m", UID: "1"}},
			cluster: &clusterv1.Cluster{}, server: true, now: start.Add(time.Hour),
		}
		for _, change := range c.changes {
			change(&f)
		}

		if got := next(f); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
