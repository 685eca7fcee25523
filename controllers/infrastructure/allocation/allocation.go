// Package allocation decides which Server a MetalMachine gets. It knows no API: what it says holds for the facts that it is
// given, and who creates the ServerBinding first has the server.
package allocation

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/controllers/contract"
)

// FailureDomainLabel names the failure domain that a Server is in: a rack, a room, a circuit. It is optional.
const FailureDomainLabel = "metal.sidero.dev/failure-domain"

// Pool is what there is.
type Pool struct {
	Servers  []v1alpha2.Server
	Bindings []v1alpha3.ServerBinding
	// Claims are the bindings that other machines are about to make: their servers come last, because that may fail, and they count as
	// where these machines are.
	Claims []v1alpha3.ServerBinding
}

// holders are the bindings by their servers.
func holders(bindings []v1alpha3.ServerBinding) map[string]*v1alpha3.ServerBinding {
	by := make(map[string]*v1alpha3.ServerBinding, len(bindings))
	for i := range bindings {
		by[bindings[i].Name] = &bindings[i]
	}

	return by
}

// Want is what a MetalMachine asks for.
type Want struct {
	// Class is the name of the ServerClass, and Judge tells whether a server is what the class asks for, or why nobody can say.
	Class string
	Judge func(*v1alpha2.Server) (bool, error)
	// Domain is the failure domain that it has to be in; any when empty.
	Domain string
	// Peer tells whether a binding is of a machine that this one should be apart from.
	Peer func(*v1alpha3.ServerBinding) bool
}

// Candidates are the names of the servers that a machine can have, the best first: those that nobody claims, in failure domains with
// the fewest of its peers, and by name as Sidero among these. The error tells a person why there are none.
func Candidates(want Want, pool Pool) ([]string, error) {
	bound, claimed := holders(pool.Bindings), holders(pool.Claims)

	var fitting []*v1alpha2.Server

	peers := map[string]int{} // by failure domain

	for i := range pool.Servers {
		s := &pool.Servers[i]
		if binding := cmp.Or(bound[s.Name], claimed[s.Name]); binding != nil && want.Peer != nil && want.Peer(binding) {
			peers[s.Labels[FailureDomainLabel]]++
		}

		if Obstacle(s, bound[s.Name] != nil) == "" && want.isIn(s) {
			if fits, err := want.Judge(s); fits && err == nil {
				fitting = append(fitting, s)
			}
		}
	}

	if len(fitting) == 0 {
		return nil, want.explain(pool.Servers, bound)
	}

	slices.SortFunc(fitting, func(a, b *v1alpha2.Server) int {
		return cmp.Or(
			last(claimed[a.Name] != nil)-last(claimed[b.Name] != nil),
			cmp.Compare(peers[a.Labels[FailureDomainLabel]], peers[b.Labels[FailureDomainLabel]]),
			cmp.Compare(a.Name, b.Name),
		)
	})

	names := make([]string, len(fitting))
	for i, s := range fitting {
		names[i] = s.Name
	}

	return names, nil
}

// last sorts what it is true for behind the rest.
func last(is bool) int {
	if is {
		return 1
	}

	return 0
}

// Obstacle is why a server cannot be taken from a class; empty when it can. One that is not accepted is not clean either, so the
// first thing that a person can do something about comes first.
func Obstacle(s *v1alpha2.Server, bound bool) string {
	switch {
	case !s.DeletionTimestamp.IsZero():
		return "being deleted"
	case s.Duplicate():
		return "of an identity that several machines claim"
	case contract.Paused(s, nil): // nobody would start its machine
		return "paused"
	case bound || s.Status.InUse:
		return "in use"
	case !s.Spec.Accepted:
		return "not accepted"
	case s.Spec.Cordoned:
		return "cordoned"
	case !s.Status.IsClean:
		return "not clean"
	default:
		return ""
	}
}

func (w Want) isIn(s *v1alpha2.Server) bool {
	return w.Domain == "" || s.Labels[FailureDomainLabel] == w.Domain
}

// explain tells why none of the servers can be had.
func (w Want) explain(servers []v1alpha2.Server, bound map[string]*v1alpha3.ServerBinding) error {
	var total int

	var broken error // the first expression that failed

	counts := map[string]int{}

	for i := range servers {
		s := &servers[i]

		fits, err := w.Judge(s)
		if err != nil && broken == nil {
			broken = fmt.Errorf("on server %s: %w", s.Name, err)
		}

		if err != nil || !fits {
			continue
		}

		total++

		if obstacle := Obstacle(s, bound[s.Name] != nil); obstacle != "" {
			counts[obstacle]++
		} else {
			counts["not in failure domain "+w.Domain]++
		}
	}

	message := fmt.Sprintf("class %s has no servers: none of %d is what it asks for", w.Class, len(servers))
	if total > 0 {
		message = fmt.Sprintf("class %s has %s: %s", w.Class, plural(total), list(counts))
	}

	if broken != nil {
		return fmt.Errorf("%s; its expression fails %w", message, broken)
	}

	return errors.New(message)
}

func plural(servers int) string {
	if servers == 1 {
		return "1 server"
	}

	return fmt.Sprintf("%d servers", servers)
}

// list tells the most frequent first.
func list(counts map[string]int) string {
	obstacles := make([]string, 0, len(counts))
	for obstacle := range counts {
		obstacles = append(obstacles, obstacle)
	}

	slices.SortFunc(obstacles, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })

	for i, obstacle := range obstacles {
		obstacles[i] = fmt.Sprintf("%d %s", counts[obstacle], obstacle)
	}

	return strings.Join(obstacles, ", ")
}

// Named tells why a machine cannot have the server that it names; nil when it can. As with Sidero the server may be any: neither
// accepted nor clean, because one that has run on for years has its binding made again this way. The server is nil when there is
// none, and the binding when it is free.
func Named(name string, s *v1alpha2.Server, machine *v1alpha3.MetalMachine, binding *v1alpha3.ServerBinding) error {
	switch {
	case binding != nil && binding.IsOf(machine):
		return nil
	case binding != nil:
		ref := binding.Spec.MetalMachineRef

		return fmt.Errorf("server %s is allocated to MetalMachine %s/%s; name another server, or delete that machine", name, ref.Namespace, ref.Name)
	case s == nil:
		return fmt.Errorf("there is no server %s; name another, or let the machine register", name)
	case !s.DeletionTimestamp.IsZero():
		return fmt.Errorf("server %s is being deleted; name another", name)
	case s.Duplicate():
		return fmt.Errorf("several machines claim the identity of server %s; decide which one it is", name)
	default:
		return nil
	}
}
