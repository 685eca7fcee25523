package serverbinding

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

func TestOrphan(t *testing.T) {
	type change func(*v1alpha3.ServerBinding, *v1alpha3.MetalMachine) *v1alpha3.MetalMachine

	for name, c := range map[string]struct {
		change change
		want   bool
	}{
		"in order": {func(_ *v1alpha3.ServerBinding, m *v1alpha3.MetalMachine) *v1alpha3.MetalMachine { return m }, false},
		"gone":     {func(*v1alpha3.ServerBinding, *v1alpha3.MetalMachine) *v1alpha3.MetalMachine { return nil }, true},
		"made by a person": {func(b *v1alpha3.ServerBinding, _ *v1alpha3.MetalMachine) *v1alpha3.MetalMachine {
			b.Spec.MetalMachineRef = corev1.ObjectReference{}

			return nil
		}, false},
		"goes itself": {func(b *v1alpha3.ServerBinding, _ *v1alpha3.MetalMachine) *v1alpha3.MetalMachine {
			b.DeletionTimestamp = &metav1.Time{}
			*b.DeletionTimestamp = metav1.Now()

			return nil
		}, false},
		"of a former machine": {func(_ *v1alpha3.ServerBinding, m *v1alpha3.MetalMachine) *v1alpha3.MetalMachine {
			m.UID = "2"

			return m
		}, true},
		"of a restored machine": {func(_ *v1alpha3.ServerBinding, m *v1alpha3.MetalMachine) *v1alpha3.MetalMachine {
			m.UID, m.Spec.ServerRef = "2", &corev1.ObjectReference{Name: "a"}

			return m
		}, false},
	} {
		binding := &v1alpha3.ServerBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "a"},
			Spec:       v1alpha3.ServerBindingSpec{MetalMachineRef: corev1.ObjectReference{Name: "m", UID: "1"}},
		}
		machine := c.change(binding, &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: "m", UID: "1"}})

		if got := orphan(binding, machine); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
