package controlplane

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
)

// running is from then on that there is an etcd cluster. Why a machine stays that should be replaced is told if nothing else is done.
func (f facts) running() decision {
	if d, ok := f.parting(); ok {
		return d
	}

	if d, ok := f.sweeping(); ok {
		return d
	}

	refused, ok := f.remediating()
	if ok && refused.action == remove {
		return refused
	}

	rest := f.progressing()
	if ok && (rest.action == steady || rest.action == wait) {
		return refused
	}

	return rest
}

// progressing is all that is not urgent.
func (f facts) progressing() decision {
	active := f.active()

	switch {
	case len(active) < f.wanted:
		return decision{action: create}
	case len(active) < len(f.machines):
		return f.held()
	case len(active) > f.wanted:
		return f.scaleDown(active)
	}

	for _, step := range []func([]machine) (decision, bool){f.upgradingTalos, f.rolling} {
		if d, ok := step(active); ok {
			return d
		}
	}

	if !well(active) {
		return f.ailing(active)
	}

	return decision{action: steady}
}

// rolling replaces machines that are not made of what is wanted, or brings them to another version of Kubernetes as they are: when
// there is nothing to replace them with, and nothing else to change about them.
func (f facts) rolling(active []machine) (decision, bool) {
	old := slices.IndexFunc(active, func(m machine) bool { return m.outdated })

	switch {
	case slices.ContainsFunc(active, machine.begun):
		return f.upgradingKubernetes(active), true
	case old < 0 || f.onDelete:
		return decision{}, false
	case f.inPlace(active):
		return f.upgradingKubernetes(active), true
	case !well(active):
		return waiting(v1alpha3.ReasonRollingUpdate, "goes on when etcd is well on every machine: %s", unwell(active)), true
	case f.surge > 0:
		return decision{action: create}, true
	default:
		return f.shrink(active[old]), true
	}
}

// old tells whether some machine is not made of what is wanted.
func (f facts) old() bool {
	return f.bootstrapped && slices.ContainsFunc(f.active(), func(m machine) bool { return m.outdated })
}

// undecided tells whether it depends on a spare whether machines are replaced or upgraded.
func (f facts) undecided() bool {
	active := f.active()

	return f.old() && !f.onDelete && f.surge > 0 && len(active) == f.wanted && len(active) == len(f.machines) &&
		!slices.ContainsFunc(active, func(m machine) bool { return m.begun() || m.outdated && m.differs })
}

// replacing tells whether machines are being replaced already: some are as wanted. The server of the one that went before is free, and
// has to be wiped, so that there is none to spare for a while.
func (f facts) replacing() bool {
	return f.old() && slices.ContainsFunc(f.active(), func(m machine) bool { return !m.outdated })
}

// inPlace tells whether machines are upgraded rather than replaced.
func (f facts) inPlace(active []machine) bool {
	for _, m := range active {
		if m.outdated && (m.differs || f.surge == 0 && f.canLose(m)) {
			return false
		}
	}

	return f.surge == 0 || !f.spare
}

// ailing is when there is nothing to do, and etcd is not well.
func (f facts) ailing(active []machine) decision {
	if !f.etcd && !slices.ContainsFunc(active, func(m machine) bool { return !m.pristine }) {
		return waiting(v1alpha3.ReasonEtcdUnhealthy,
			"no machine has data of etcd any more: restore them by `talosctl bootstrap --recover-from` at one of them, or delete the Cluster")
	}

	return waiting(v1alpha3.ReasonEtcdUnhealthy, "etcd is not well on every machine: %s", unwell(active))
}

// parting sees to machines that are being deleted, by whomever.
func (f facts) parting() (decision, bool) {
	for _, m := range f.machines {
		switch {
		case !m.held || !f.etcd || !f.canLose(m):
		case m.member.id == 0: // a member that was not found to be its own is a stranger as soon as it is gone
			return decision{action: release, machine: m.name}, true
		case m.drained:
			return decision{action: evict, machine: m.name}, true
		}
	}

	return decision{}, false
}

