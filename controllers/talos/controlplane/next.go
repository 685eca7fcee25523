package controlplane

import (
	"fmt"
	"slices"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
)

// action is what to do about a TalosControlPlane.
type action string

const (
	// leave does nothing: it is paused.
	leave action = "leave"
	// wait does nothing until something else changes.
	wait action = "wait"
	// steady is all as it is wanted.
	steady action = "steady"
	// create makes a machine.
	create action = "create"
	// remove deletes a machine. What its member of etcd needs comes when it is being deleted.
	remove action = "remove"
	// release lets a machine go whose member of etcd is gone.
	release action = "release"
	// evict takes the member of a machine that goes out of etcd.
	evict action = "evict"
	// expel takes a member out of etcd that is of no machine.
	expel action = "expel"
	// intend writes down which machine begins the etcd cluster, before it is told to.
	intend action = "intend"
	// begin has that machine begin the etcd cluster.
	begin action = "begin"
	// adopt writes down that there is an etcd cluster.
	adopt action = "adopt"
	// clearAll deletes all machines, without regard to etcd.
	clearAll action = "clear"
	// finish lets the control plane go.
	finish action = "finish"
)

// member is what is known of a machine's part in etcd.
type member struct {
	id      uint64 // 0: none
	healthy bool
}

// machine is one of the control plane's.
type machine struct {
	name     string
	uid      string
	deleting bool
	// held is one that is being deleted and waits to be released here.
	held bool
	// flagged is one that a MachineHealthCheck wants to be replaced.
	flagged bool
	// outdated is one that is not made of what is wanted.
	outdated bool
	// located is one whose address is known.
	located bool
	// reached is one whose Talos API answers.
	reached bool
	// pristine is one that is reached and takes no part in etcd.
	pristine bool
	member   member
}

// facts are what a decision is made from. Machines are ordered by age, the oldest first.
type facts struct {
	deleted, paused       bool
	owned                 bool // its Cluster is there
	provisioned, endpoint bool // of the Cluster
	bootstrapped          bool
	intended              string // UID of the machine that begins
	wanted                int
	surge                 int
	onDelete              bool
	machines              []machine
	// etcd tells whether a majority of members answered, whose number and whose strangers, of no machine, these are.
	etcd      bool
	members   int
	strangers []uint64
}

// decision is what to do, to which machine or member, and, when that is to wait, what for.
type decision struct {
	action          action
	machine         string
	stranger        uint64
	reason, message string
}

func waiting(reason, format string, args ...any) decision {
	return decision{action: wait, reason: reason, message: fmt.Sprintf(format, args...)}
}

// next decides what to do about a TalosControlPlane: one thing at a time.
func next(f facts) decision {
	switch {
	case f.paused:
		return decision{action: leave}
	case f.deleted && len(f.machines) == 0:
		return decision{action: finish}
	case f.deleted:
		return decision{action: clearAll, reason: v1alpha3.ReasonDeleting, message: fmt.Sprintf("%d machines are being deleted", len(f.machines))}
	case !f.owned:
		return waiting(v1alpha3.ReasonWaitingForOwner, "no Cluster owns this object yet")
	case !f.provisioned:
		return waiting(v1alpha3.ReasonWaitingForInfrastructure, "the infrastructure of the Cluster is not ready")
	case !f.endpoint:
		return waiting(v1alpha3.ReasonWaitingForEndpoint, "the Cluster has no control plane endpoint yet: set one in its MetalCluster")
	case !f.bootstrapped:
		return f.beginning()
	default:
		return f.running()
	}
}

// beginning is until it is known that there is an etcd cluster. Nobody is told to begin one while there might be one already, as in a
// control plane that was moved here without its status: all other machines must say that they have none. So that a new cluster need
// not wait for all of them there is one machine at first, as with upstream.
func (f facts) beginning() decision {
	if f.etcd {
		return decision{action: adopt}
	}

	for _, m := range f.machines {
		switch {
		case m.held && (m.pristine || f.alone(m)):
			return decision{action: release, machine: m.name}
		case m.flagged && !m.deleting && m.uid != f.intended:
			return decision{action: remove, machine: m.name}
		}
	}

	if len(f.active()) == 0 && f.wanted > 0 {
		return decision{action: create}
	}

	if at := slices.IndexFunc(f.machines, func(m machine) bool { return m.uid == f.intended }); at >= 0 {
		return f.continuing(f.machines[at])
	}

	for _, m := range f.machines {
		if m.pristine && !m.deleting {
			return f.ifAlone(m, decision{action: intend, machine: m.name})
		}
	}

	return waiting(v1alpha3.ReasonWaitingForTalosBoot, "no machine's Talos API answers yet")
}

// continuing is when a machine was chosen. One that has data of etcd refuses to begin again.
func (f facts) continuing(m machine) decision {
	switch {
	case m.deleting:
		return waiting(v1alpha3.ReasonWaitingForTalosBoot, "machine %s was to begin etcd and must be gone before another does", m.name)
	case !m.reached:
		return waiting(v1alpha3.ReasonWaitingForTalosBoot, "machine %s is to begin etcd and its Talos API does not answer yet", m.name)
	case m.pristine:
		return f.ifAlone(m, decision{action: begin, machine: m.name})
	default:
		return decision{action: begin, machine: m.name}
	}
}

// ifAlone does something with a machine if no other has etcd.
func (f facts) ifAlone(m machine, d decision) decision {
	if !f.alone(m) {
		return waiting(v1alpha3.ReasonWaitingForTalosBoot,
			"before machine %s begins etcd all others must say that they have none: start those that do not answer, or delete them", m.name)
	}

	return d
}

