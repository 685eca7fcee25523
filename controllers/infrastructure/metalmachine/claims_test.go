package metalmachine

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

// TestClaims: each machine chooses by what the others have claimed, and has one claim, until it gives up.
func TestClaims(t *testing.T) {
	var c claims

	claim := func(name, server, others string, failed error) {
		t.Helper()

		machine := &v1alpha3.MetalMachine{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Labels: map[string]string{"of": name}},
			Spec:       v1alpha3.MetalMachineSpec{ServerClassRef: &corev1.ObjectReference{Name: "any"}},
		}

		got, err := c.claim(machine, func(bindings []v1alpha3.ServerBinding) (string, error) {
			var seen []string
			for _, b := range bindings {
				seen = append(seen, b.Labels["of"]+"="+b.Name)
			}

			if slices.Sort(seen); strings.Join(seen, " ") != others {
				t.Errorf("%s sees %v, want %s", name, seen, others)
			}

			return server, failed
		})
		if !errors.Is(err, failed) || err == nil && got != server {
			t.Errorf("%s has claimed %q, %v", name, got, err)
		}
	}
	has := func(machine, want string) {
		t.Helper()

		if got := c.of(types.UID(machine)); got != want {
			t.Errorf("%s has claimed %q, want %q", machine, got, want)
		}
	}

	c.drop("a")
	has("a", "")
	claim("a", "one", "", nil)
	claim("a", "one", "", nil)
	claim("b", "two", "a=one", nil)
	claim("c", "three", "a=one b=two", errors.New("none fits"))
	has("c", "")
	claim("b", "one", "a=one", nil) // there was nothing better
	claim("a", "two", "b=one", nil)
	has("a", "two")
	has("b", "one")
	c.drop("a")
	has("a", "")
	claim("c", "two", "b=one", nil)
}
