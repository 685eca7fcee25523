package controlplane

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/installation"
)

// simulated is a machine with its node, as it is, and not as it is seen.
type simulated struct {
	machine

	id     uint64 // of its member, also when etcd does not answer
	up     bool
	sound  bool // its etcd passes its check
	hooked bool
	data   bool // of etcd
	left   bool

	runs       string // release of Talos
	installing string // that it restarts into
	lags       bool   // its Node is not ready yet after that
}

// world is a control plane whose machines and etcd obey rules, with a person and faults that do as they like.
type world struct {
	t       *testing.T
	random  *rand.Rand
	facts   facts // the lasting ones
	nodes   []*simulated
	members []uint64
	last    uint64
	log     []string
	steady  bool // no more faults: what is installed boots
}

// look is what a controller sees.
func (w *world) look() facts {
	f := w.facts
	f.answers = w.majority(0)
	f.etcd = f.answers && slices.ContainsFunc(w.nodes, func(n *simulated) bool { return n.up && n.sound && w.listed(n) })

	for _, n := range w.nodes {
		m := n.machine
		m.held, m.located, m.reached, m.pristine = n.hooked && m.deleting, n.up || m.located, n.up, n.up && !n.data
		m.drained = m.held // what is not drained waits
		m.member, m.unready = member{}, n.located && (!n.up || n.lags)
		m.outdated = m.differs || m.upgrading != "" || m.kubernetes != f.kubernetes

		if m.talos = ""; n.up {
			m.talos = n.runs
		}

		for p := range m.parts {
			if !n.up {
				m.parts[p].told = ""
			}

			if !f.answers {
				m.parts[p].runs = ""
			}
		}

		if w.listed(n) && (f.etcd || n.up) {
			m.member = member{id: n.id, healthy: f.etcd && n.up && n.sound}
		}

		f.machines = append(f.machines, m)
	}

	if f.etcd {
		f.members = len(w.members)

		for _, id := range w.members {
			if !slices.ContainsFunc(w.nodes, func(n *simulated) bool { return n.id == id }) {
				f.strangers = append(f.strangers, id)
			}
		}
	}

	return f
}

func (w *world) listed(n *simulated) bool { return n.id != 0 && slices.Contains(w.members, n.id) }

// majority tells whether the members that work, without one, are more than half of all, without that one.
func (w *world) majority(without uint64) bool {
	working, all := 0, 0

	for _, id := range w.members {
		if id == without {
			continue
		}

		all++

		if slices.ContainsFunc(w.nodes, func(n *simulated) bool { return n.id == id && n.up && n.sound }) {
			working++
		}
	}

	return 2*working > all
}

func (w *world) node(name string) *simulated {
	return w.nodes[slices.IndexFunc(w.nodes, func(n *simulated) bool { return n.name == name })]
}

func (w *world) drop(id uint64, what string) {
	if !w.majority(id) {
		w.fail("%s takes member %d, and no majority is left", what, id)
	}

	w.members = slices.DeleteFunc(w.members, func(m uint64) bool { return m == id })
}

func (w *world) join(n *simulated) {
	w.last++
	n.id, n.data = w.last, true
	w.members = append(w.members, n.id)
}

// do does what was decided. What is written to the status is lost at times, as when the controller is killed.
func (w *world) do(d decision) {
	lost := w.random.IntN(3) == 0

	switch d.action {
	case create:
		w.last++
		name := fmt.Sprint("m", w.last)
		n := &simulated{machine: machine{name: name, uid: name, kubernetes: w.facts.kubernetes}, sound: true, hooked: true, runs: "v1.13.4"}
		for p := range n.parts {
			n.parts[p] = part{w.facts.kubernetes, w.facts.kubernetes}
		}

		w.nodes = append(w.nodes, n)
	case remove:
		w.node(d.machine).deleting = true
	case release:
		n := w.node(d.machine)
		if w.facts.bootstrapped && w.listed(n) {
			w.fail("%s goes and is a member", n.name)
		}

		n.hooked = false
	case evict:
		n := w.node(d.machine)
		w.drop(n.id, "evict")
		n.left, n.data = true, false
	case expel:
		w.drop(d.stranger, "expel")
	case intend:
		w.facts.intended = w.node(d.machine).uid
	case begin:
		w.begin(w.node(d.machine))

		w.facts.bootstrapped = !lost
	case adopt:
		w.facts.bootstrapped = !lost
	case configure, recordKubernetes:
		w.upgradeKubernetes(w.node(d.machine), d)
	case install:
		w.install(w.node(d.machine), lost)
	case recordTalos:
		w.node(d.machine).try = installation.Try{}
	case leave, wait, steady, clearAll, finish:
	}
}

// upgradeKubernetes wants no part to be changed on one machine while it does not run on another.
func (w *world) upgradeKubernetes(n *simulated, d decision) {
	if d.action == recordKubernetes {
		for p := range n.parts {
			if n.parts[p].runs != w.facts.kubernetes {
				w.fail("%s is recorded and runs %+v", n.name, n.parts)
			}
		}

		n.kubernetes, n.upgrading = w.facts.kubernetes, ""

		return
	}

	for _, o := range w.nodes {
		if o != n && !o.deleting && !o.differs && o.parts[d.part].told != o.parts[d.part].runs && w.majority(0) && n.kubernetes != w.facts.kubernetes {
			w.fail("part %d is changed on %s while %s does not run its own", d.part, n.name, o.name)
		}
	}

	n.upgrading, n.parts[d.part].told = w.facts.kubernetes, w.facts.kubernetes
}

