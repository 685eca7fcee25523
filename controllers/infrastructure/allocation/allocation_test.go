package allocation_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/allocation"
)

type change func(*v1alpha2.Server)

// clean is a server that can be had, changed.
func clean(name string, changes ...change) v1alpha2.Server {
	s := v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	s.Spec.Accepted, s.Status.IsClean = true, true

	for _, c := range changes {
		c(&s)
	}

	return s
}

func in(domain string) change {
	return func(s *v1alpha2.Server) { s.Labels[allocation.FailureDomainLabel] = domain }
}

func unaccepted(s *v1alpha2.Server) { s.Spec.Accepted, s.Status.IsClean = false, false }
func cordoned(s *v1alpha2.Server)   { s.Spec.Cordoned = true }
func dirty(s *v1alpha2.Server)      { s.Status.IsClean = false }
func inUse(s *v1alpha2.Server)      { s.Status.InUse = true }
func deleting(s *v1alpha2.Server)   { s.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }
func other(s *v1alpha2.Server)      { s.Labels["class"] = "other" }
func unclear(s *v1alpha2.Server)    { s.Labels["class"] = "unclear" }

func duplicate(s *v1alpha2.Server) {
	s.Status.Conditions = v1alpha2.Conditions{{Type: v1alpha2.ConditionDuplicateIdentity, Status: corev1.ConditionTrue}}
}

func paused(s *v1alpha2.Server) {
	s.Annotations = map[string]string{clusterv1.PausedAnnotation: ""}
}

func judge(s *v1alpha2.Server) (bool, error) {
	if s.Labels["class"] == "unclear" {
		return false, errors.New("no such key")
	}

	return s.Labels["class"] != "other", nil
}

// bound is the binding of a server to a machine of the cluster.
func bound(server, machine string) v1alpha3.ServerBinding {
	return v1alpha3.ServerBinding{
		ObjectMeta: metav1.ObjectMeta{Name: server},
		Spec:       v1alpha3.ServerBindingSpec{MetalMachineRef: corev1.ObjectReference{Namespace: "default", Name: machine}},
	}
}

func isPeer(b *v1alpha3.ServerBinding) bool {
	return strings.HasPrefix(b.Spec.MetalMachineRef.Name, "peer")
}