// sweeping removes members of machines that are gone. While it is not known which member is a machine's, a stranger may be.
func (f facts) sweeping() (decision, bool) {
	if !f.etcd || len(f.strangers) == 0 || f.unsure() != "" || 2*f.healthyBut("") <= f.members-1 {
		return decision{}, false
	}

	return decision{action: expel, stranger: f.strangers[0]}, true
}

// unsure names a machine of which it is not known which member is its own.
func (f facts) unsure() string {
	for _, m := range f.machines {
		if !m.deleting && (!m.located || m.member.id == 0 && !m.pristine) {
			return m.name
		}
	}

	return ""
}

// remediating replaces a machine that is unhealthy, or tells why not. One that restarts into another Talos may be that for a while.
func (f facts) remediating() (decision, bool) {
	active := f.active()
	if len(active) < len(f.machines) {
		return decision{}, false
	}

	at := slices.IndexFunc(active, func(m machine) bool { return m.flagged && !m.try.Pending(f.now) })
	if at < 0 {
		return decision{}, false
	}

	d := f.shrink(active[at])
	if d.action != remove {
		d.reason, d.message = v1alpha3.ReasonRemediationRefused, "unhealthy "+d.message
	}

	return d, true
}

// held tells why the machines that are being deleted stay.
func (f facts) held() decision {
	var gone []string

	for _, m := range f.machines {
		if m.held && !f.etcd {
			return waiting(v1alpha3.ReasonEtcdUnhealthy,
				"machine %s waits to leave etcd, whose majority does not answer: bring its machines back: %s", m.name, unwell(f.machines))
		}

		if m.held && !m.drained && f.canLose(m) {
			return waiting(v1alpha3.ReasonScalingDown, "waits for the Node of %s to be drained: its condition Deleting tells how far that is", m.name)
		}

		if m.held {
			return waiting(v1alpha3.ReasonLastMember, "machine %s waits: without it etcd would have no majority of healthy members: %s",
				m.name, unwell(f.active()))
		}

		if m.deleting {
			gone = append(gone, m.name)
		}
	}

	return waiting(v1alpha3.ReasonScalingDown, "waits for what is being deleted to be gone: %s", strings.Join(gone, ", "))
}

// scaleDown chooses a machine. During a rolling update the new ones must be well before an old one goes.
func (f facts) scaleDown(active []machine) decision {
	current := slices.DeleteFunc(slices.Clone(active), func(m machine) bool { return m.outdated })
	if len(current) < len(active) && !f.onDelete && !well(current) {
		return waiting(v1alpha3.ReasonRollingUpdate, "goes on when etcd is well on the new machine: %s", unwell(current))
	}

	old := func(m machine) bool { return m.outdated && !f.onDelete }
	ill := func(m machine) bool { return !m.well() }

	for _, first := range []func(machine) bool{
		func(m machine) bool { return old(m) && ill(m) },
		old,
		ill,
		func(m machine) bool { return m.outdated },
	} {
		if at := slices.IndexFunc(active, first); at >= 0 {
			return f.shrink(active[at])
		}
	}

	return f.shrink(active[0])
}

// shrink deletes a machine if etcd can do without it.
func (f facts) shrink(m machine) decision {
	switch {
	case !f.etcd:
		return waiting(v1alpha3.ReasonEtcdUnhealthy, "machine %s is not deleted: etcd's majority does not answer; bring its machines back: %s",
			m.name, unwell(f.machines))
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
		if m.name != name && m.well() {
			count++
		}
	}

	return count
}

// well tells whether the machine's member of etcd is.
func (m machine) well() bool { return m.member.id != 0 && m.member.healthy }

func well(machines []machine) bool {
	return !slices.ContainsFunc(machines, func(m machine) bool { return !m.well() })
}

// unwell names the machines whose members of etcd are not well, and what is the matter with each.
func unwell(machines []machine) string {
	var told []string

	for _, m := range machines {
		switch {
		case m.well():
		case !m.located:
			told = append(told, m.name+" has no address yet")
		case !m.reached:
			told = append(told, fmt.Sprintf("the Talos API of %s does not answer", m.name))
		case m.member.id == 0:
			told = append(told, m.name+" has no member of etcd")
		default:
			told = append(told, fmt.Sprintf("the member of etcd of %s is not healthy", m.name))
		}
	}

	return strings.Join(told, ", ")
}