// install wants nothing else to be off when a machine restarts.
func (w *world) install(n *simulated, lost bool) {
	for _, o := range w.nodes {
		if !o.deleting && (!o.up || !o.sound || !w.listed(o) || o.installing != "") {
			w.fail("%s restarts while %s is not well", n.name, o.name)
		}
	}

	times := 1
	if n.try.To == w.facts.talos {
		times += n.try.Times
	}

	if n.try = (installation.Try{To: w.facts.talos, Times: times, At: w.facts.now}); times > tries {
		w.fail("%s is tried once more: %+v", n.name, n.try)
	}

	if !lost {
		n.installing, n.up = w.facts.talos, false
	}
}

func (w *world) begin(n *simulated) {
	if n.data {
		return // it refuses
	}

	for _, other := range w.nodes {
		if other.data {
			w.fail("%s begins, and %s has data of etcd", n.name, other.name)
		}
	}

	w.members = nil
	w.join(n)
}

// proceed is what nodes and Cluster API do by themselves.
func (w *world) proceed() {
	w.nodes = slices.DeleteFunc(w.nodes, func(n *simulated) bool { return n.deleting && !n.hooked })

	w.facts.now = w.facts.now.Add(time.Minute)

	for _, n := range w.nodes {
		if !n.located && w.random.IntN(3) == 0 {
			n.up, n.located = true, true
		}

		w.settle(n)

		if n.up && !n.data && !n.left && w.majority(0) {
			w.join(n)
		}
	}
}

// settle is what becomes of what a node was told. At times it cannot boot what it installed, and boots what it ran before.
func (w *world) settle(n *simulated) {
	if n.installing != "" && w.random.IntN(3) == 0 {
		if w.steady || w.random.IntN(4) > 0 {
			n.runs = n.installing
		}

		n.up, n.installing, n.lags = true, "", true
	} else if n.lags {
		n.lags = w.random.IntN(2) == 0
	}

	for p := range n.parts {
		if n.up && w.random.IntN(2) == 0 {
			n.parts[p].runs = n.parts[p].told
		}
	}
}

// disturb is what persons and faults do.
func (w *world) disturb() {
	if len(w.nodes) == 0 {
		return
	}

	n := w.nodes[w.random.IntN(len(w.nodes))]

	switch w.random.IntN(16) {
	case 0, 1, 2:
		n.up = n.located && !n.up
	case 3, 4:
		n.sound = !n.sound
	case 5:
		n.deleting = true
	case 6:
		n.flagged = true
	case 7:
		for _, n := range w.nodes {
			n.differs = true
		}
	case 8:
		w.facts.wanted = 3 + 2*w.random.IntN(2)
	case 9:
		w.facts.kubernetes = fmt.Sprint("v1.35.", w.random.IntN(3))
	case 10:
		w.facts.talos = fmt.Sprint("v1.13.", 4+w.random.IntN(3))
	case 11:
		w.facts.spare = !w.facts.spare
	case 12:
		n.try = installation.Try{} // a person has it tried again
	}
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\n%v", fmt.Sprintf(format, args...), w.log[max(0, len(w.log)-6):])
}

func (w *world) step() decision {
	f := w.look()
	d := next(f)
	w.log = append(w.log, fmt.Sprintf("%+v\n  -> %+v\n", f, d))
	w.do(d)
	w.proceed()

	return d
}

// TestNothingLosesEtcd lets persons and faults do as they like: no etcd cluster is begun beside another, no decision costs etcd its
// majority, no member is abandoned, and as soon as they stop all comes to be as wanted.
func TestNothingLosesEtcd(t *testing.T) {
	for seed := range uint64(500) {
		explore(t, seed)
	}
}

func explore(t *testing.T, seed uint64) {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // no secret
	w.facts = facts{
		owned: true, provisioned: true, endpoint: true, wanted: 3, surge: int(seed % 2), //nolint:gosec // 0 or 1
		kubernetes: "v1.35.0", now: time.Unix(1_800_000_000, 0),
	}

	for range 120 {
		if w.random.IntN(3) == 0 {
			w.disturb()
		}

		w.step()
	}

	w.steady = true

	for range 600 {
		for _, n := range w.nodes {
			n.up, n.sound = n.located && n.installing == "", true

			if n.try.Times == tries && !n.try.Pending(w.facts.now) {
				n.try = installation.Try{} // a person has seen what the condition says
			}
		}

		d, f := w.step(), w.look()
		if d.action == steady && len(f.machines) == f.wanted && len(w.members) == f.wanted && len(f.strangers) == 0 && w.current() {
			return
		}
	}

	w.fail("it never comes to rest")
}

// current tells whether all machines run what is wanted.
func (w *world) current() bool {
	return !slices.ContainsFunc(w.nodes, func(n *simulated) bool {
		return n.differs || n.kubernetes != w.facts.kubernetes || w.facts.talos != "" && n.runs != w.facts.talos ||
			slices.ContainsFunc(n.parts[:], func(p part) bool { return p.told != w.facts.kubernetes || p.runs != w.facts.kubernetes })
	})
}

// TestMovedNeverBeginsAgain takes a control plane without its status, as clusterctl moves it, and with one machine that has no data.
func TestMovedNeverBeginsAgain(t *testing.T) {
	f := facts{owned: true, provisioned: true, endpoint: true, wanted: 3, surge: 1, machines: []machine{
		{name: "a", uid: "a", located: true}, {name: "b", uid: "b", located: true},
		{name: "c", uid: "c", located: true, reached: true, pristine: true},
	}}

	if d := next(f); d.action != wait {
		t.Errorf("decided %+v", d)
	}

	f.machines = f.machines[2:]
	if d := next(f); d.action != intend {
		t.Errorf("alone it decided %+v", d)
	}
}
