package manifest

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/repository"
)

const (
	// anyServer is the class that the appliance makes of all servers.
	anyServer = "any"

	// A control plane of three lives on without one of them. It is worth its machines when as many as these are left for workers.
	safe, worthwhile = 3, 2
	// mostWorkers are as many as are taken when nobody has said how many: a large pool is for more than one cluster.
	mostWorkers = 3
)

// Pool is what there is to make clusters of.
type Pool struct {
	Classes []Class
	// Addresses are those that each server has, with the length of their network's prefix.
	Addresses map[string][]netip.Prefix
}

// Class is a server class.
type Class struct {
	Name string
	// Available are the names of the servers that can be taken from it now: accepted, clean and not in use.
	Available []string
	// Obstacles count the others by what stands in the way.
	Obstacles map[string]int
	// Problem is why nobody can say which servers it has.
	Problem string
	// Talos is the version that its servers boot, such as v1.13.6; empty when that is not known.
	Talos string
}

// Choose fills in what nobody has said of a cluster, and tells which servers that takes. Where there is no pool, nobody could be
// asked for one: then it is what clusterctl fills in.
func Choose(c Cluster, pool *Pool) (chosen Cluster, notes []string) {
	c.ControlPlaneClass = cmp.Or(c.ControlPlaneClass, pool.largest())
	c.WorkerClass = cmp.Or(c.WorkerClass, c.ControlPlaneClass)

	plane, _ := pool.class(c.ControlPlaneClass)
	workers, _ := pool.class(c.WorkerClass)
	all := union(plane.Available, workers.Available)
	guessed := c.ControlPlanes == nil || c.Workers == nil

	if c.ControlPlanes == nil {
		needed := worthwhile

		switch {
		case c.Workers != nil:
			needed = int(*c.Workers)
		case all == len(plane.Available)+len(workers.Available): // none of the workers' servers could be the control plane's
			needed = 0
		}

		count := int64(1)
		if len(plane.Available) >= safe && min(all-safe, len(workers.Available)) >= needed {
			count = safe
		}

		c.ControlPlanes = &count
	}

	if c.Workers == nil {
		count := max(0, min(mostWorkers, int64(len(workers.Available)), int64(all)-*c.ControlPlanes))
		c.Workers = &count
	}

	if guessed && pool != nil {
		notes = append(notes, fmt.Sprintf("%d of the control plane and %d workers, of %d servers that are free: --control-planes and --workers say otherwise",
			*c.ControlPlanes, *c.Workers, all))
	}

	if guessed && *c.Workers == 0 {
		notes = append(notes, "without workers nothing of yours runs, unless Talos is told to allow that on the control plane")
	}

	c.TalosVersion = cmp.Or(c.TalosVersion, release(plane.Talos), repository.TalosVersion)
	c.KubernetesVersion = cmp.Or(c.KubernetesVersion, kubernetesFor(c.TalosVersion))

	return c, notes
}

// largest is the class to take servers from when nobody has said one: that of all servers, or the one that has most to give.
func (p *Pool) largest() string {
	if _, ok := p.class(anyServer); ok || p == nil || len(p.Classes) == 0 {
		return anyServer
	}

	return slices.MaxFunc(p.Classes, func(a, b Class) int {
		return cmp.Or(cmp.Compare(len(a.Available), len(b.Available)), cmp.Compare(b.Name, a.Name))
	}).Name
}

func (p *Pool) class(name string) (Class, bool) {
	if p != nil {
		for _, class := range p.Classes {
			if class.Name == name {
				return class, true
			}
		}
	}

	return Class{}, false
}

// union is how many servers two lists have together.
func union(a, b []string) int {
	all := slices.Concat(a, b)
	slices.Sort(all)

	return len(slices.Compact(all))
}

