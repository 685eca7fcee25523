package controlplane

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
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
}

// look is what a controller sees.
func (w *world) look() facts {
	f := w.facts
	f.etcd = w.majority(0) && slices.ContainsFunc(w.nodes, func(n *simulated) bool { return n.up && n.sound && w.listed(n) })

	for _, n := range w.nodes {
		m := n.machine
		m.held, m.located, m.reached, m.pristine = n.hooked && m.deleting, n.up || m.located, n.up, n.up && !n.data
		m.member = member{}

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
		w.nodes = append(w.nodes, &simulated{machine: machine{name: name, uid: name}, sound: true, hooked: true})
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
	case leave, wait, steady, clearAll, finish:
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

	for _, n := range w.nodes {
		if !n.located && w.random.IntN(3) == 0 {
			n.up, n.located = true, true
		}

		if n.up && !n.data && !n.left && w.majority(0) {
			w.join(n)
		}
	}
}

// disturb is what persons and faults do.
func (w *world) disturb() {
	if len(w.nodes) == 0 {
		return
	}

	n := w.nodes[w.random.IntN(len(w.nodes))]

	switch w.random.IntN(12) {
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
			n.outdated = true
		}
	case 8:
		w.facts.wanted = 3 + 2*w.random.IntN(2)
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
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 0))}                                        //nolint:gosec // no secret
	w.facts = facts{owned: true, provisioned: true, endpoint: true, wanted: 3, surge: int(seed % 2)} //nolint:gosec // 0 or 1

	for range 120 {
		if w.random.IntN(3) == 0 {
			w.disturb()
		}

		w.step()
	}

	for range 300 {
		for _, n := range w.nodes {
			n.up, n.sound = n.located, true
		}

		d, f := w.step(), w.look()
		if d.action == steady && len(f.machines) == f.wanted && len(w.members) == f.wanted && len(f.strangers) == 0 {
			return
		}
	}

	w.fail("it never comes to rest")
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
