package node

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// TestLate: that a Node is missing is told by an Event when the machine has had time enough, and once; before, it boots.
func TestLate(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha3.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		since   time.Duration
		missing bool
		told    bool
	}{
		"boots":          {time.Minute, true, false},
		"never booted":   {lateAfter + time.Minute, true, true},
		"bound by then":  {lateAfter, true, true},
		"other troubles": {lateAfter + time.Minute, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: "m", Namespace: "default"}}
			m.Spec.ServerRef = &corev1.ObjectReference{Name: "s"}
			m.Status.Conditions = m.Status.Conditions.With(metal.Condition{
				Type: v1alpha3.ConditionServerBound, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(time.Now().Add(-c.since)),
			})
			told := events.NewFakeRecorder(2)
			r := &reconciler{client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(m).WithStatusSubresource(m).Build(), events: told}

			for range 2 {
				if err := r.record(t.Context(), m, errors.New("no Node is of server s yet"), c.missing); err != nil {
					t.Fatal(err)
				}
			}

			is, _ := m.Status.Conditions.Find(v1alpha3.ConditionProviderSet)
			if late := strings.Contains(is.Message, "sidero-appliance logs s"); late != c.told || !strings.HasPrefix(is.Message, "no Node is of server s yet") {
				t.Errorf("the condition says %q", is.Message)
			}

			if got := len(told.Events); (got == 1) != c.told || got > 1 {
				t.Errorf("%d Events", got)
			}
		})
	}
}