func TestCandidates(t *testing.T) {
	type servers = []v1alpha2.Server

	type bindings = []v1alpha3.ServerBinding

	for name, c := range map[string]struct {
		servers  servers
		bindings bindings
		claims   bindings
		domain   string
		want     string // separated by spaces
		problem  string
	}{
		"by name": {servers: servers{clean("c"), clean("a"), clean("b")}, want: "a b c"},
		"only what can be had": {servers: servers{
			clean("a", unaccepted), clean("b", cordoned), clean("c", dirty), clean("d", inUse), clean("e", deleting), clean("f", duplicate),
			clean("g", other), clean("h", unclear), clean("h2", paused), clean("i"),
		}, want: "i"},
		"bound, and its Server does not know yet": {servers: servers{clean("a"), clean("b")}, bindings: bindings{bound("a", "other")}, want: "b"},
		"power that cannot be controlled matters as little as to Sidero": {servers: servers{clean("a", func(s *v1alpha2.Server) {
			s.Status.Conditions = v1alpha2.Conditions{{Type: v1alpha2.ConditionPowerControl, Status: corev1.ConditionFalse}}
		})}, want: "a"},

		"only in the domain": {servers: servers{clean("a", in("x")), clean("b", in("y")), clean("c")}, domain: "y", want: "b"},
		"spread": {
			servers:  servers{clean("a", in("x")), clean("b", in("x")), clean("c", in("y")), clean("d", in("z")), clean("e", in("y"))},
			bindings: bindings{bound("a", "peer-1"), bound("e", "other")}, want: "c d b",
		},
		"spread evenly": {
			servers:  servers{clean("a", in("x")), clean("b", in("x")), clean("c", in("x")), clean("d", in("y")), clean("e", in("y"))},
			bindings: bindings{bound("a", "peer-1"), bound("b", "peer-2"), bound("d", "peer-3")}, want: "e c",
		},
		"claimed by others last": {servers: servers{clean("a"), clean("b"), clean("c")}, claims: bindings{bound("a", "other")}, want: "b c a"},
		"apart from peers that are about to be bound": {
			servers: servers{clean("a", in("x")), clean("b", in("x")), clean("c", in("y"))}, claims: bindings{bound("a", "peer-1")}, want: "c b a",
		},
		"a claim that has become a binding counts once": {
			servers:  servers{clean("a", in("x")), clean("b", in("x")), clean("c", in("y")), clean("d", in("y"))},
			bindings: bindings{bound("a", "peer-1"), bound("c", "peer-2")}, claims: bindings{bound("a", "peer-1")}, want: "b d",
		},
		"without a domain is one domain": {
			servers: servers{clean("a"), clean("b"), clean("c", in("x"))}, bindings: bindings{bound("a", "peer-1")}, want: "c b",
		},

		"no servers": {problem: "class x has no servers: none of 0 is what it asks for"},
		"of none":    {servers: servers{clean("a", other), clean("b", other)}, problem: "class x has no servers: none of 2 is what it asks for"},
		"all of them": {servers: servers{
			clean("a", inUse), clean("b"), clean("c", unaccepted), clean("d", dirty), clean("e", other),
		}, bindings: bindings{bound("b", "other")}, problem: "class x has 4 servers: 2 in use, 1 not accepted, 1 not clean"},
		"each reason": {servers: servers{clean("a", cordoned), clean("b", deleting), clean("c", duplicate), clean("d", paused)},
			problem: "class x has 4 servers: 1 being deleted, 1 cordoned, 1 of an identity that several machines claim, 1 paused"},
		"one": {servers: servers{clean("a", dirty)}, problem: "class x has 1 server: 1 not clean"},
		"none in the domain": {servers: servers{clean("a", in("x")), clean("b"), clean("c", in("y"), dirty)}, domain: "y",
			problem: "class x has 3 servers: 2 not in failure domain y, 1 not clean"},
		"nobody can say": {servers: servers{clean("a", unclear), clean("b", dirty)},
			problem: "class x has 1 server: 1 not clean; its expression fails on server a: no such key"},
	} {
		want := allocation.Want{Class: "x", Judge: judge, Domain: c.domain, Peer: isPeer}

		for _, order := range []string{"as listed", "reversed"} {
			got, err := allocation.Candidates(want, allocation.Pool{Servers: c.servers, Bindings: c.bindings, Claims: c.claims})
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s, %s: got %v, want %s", name, order, got, c.want)
			}

			if (err != nil) != (c.problem != "") || err != nil && order == "as listed" && err.Error() != c.problem {
				t.Errorf("%s, %s: error %v, want %s", name, order, err, c.problem)
			}

			c.servers = slices.Clone(c.servers)
			slices.Reverse(c.servers)
		}
	}
}

func TestNamed(t *testing.T) {
	machine := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m", UID: "1"}}
	own, foreign, former := bound("a", "m"), bound("a", "n"), bound("a", "m")
	own.Spec.MetalMachineRef.UID, former.Spec.MetalMachineRef.UID = "1", "0"
	elsewhere := bound("a", "m")
	elsewhere.Spec.MetalMachineRef.Namespace = "other"

	free, leaving, claimed, raw := clean("a"), clean("a", deleting), clean("a", duplicate), clean("a", unaccepted, cordoned, inUse)

	for name, c := range map[string]struct {
		server  *v1alpha2.Server
		binding *v1alpha3.ServerBinding
		problem string
	}{
		"free":                      {server: &free},
		"as it is":                  {server: &raw},
		"has it":                    {server: &raw, binding: &own},
		"has it, and it is leaving": {server: &leaving, binding: &own},
		"another's":                 {server: &free, binding: &foreign, problem: "allocated to MetalMachine default/n"},
		"another namespace's":       {server: &free, binding: &elsewhere, problem: "allocated to MetalMachine other/m"},
		"a former machine's":        {server: &free, binding: &former, problem: "allocated to MetalMachine default/m"},
		"missing":                   {problem: "there is no server a"},
		"leaving":                   {server: &leaving, problem: "being deleted"},
		"claimed by several":        {server: &claimed, problem: "several machines claim"},
	} {
		err := allocation.Named("a", c.server, machine, c.binding)
		if (err != nil) != (c.problem != "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %v, want %q", name, err, c.problem)
		}
	}

	machine.Spec.ServerRef = &corev1.ObjectReference{Name: "a"}
	if !former.IsOf(machine) {
		t.Error("a restored machine does not have its server")
	}
}