// Warnings tell what of a cluster does not fit what there is now, and what to do about it.
func Warnings(c Cluster, pool *Pool) []string {
	var all []string

	warn := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	plane, workers := said(c.ControlPlanes), said(c.Workers)
	parts := []struct {
		class string
		count int64
		flag  string
	}{{c.ControlPlaneClass, plane, "--control-plane-class"}, {c.WorkerClass, workers, "--worker-class"}}

	if c.ControlPlaneClass == c.WorkerClass {
		parts, parts[0].count = parts[:1], plane+workers
	}

	short := false

	for _, part := range parts {
		if class, ok := pool.class(part.class); part.count > 0 && !ok {
			short = true

			warn("there is no server class %s: the machines wait until you make it. %s names another: %s", part.class, part.flag, pool.names())
		} else if part.count > int64(len(class.Available)) {
			short = true

			warn("%s", class.shortage(part.count))
		}
	}

	first, _ := pool.class(c.ControlPlaneClass)
	second, _ := pool.class(c.WorkerClass)

	if both := union(first.Available, second.Available); !short && plane+workers > int64(both) {
		warn("the classes %s and %s have %d free servers together, because some are in both, and the cluster wants %d: the others wait",
			first.Name, second.Name, both, plane+workers)
	}

	if c.ControlPlaneClass == c.WorkerClass && workers > 0 {
		warn("the control plane and the workers take their servers from the same class, %s: which gets which is chance. If they are not all alike, "+
			"make a class for each, and name it by --control-plane-class and --worker-class", c.ControlPlaneClass)
	}

	return slices.Concat(all, c.mismatches(first, second), c.unreachable(pool))
}

// shortage tells why a class has too few servers.
func (k Class) shortage(wanted int64) string {
	if k.Problem != "" {
		return fmt.Sprintf("server class %s has no servers, because it cannot be understood: %s", k.Name, k.Problem)
	}

	have := fmt.Sprintf("server class %s has %d free servers, and the cluster wants %d: the others wait", k.Name, len(k.Available), wanted)
	if len(k.Obstacles) == 0 {
		return have + ". It asks for what no other server is"
	}

	var reasons []string
	for reason, count := range k.Obstacles {
		reasons = append(reasons, fmt.Sprintf("%d %s", count, reason))
	}

	slices.Sort(reasons)

	return fmt.Sprintf("%s. Of the rest of the class are %s: \"sidero-appliance servers\" shows what each waits for", have, strings.Join(reasons, ", "))
}

func (p *Pool) names() string {
	var names []string
	for _, class := range p.Classes {
		names = append(names, class.Name)
	}

	slices.Sort(names)

	if len(names) == 0 {
		return "there is none yet"
	}

	return "there are " + strings.Join(names, ", ")
}

// unreachable tells when the endpoint cannot be what somebody seems to mean, and offers to have the control plane share it.
func (c Cluster) unreachable(pool *Pool) []string {
	var all []string

	shared, virtual := address(c.VirtualIP)
	endpoint, numeric := address(cmp.Or(c.Endpoint, c.VirtualIP))

	if owner := pool.owner(endpoint); numeric && owner != "" {
		all = append(all, fmt.Sprintf("%s is the address of server %s: the cluster's API needs one that no machine has", endpoint, owner))
	}

	switch {
	case virtual && len(pool.networks()) > 0 && !pool.local(shared):
		all = append(all, fmt.Sprintf("%s is in no network that a server has an address in, and machines can share only one that is: there are %s",
			shared, strings.Join(pool.networks(), ", ")))
	case !virtual && numeric && pool.local(endpoint):
		all = append(all, fmt.Sprintf("%s is in the network of the machines, and nothing here makes it lead to them. If no load balancer has it, "+
			"give --virtual-ip %[1]s, and the control plane shares it", endpoint))
	}

	return all
}

func address(text string) (netip.Addr, bool) {
	parsed, err := netip.ParseAddr(text)

	return parsed.Unmap(), err == nil
}

// owner is the server that has an address.
func (p *Pool) owner(a netip.Addr) string {
	for _, name := range slices.Sorted(maps.Keys(p.Addresses)) {
		if slices.ContainsFunc(p.Addresses[name], func(n netip.Prefix) bool { return n.Addr() == a }) {
			return name
		}
	}

	return ""
}

// local tells whether an address is in a network that servers are in.
func (p *Pool) local(a netip.Addr) bool {
	for _, prefixes := range p.Addresses {
		if slices.ContainsFunc(prefixes, func(n netip.Prefix) bool { return n.Contains(a) }) {
			return true
		}
	}

	return false
}

// networks are those that servers are in.
func (p *Pool) networks() []string {
	var all []string

	for _, prefixes := range p.Addresses {
		for _, n := range prefixes {
			all = append(all, n.Masked().String())
		}
	}

	slices.Sort(all)

	return slices.Compact(all)
}
