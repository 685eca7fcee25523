package metalcluster

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/allocation"
)

func TestDomains(t *testing.T) {
	in := func(name string, accepted bool) metal.Server {
		return metal.Server{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{allocation.FailureDomainLabel: name}},
			Spec:       metal.ServerSpec{Accepted: accepted},
		}
	}

	deleted := in("gone", true)
	deleted.DeletionTimestamp = &metav1.Time{}

	*deleted.DeletionTimestamp = metav1.Now()

	for name, c := range map[string]struct {
		servers []metal.Server
		want    []string
	}{
		"no servers":  {nil, nil},
		"no labels":   {[]metal.Server{{Spec: metal.ServerSpec{Accepted: true}}}, nil},
		"not ours":    {[]metal.Server{in("a", false), deleted}, nil},
		"each once":   {[]metal.Server{in("b", true), in("a", true), in("b", true)}, []string{"a", "b"}},
		"some of one": {[]metal.Server{in("a", false), in("a", true)}, []string{"a"}},
	} {
		var got []string

		for _, d := range domains(c.servers) {
			if got = append(got, d.Name); d.ControlPlane == nil || !*d.ControlPlane {
				t.Errorf("%s: %s is not for control planes", name, d.Name)
			}
		}

		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
