package registry

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// TestStoredMistakesStay: what is stored already does not keep an object from being changed, and nothing wrong is added.
func TestStoredMistakesStay(t *testing.T) {
	s := strategy[*v1alpha2.Server]{kind: Kind[*v1alpha2.Server]{
		Spec: func(s *v1alpha2.Server) any { return &s.Spec },
		Validate: func(s *v1alpha2.Server) field.ErrorList {
			return OneOf(field.NewPath("spec", "hostname"), s.Spec.Hostname, []string{"good"})
		},
	}}
	server := func(hostname string, accepted bool) *v1alpha2.Server {
		return &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: v1alpha2.ServerSpec{Hostname: hostname, Accepted: accepted}}
	}

	if errs := s.Validate(t.Context(), server("bad", false)); len(errs) != 1 {
		t.Errorf("created: %v", errs)
	}

	for name, test := range map[string]struct {
		hostname, stored string
		refused          int
	}{
		"as it was":     {"bad", "bad", 0},
		"mended":        {"good", "bad", 0},
		"made bad":      {"bad", "good", 1},
		"another wrong": {"worse", "bad", 1},
	} {
		if errs := s.ValidateUpdate(t.Context(), server(test.hostname, true), server(test.stored, false)); len(errs) != test.refused {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

// TestDoubtsAreToldOnce: to whoever writes the spec, and to nobody who writes something else.
func TestDoubtsAreToldOnce(t *testing.T) {
	s := strategy[*v1alpha2.Server]{kind: Kind[*v1alpha2.Server]{
		Spec: func(s *v1alpha2.Server) any { return &s.Spec },
		Doubt: func(*v1alpha2.Server) field.ErrorList {
			return field.ErrorList{field.Required(field.NewPath("spec"), "")}
		},
	}}
	plain, cordoned := &v1alpha2.Server{}, &v1alpha2.Server{Spec: v1alpha2.ServerSpec{Cordoned: true}}

	for name, got := range map[string][]string{
		"create": s.WarningsOnCreate(t.Context(), plain), "change": s.WarningsOnUpdate(t.Context(), cordoned, plain),
	} {
		if len(got) != 1 {
			t.Errorf("%s: warned %q", name, got)
		}
	}

	for name, got := range map[string][]string{
		"as it was": s.WarningsOnUpdate(t.Context(), plain, plain),
		"status":    statusStrategy[*v1alpha2.Server]{strategy: s}.WarningsOnUpdate(t.Context(), cordoned, plain),
	} {
		if len(got) != 0 {
			t.Errorf("%s: warned %q", name, got)
		}
	}
}
