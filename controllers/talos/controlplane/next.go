package controlplane

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/installation"
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
	// configure has a machine run a part of Kubernetes of the wanted version.
	configure action = "configure"
	// install has a machine install the wanted release of Talos, and restart.
	install action = "install"
	// recordKubernetes writes down that a machine has been brought to the wanted version of Kubernetes.
	recordKubernetes action = "recordKubernetes"
	// recordTalos writes down that a machine need not be told any more to install a release of Talos.
	recordTalos action = "recordTalos"
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
	// drained is one whose Node has been drained, by Cluster API: it may part from etcd. Who is still connected to its API server would
	// wait in vain from then on, such as for the list of the Pods to be evicted.
	drained bool
	// flagged is one that a MachineHealthCheck wants to be replaced.
	flagged bool
	// outdated is one that is not made of what is wanted. It differs if that is not by its version of Kubernetes alone.
	outdated, differs bool
	// unready is one whose Node is not known to be ready.
	unready bool
	// located is one whose address is known.
	located bool
	// reached is one whose Talos API answers.
	reached bool
	// pristine is one that is reached and takes no part in etcd.
	pristine bool
	member   member

	// kubernetes is the version that the machine is of, and upgrading the one that its parts are being brought to, in place.
	kubernetes, upgrading string
	parts                 parts
	// talos is the release that it runs, empty when that is not known, and try the last one to have it install another.
	talos string
	try   installation.Try
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
	// spare tells whether there is infrastructure for one machine more.
	spare bool
	// kubernetes and talos are the versions that are wanted. That of Talos is empty when any will do.
	kubernetes, talos string
	now               time.Time
	// answers tells whether the API of the cluster does.
	answers  bool
	machines []machine
	// etcd tells whether a majority of members answered, whose number and whose strangers, of no machine, these are.
	etcd      bool
	members   int
	strangers []uint64
}

// decision is what to do, to which machine, to which part of it, or to which member, and, when that is to wait, what for.
type decision struct {
	action          action
	machine         string
	part            int
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

	if at := slices.IndexFunc(f.machines, func(m machine) bool { return f.intended != "" && m.uid == f.intended }); at >= 0 {
		return f.continuing(f.machines[at])
	}

	for _, m := range f.machines {
		if m.pristine && !m.deleting {
			return f.ifAlone(m, decision{action: intend, machine: m.name})
		}
	}

	return waiting(v1alpha3.ReasonWaitingForTalosBoot, "no machine can begin etcd yet: %s", f.silent())
}

// silent tells what each machine lacks for beginning.
func (f facts) silent() string {
	var told []string

	for _, m := range f.machines {
		switch {
		case m.deleting:
			told = append(told, m.name+" is being deleted")
		case !m.located:
			told = append(told, m.name+" has no address yet")
		case !m.reached:
			told = append(told, "the Talos API of "+m.name+" does not answer")
		default:
			told = append(told, m.name+" has data of etcd, which does not run well")
		}
	}

	return strings.Join(told, ", ")
}

// continuing is when a machine was chosen. One that has data of etcd refuses to begin again.
func (f facts) continuing(m machine) decision {
	switch {
	case m.deleting:
		return waiting(v1alpha3.ReasonWaitingForTalosBoot, "machine %s was to begin etcd and must be gone before another does", m.name)
	case !m.reached:
		return waiting(v1alpha3.ReasonWaitingForTalosBoot,
			"machine %s is to begin etcd and its Talos API does not answer yet; if it never will, delete it, and another begins", m.name)
	default:
		return f.ifAlone(m, decision{action: begin, machine: m.name})
	}
}

// ifAlone does something with a machine if no other has etcd.
func (f facts) ifAlone(m machine, d decision) decision {
	if !f.alone(m) {
		return waiting(v1alpha3.ReasonWaitingForTalosBoot,
			"before machine %s begins etcd all others must say that they have none: start those that do not answer, or delete them; %s",
			m.name, f.silent())
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