// alone tells whether no machine but one may have etcd. One that was let go never comes back with its data.
func (f facts) alone(m machine) bool {
	return !slices.ContainsFunc(f.machines, func(o machine) bool {
		return o.name != m.name && !o.pristine && (!o.deleting || o.held)
	})
}

// active are the machines that stay.
func (f facts) active() []machine {
	return slices.DeleteFunc(slices.Clone(f.machines), func(m machine) bool { return m.deleting })
}

// running is from then on.
func (f facts) running() decision {
	active := f.active()
	leaving := len(f.machines) - len(active)

	if d, ok := f.parting(); ok {
		return d
	}

	if d, ok := f.sweeping(); ok {
		return d
	}

	flagged := slices.IndexFunc(active, func(m machine) bool { return m.flagged })
	if leaving == 0 && flagged >= 0 {
		if d := f.shrink(active[flagged]); d.action == remove {
			return d
		}
	}

	old := slices.IndexFunc(active, func(m machine) bool { return m.outdated })
	rolling := old >= 0 && !f.onDelete

	switch {
	case len(active) < f.wanted:
		return decision{action: create}
	case leaving > 0:
		return f.held()
	case len(active) > f.wanted:
		return f.scaleDown(active)
	case rolling && !well(active):
		return waiting(v1alpha3.ReasonRollingUpdate, "goes on when etcd is well on every machine")
	case rolling && f.surge > 0:
		return decision{action: create}
	case rolling:
		return f.shrink(active[old])
	case !well(active):
		return waiting(v1alpha3.ReasonEtcdUnhealthy, "not every machine has a member of etcd that is well")
	default:
		return decision{action: steady}
	}
}

// parting sees to machines that are being deleted, by whomever.
func (f facts) parting() (decision, bool) {
	for _, m := range f.machines {
		if !m.held || !f.etcd {
			continue
		}

		if m.member.id == 0 { // a member that was not found to be its own is a stranger as soon as it is gone
			return decision{action: release, machine: m.name}, true
		}

		if f.canLose(m) {
			return decision{action: evict, machine: m.name}, true
		}
	}

	return decision{}, false
}

// sweeping removes members of machines that are gone. While it is not known which member is a machine's, a stranger may be.
func (f facts) sweeping() (decision, bool) {
	for _, m := range f.machines {
		if !m.deleting && (!m.located || m.member.id == 0 && !m.pristine) {
			return decision{}, false
		}
	}

	if !f.etcd || len(f.strangers) == 0 || 2*f.healthyBut("") <= f.members-1 {
		return decision{}, false
	}

	return decision{action: expel, stranger: f.strangers[0]}, true
}

// held tells why the machines that are being deleted stay.
func (f facts) held() decision {
	for _, m := range f.machines {
		if m.held && !f.etcd {
			return waiting(v1alpha3.ReasonEtcdUnhealthy,
				"machine %s waits to leave etcd, whose majority does not answer: bring its machines back", m.name)
		}

		if m.held {
			return waiting(v1alpha3.ReasonLastMember, "machine %s waits: without it etcd would have no majority of healthy members", m.name)
		}
	}

	return waiting(v1alpha3.ReasonScalingDown, "waits for %d machines to be gone", len(f.machines)-len(f.active()))
}

// scaleDown chooses a machine. During a rolling update the new ones must be well before an old one goes.
func (f facts) scaleDown(active []machine) decision {
	current := slices.DeleteFunc(slices.Clone(active), func(m machine) bool { return m.outdated })
	if len(current) < len(active) && !f.onDelete {
		if !well(current) {
			return waiting(v1alpha3.ReasonRollingUpdate, "goes on when etcd is well on the new machine")
		}

		return f.shrink(active[slices.IndexFunc(active, func(m machine) bool { return m.outdated })])
	}

	for _, first := range []func(machine) bool{
		func(m machine) bool { return m.member.id == 0 || !m.member.healthy },
		func(m machine) bool { return m.outdated },
		func(machine) bool { return true },
	} {
		if at := slices.IndexFunc(active, first); at >= 0 {
			return f.shrink(active[at])
		}
	}

	return decision{action: steady}
}

// shrink deletes a machine if etcd can do without it.
func (f facts) shrink(m machine) decision {
	switch {
	case !f.etcd:
		return waiting(v1alpha3.ReasonEtcdUnhealthy, "machine %s is not deleted: etcd's majority does not answer; bring its machines back", m.name)
	case !f.canLose(m):
		return waiting(v1alpha3.ReasonLastMember,
			"machine %s is not deleted: without it etcd would have no majority of healthy members; have more replicas, or maxSurge 1", m.name)
	default:
		return decision{action: remove, machine: m.name}
	}
}

// canLose tells whether the healthy members but a machine's are a majority of what is left, never nobody.
func (f facts) canLose(m machine) bool {
	if m.member.id == 0 && (m.pristine || len(f.strangers) == 0) {
		return true
	}

	left := f.members - 1

	return left > 0 && 2*f.healthyBut(m.name) > left
}

func (f facts) healthyBut(name string) int {
	count := 0

	for _, m := range f.machines {
		if m.name != name && m.member.id != 0 && m.member.healthy {
			count++
		}
	}

	return count
}

func well(machines []machine) bool {
	return !slices.ContainsFunc(machines, func(m machine) bool { return m.member.id == 0 || !m.member.healthy })
}
