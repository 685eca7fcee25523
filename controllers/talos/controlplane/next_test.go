package controlplane

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/installation"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

var now = time.Unix(1_800_000_000, 0)

// of is a machine that runs as it should, with a member of etcd.
func of(name string, member uint64) machine {
	return machine{
		name: name, uid: name, located: true, reached: true, member: memberOf(member), kubernetes: "v1.35.0", talos: "v1.13.5",
		parts: all("v1.35.0"),
	}
}

func memberOf(id uint64) member { return member{id: id, healthy: id != 0} }

func all(version string) parts {
	return parts{{version, version}, {version, version}, {version, version}, {version, version}}
}

// three are the facts of a control plane that is as wanted, changed.
func three(change func(*facts)) facts {
	f := facts{
		owned: true, provisioned: true, endpoint: true, bootstrapped: true, wanted: 3, surge: 1, spare: true, answers: true,
		kubernetes: "v1.35.0", now: now, etcd: true, members: 3, machines: []machine{of("a", 1), of("b", 2), of("c", 3)},
	}
	change(&f)

	return f
}

// cameBack are those of a control plane of which b runs the release of Talos that it was told to install a while ago.
func cameBack(ago time.Duration, change func(*machine)) facts {
	return three(func(f *facts) {
		f.talos, f.machines[1].talos = "v1.13.6", "v1.13.6"
		f.machines[1].try = installation.Try{To: "v1.13.6", Times: 1, At: now.Add(-ago)}
		change(&f.machines[1])
	})
}

// one are those of a control plane of one machine.
func one(change func(*facts)) facts {
	return three(func(f *facts) {
		f.wanted, f.members, f.machines = 1, 1, f.machines[:1]
		change(f)
	})
}

// young are those of a control plane that has no etcd yet, and a machine that could begin.
func young(change func(*facts)) facts {
	return one(func(f *facts) {
		f.bootstrapped, f.etcd, f.members, f.answers = false, false, 0, false
		f.machines[0].member, f.machines[0].pristine = member{}, true
		change(f)
	})
}

// off has a machine not answer.
func off(m *machine) { m.reached, m.member.healthy, m.talos = false, false, "" }

// goes has a machine be deleted.
func goes(m *machine) { m.deleting, m.held, m.drained = true, true, true }

// old has all machines be of another version of Kubernetes than is wanted.
func old(f *facts) {
	f.kubernetes = "v1.36.0"
	for i := range f.machines {
		f.machines[i].outdated = true
	}
}

// other has all machines be made of something else than is wanted.
func other(f *facts) {
	for i := range f.machines {
		f.machines[i].outdated, f.machines[i].differs = true, true
	}
}

// full has no spare server.
func full(f *facts) { old(f); f.spare = false }

// tells has the first parts of some machines be told and run the wanted version.
func tells(f *facts, part int, machines ...int) {
	for _, i := range machines {
		f.machines[i].upgrading, f.machines[i].parts[part].told, f.machines[i].parts[part].runs = f.kubernetes, f.kubernetes, f.kubernetes
	}
}

func TestNext(t *testing.T) {
	for name, c := range map[string]struct {
		facts   facts
		action  action
		machine string
		told    string // in the reason or the message
	}{
		// Before there is etcd.
		"paused":              {young(func(f *facts) { f.paused, f.deleted = true, true }), leave, "", ""},
		"deleted":             {three(func(f *facts) { f.deleted, f.owned = true, false }), clearAll, "", v1alpha3.ReasonDeleting},
		"deleted and empty":   {three(func(f *facts) { f.deleted, f.machines = true, nil }), finish, "", ""},
		"no owner":            {young(func(f *facts) { f.owned = false }), wait, "", v1alpha3.ReasonWaitingForOwner},
		"no infrastructure":   {young(func(f *facts) { f.provisioned = false }), wait, "", v1alpha3.ReasonWaitingForInfrastructure},
		"no endpoint":         {young(func(f *facts) { f.endpoint = false }), wait, "", v1alpha3.ReasonWaitingForEndpoint},
		"first machine":       {young(func(f *facts) { f.machines = nil }), create, "", ""},
		"none wanted":         {young(func(f *facts) { f.machines, f.wanted = nil, 0 }), wait, "", v1alpha3.ReasonWaitingForTalosBoot},
		"no second":           {young(func(f *facts) { f.wanted = 3; off(&f.machines[0]); f.machines[0].pristine = false }), wait, "", "the Talos API of a does not answer"},
		"no address":          {young(func(f *facts) { f.machines[0] = machine{name: "a"} }), wait, "", "a has no address yet"},
		"chosen":              {young(func(*facts) {}), intend, "a", ""},
		"begins":              {young(func(f *facts) { f.intended = "a" }), begin, "a", ""},
		"begins again":        {young(func(f *facts) { f.intended, f.machines[0].pristine = "a", false }), begin, "a", ""},
		"begun":               {young(func(f *facts) { f.intended, f.etcd = "a", true }), adopt, "", ""},
		"chosen and off":      {young(func(f *facts) { f.intended = "a"; off(&f.machines[0]); f.machines[0].pristine = false }), wait, "", "delete it, and another begins"},
		"chosen and flagged":  {young(func(f *facts) { f.intended, f.machines[0].flagged = "a", true }), begin, "a", ""},
		"flagged before":      {young(func(f *facts) { f.machines[0].flagged = true }), remove, "a", ""},
		"chosen and going":    {young(func(f *facts) { f.intended = "a"; goes(&f.machines[0]) }), release, "a", ""},
		"chosen and let go":   {young(func(f *facts) { f.intended, f.machines[0].deleting, f.wanted = "a", true, 0 }), wait, "", "must be gone before another does"},
		"another is chosen":   {young(func(f *facts) { f.intended = "gone" }), intend, "a", ""},
		"perhaps one already": {young(func(f *facts) { f.machines = append(f.machines, machine{name: "b", uid: "b"}) }), wait, "", "all others must say that they have none"},
		"perhaps one by now": {young(func(f *facts) {
			f.intended, f.machines = "a", append(f.machines, machine{name: "b", uid: "b"})
		}), wait, "", "all others must say that they have none"},
		"another has none":   {young(func(f *facts) { f.machines = append(f.machines, machine{name: "b", pristine: true}) }), intend, "a", ""},
		"another was let go": {young(func(f *facts) { f.machines = append(f.machines, machine{name: "b", deleting: true}) }), intend, "a", ""},
		"another may be one and goes": {young(func(f *facts) {
			f.machines = append(f.machines, machine{name: "b", deleting: true, held: true})
		}), release, "b", ""},

		// As wanted, larger and smaller.
		"steady":              {three(func(*facts) {}), steady, "", ""},
		"larger":              {three(func(f *facts) { f.wanted = 5 }), create, "", ""},
		"larger without etcd": {three(func(f *facts) { f.wanted, f.etcd = 5, false }), create, "", ""},
		"smaller":             {three(func(f *facts) { f.wanted = 1 }), remove, "a", ""},
		"smaller, one is ill": {three(func(f *facts) { f.wanted = 1; off(&f.machines[1]) }), remove, "b", ""},
		"smaller without etcd": {three(func(f *facts) {
			f.wanted, f.etcd = 1, false
			off(&f.machines[1])
		}), wait, "", "majority does not answer; bring its machines back: the Talos API of b does not answer"},
		"none": {one(func(f *facts) { f.wanted = 0 }), wait, "", v1alpha3.ReasonLastMember},
		"ill":  {three(func(f *facts) { f.machines[1].member.healthy = false }), wait, "", "the member of etcd of b is not healthy"},
		"off":  {three(func(f *facts) { off(&f.machines[1]) }), wait, "", "the Talos API of b does not answer"},
		"etcd is lost": {three(func(f *facts) {
			f.etcd = false
			for i := range f.machines {
				f.machines[i].member, f.machines[i].pristine = member{}, true
			}
		}), wait, "", "--recover-from"},

		// Machines that go.
		"goes": {three(func(f *facts) { goes(&f.machines[0]) }), evict, "a", ""},
		"goes, not drained": {three(func(f *facts) {
			f.wanted = 2
			goes(&f.machines[0])
			f.machines[0].drained = false
		}), wait, "", "the Node of a to be drained"},
		"goes, was off":      {three(func(f *facts) { goes(&f.machines[0]); off(&f.machines[0]) }), evict, "a", ""},
		"goes and has left":  {three(func(f *facts) { goes(&f.machines[0]); f.machines[0].member, f.members = member{}, 2 }), release, "a", ""},
		"goes and is needed": {three(func(f *facts) { goes(&f.machines[0]); off(&f.machines[1]) }), create, "", ""},
		"goes and is needed still": {three(func(f *facts) {
			f.wanted = 2
			goes(&f.machines[0])
			off(&f.machines[1])
		}), wait, "", v1alpha3.ReasonLastMember},
		"goes without etcd": {three(func(f *facts) { f.wanted, f.etcd = 2, false; goes(&f.machines[0]) }), wait, "", "a waits to leave etcd"},
		"goes, perhaps a member": {three(func(f *facts) {
			goes(&f.machines[0])
			f.machines[0].member, f.strangers, f.wanted = member{}, []uint64{1}, 2
			off(&f.machines[1])
		}), wait, "", v1alpha3.ReasonLastMember},
		"the last goes":         {one(func(f *facts) { goes(&f.machines[0]) }), create, "", ""},
		"the last, nobody else": {one(func(f *facts) { f.wanted = 0; goes(&f.machines[0]) }), wait, "", v1alpha3.ReasonLastMember},
		"was let go":            {three(func(f *facts) { f.machines[0].deleting, f.wanted = true, 2 }), wait, "", "to be gone: a"},
		"stranger":              {three(func(f *facts) { f.members, f.strangers = 4, []uint64{9} }), expel, "", ""},
		"perhaps no stranger":   {three(func(f *facts) { f.strangers, f.machines[2].member = []uint64{3}, member{} }), wait, "", "c has no member of etcd"},
		"stranger is needed":    {three(func(f *facts) { f.members, f.strangers = 7, []uint64{9} }), steady, "", ""},

		// Unhealthy machines.
		"unhealthy":            {three(func(f *facts) { f.machines[1].flagged = true }), remove, "b", ""},
		"unhealthy and off":    {three(func(f *facts) { f.machines[1].flagged = true; off(&f.machines[1]) }), remove, "b", ""},
		"unhealthy and needed": {three(func(f *facts) { f.machines[1].flagged = true; off(&f.machines[0]) }), wait, "", v1alpha3.ReasonRemediationRefused},
		"unhealthy, no etcd":   {three(func(f *facts) { f.machines[1].flagged, f.etcd = true, false }), wait, "", v1alpha3.ReasonRemediationRefused},
		"unhealthy and alone":  {one(func(f *facts) { f.machines[0].flagged = true }), wait, "", v1alpha3.ReasonRemediationRefused},
		"unhealthy and larger": {one(func(f *facts) { f.wanted, f.machines[0].flagged = 3, true }), create, "", ""},
		"unhealthy, one goes":  {three(func(f *facts) { f.wanted, f.machines[1].flagged, f.machines[0].deleting = 2, true, true }), wait, "", "to be gone: a"},
		"unhealthy, it is being upgraded": {three(func(f *facts) {
			f.talos, f.machines[1].flagged, f.machines[1].try = "v1.13.6", true, installation.Try{To: "v1.13.6", Times: 1, At: now}
			off(&f.machines[1])
		}), wait, "", v1alpha3.ReasonUpgradingTalos},

		// Replacing.
		"replace, surge":             {three(other), create, "", ""},
		"replace, surge, new is not": {three(func(f *facts) { other(f); f.machines = append(f.machines, machine{name: "d"}) }), wait, "", "d has no address yet"},
		"replace, surge, new is":     {three(func(f *facts) { other(f); f.machines, f.members = append(f.machines, of("d", 4)), 4 }), remove, "a", ""},
		"replace, the ill first": {three(func(f *facts) {
			other(f)
			f.machines, f.members = append(f.machines, of("d", 4)), 4
			off(&f.machines[2])
		}), remove, "c", ""},
		"replace, no surge":     {three(func(f *facts) { other(f); f.surge = 0 }), remove, "a", ""},
		"replace one, no surge": {one(func(f *facts) { other(f); f.surge = 0 }), wait, "", v1alpha3.ReasonLastMember},
		"replace, one is ill":   {three(func(f *facts) { other(f); off(&f.machines[1]) }), wait, "", "the Talos API of b does not answer"},
		"replace on delete":     {three(func(f *facts) { other(f); f.onDelete = true }), steady, "", ""},
		"smaller on delete": {three(func(f *facts) {
			f.onDelete, f.wanted, f.machines[1].outdated, f.machines[1].differs = true, 1, true, true
		}), remove, "b", ""},
		"replace without a server": {three(func(f *facts) { other(f); f.spare = false }), create, "", ""},
		"version, surge":           {three(old), create, "", ""},
		"version, no surge":        {three(func(f *facts) { full(f); f.surge = 0 }), remove, "a", ""},
		"version on delete":        {three(func(f *facts) { full(f); f.onDelete = true }), steady, "", ""},

		// Kubernetes in place.
		"in place":                      {three(full), configure, "a", "kube-apiserver v1.36.0 on machine a (step 1 of 12)"},
		"in place, no surge":            {one(func(f *facts) { old(f); f.surge = 0 }), configure, "a", "step 1 of 4"},
		"in place, second machine":      {three(func(f *facts) { full(f); tells(f, 0, 0) }), configure, "b", "kube-apiserver v1.36.0 on machine b (step 2 of 12)"},
		"in place, first does not run":  {three(func(f *facts) { full(f); tells(f, 0, 0); f.machines[0].parts[0].runs = "" }), wait, "", "waits for kube-apiserver v1.36.0 on machine a"},
		"in place, second part":         {three(func(f *facts) { full(f); tells(f, 0, 0, 1, 2) }), configure, "a", "kube-controller-manager"},
		"in place, kubelet":             {three(func(f *facts) { full(f); tells(f, 0, 0, 1, 2); tells(f, 1, 0, 1, 2); tells(f, 2, 0, 1, 2) }), configure, "a", "kubelet v1.36.0 on machine a (step 10 of 12)"},
		"in place, all run":             {one(func(f *facts) { full(f); tells(f, 0, 0); tells(f, 1, 0); tells(f, 2, 0); tells(f, 3, 0) }), recordKubernetes, "a", "runs Kubernetes v1.36.0"},
		"in place, a server comes":      {three(func(f *facts) { old(f); tells(f, 0, 0) }), configure, "b", ""},
		"in place, on delete by now":    {three(func(f *facts) { old(f); f.onDelete = true; tells(f, 0, 0) }), configure, "b", ""},
		"in place, something else too":  {three(func(f *facts) { full(f); f.machines[2].differs = true }), create, "", ""},
		"in place, one is ill":          {three(func(f *facts) { full(f); off(&f.machines[1]) }), wait, "", "follows when etcd is well on every machine: the Talos API of b"},
		"in place, API is away":         {three(func(f *facts) { full(f); f.answers = false }), wait, "", "follows when the API of the cluster answers"},
		"in place, a Node is not ready": {three(func(f *facts) { full(f); f.machines[2].unready = true }), wait, "", "the Node of machine c is ready"},
		"in place, not read":            {three(func(f *facts) { full(f); f.machines[0].parts = parts{} }), wait, "", "does not tell its configuration"},
		"in place, too far":             {three(func(f *facts) { full(f); f.kubernetes = "v1.37.0" }), wait, "", v1alpha3.ReasonUpgradeFailed},
		"in place, down":                {three(func(f *facts) { full(f); f.kubernetes = "v1.34.9" }), wait, "", v1alpha3.ReasonUpgradeFailed},
		"in place, no version":          {three(func(f *facts) { full(f); f.machines[0].parts[0].told = untagged }), wait, "", v1alpha3.ReasonUpgradeFailed},
		"in place, Talos is too old":    {three(func(f *facts) { full(f); f.machines[0].talos = "v1.12.0" }), wait, "", "cannot be had with Talos v1.12.0"},
		"in place, Talos is not known":  {three(func(f *facts) { full(f); f.machines[0].talos = "v9.9.9" }), configure, "a", ""},
		"in place, another version then": {three(func(f *facts) {
			full(f)
			tells(f, 0, 0, 1)
			f.machines[1].parts[0].runs, f.kubernetes = "", "v1.36.1"
		}), configure, "b", ""},
		"back, the API works": {three(func(f *facts) {
			full(f)
			tells(f, 0, 0)
			f.machines[0].parts[0].runs, f.kubernetes = "", "v1.35.0"
			f.machines[1].outdated, f.machines[2].outdated = false, false
		}), configure, "a", "kube-apiserver v1.35.0"},
		"back, the API does not": {one(func(f *facts) {
			full(f)
			tells(f, 0, 0)
			f.kubernetes, f.answers = "v1.35.0", false
			f.machines[0].parts = parts{{told: "v1.36.0"}, {told: "v1.35.0"}, {told: "v1.35.0"}, {told: "v1.35.0"}}
		}), configure, "a", "kube-apiserver v1.35.0"},
		"back, it works again": {one(func(f *facts) { f.machines[0].outdated, f.machines[0].upgrading = true, "v1.36.0" }), recordKubernetes, "a", ""},

		// Talos in place.
		"Talos":                   {three(func(f *facts) { f.talos = "v1.13.6" }), install, "a", "from Talos v1.13.5 to v1.13.6"},
		"Talos as wanted":         {three(func(f *facts) { f.talos = "v1.13.5" }), steady, "", ""},
		"Talos, one machine":      {one(func(f *facts) { f.talos = "v1.13.6" }), install, "a", ""},
		"Talos, on delete":        {three(func(f *facts) { f.talos, f.onDelete = "v1.13.6", true }), install, "a", ""},
		"Talos before Kubernetes": {three(func(f *facts) { full(f); f.talos = "v1.13.6" }), install, "a", ""},
		"Talos, no release":       {three(func(f *facts) { f.talos = "1.13" }), wait, "", "is no release of Talos"},
		"Talos, too far":          {three(func(f *facts) { f.talos, f.machines[0].talos = "v1.13.6", "v1.2.0" }), wait, "", v1alpha3.ReasonUpgradeFailed},
		"Talos, one is ill":       {three(func(f *facts) { f.talos = "v1.13.6"; f.machines[2].member.healthy = false }), wait, "", "the member of etcd of c is not healthy"},
		"Talos, one is off":       {three(func(f *facts) { f.talos = "v1.13.6"; off(&f.machines[0]) }), wait, "", "a does not tell which Talos it runs"},
		"Talos, API is away":      {three(func(f *facts) { f.talos, f.answers = "v1.13.6", false }), wait, "", "when the API of the cluster answers"},
		"Talos, installs": {three(func(f *facts) {
			f.talos, f.machines[1].try = "v1.13.6", installation.Try{To: "v1.13.6", Times: 1, At: now.Add(-time.Minute)}
		}), wait, "", "machine b installs Talos v1.13.6 (try 1 of 2)"},
		"Talos, came back, its Node has not": {
			cameBack(time.Minute, func(m *machine) { m.unready = true }), wait, "", "machine b runs Talos v1.13.6: waits for its Node",
		},
		"Talos, came back, and is judged unhealthy still": {
			cameBack(time.Minute, func(m *machine) { m.flagged = true }), wait, "", "machine b runs Talos v1.13.6: waits for its Node",
		},
		"Talos, came back long ago, its Node has not": {cameBack(time.Hour, func(m *machine) { m.unready = true }), recordTalos, "b", ""},
		"Talos, installs another": {three(func(f *facts) {
			f.talos, f.machines[1].try = "v1.13.5", installation.Try{To: "v1.13.6", Times: 1, At: now.Add(-time.Minute)}
		}), wait, "", "machine b installs Talos v1.13.6"},
		"Talos, installed": {cameBack(0, func(*machine) {}), recordTalos, "b", ""},
		"Talos, not back": {three(func(f *facts) {
			f.talos, f.machines[1].try = "v1.13.6", installation.Try{To: "v1.13.6", Times: 1, At: now.Add(-time.Hour)}
			off(&f.machines[1])
		}), wait, "", "b has not come back"},
		"Talos, again": {three(func(f *facts) {
			f.talos, f.machines[1].try = "v1.13.6", installation.Try{To: "v1.13.6", Times: 1, At: now.Add(-time.Hour)}
		}), install, "b", ""},
		"Talos, not again": {three(func(f *facts) {
			f.talos, f.machines[1].try = "v1.13.6", installation.Try{To: "v1.13.6", Times: 2, At: now.Add(-time.Hour)}
		}), wait, "", "remove its annotation"},
		"Talos, another by now": {three(func(f *facts) {
			f.talos, f.machines[1].try = "v1.13.5", installation.Try{To: "v1.13.6", Times: 2, At: now.Add(-time.Hour)}
		}), recordTalos, "b", ""},
		"Talos, nobody asks by now": {three(func(f *facts) { f.machines[1].try = installation.Try{To: "v1.13.6", Times: 2, At: now.Add(-time.Hour)} }), steady, "", ""},
	} {
		got := next(c.facts)
		if got.action != c.action || got.machine != c.machine || !strings.Contains(got.reason+" "+got.message, c.told) {
			t.Errorf("%s: %+v, want %s %s %q", name, got, c.action, c.machine, c.told)
		}

		if got.action == wait && (got.reason == "" || got.message == "") {
			t.Errorf("%s waits and does not tell for what: %+v", name, got)
		}
	}
}

// TestUnready: a Node of which nobody knows whether it is ready counts as one that is not, and a machine without a Node as none.
func TestUnready(t *testing.T) {
	for status, want := range map[metav1.ConditionStatus]bool{
		metav1.ConditionTrue: false, metav1.ConditionFalse: true, metav1.ConditionUnknown: true, "": true,
	} {
		m := clusterv1.Machine{}
		if status != "" {
			m.Status.Conditions = []metav1.Condition{{Type: clusterv1.MachineNodeReadyCondition, Status: status}}
		}

		if unready(m) {
			t.Errorf("%q without a Node: unready", status)
		}

		if m.Status.NodeRef.Name = "n"; unready(m) != want {
			t.Errorf("%q: %v", status, !want)
		}
	}
}

// TestComeBack: a server counts as clean soon only while it is on its way to that.
func TestComeBack(t *testing.T) {
	restarted := func(ago time.Duration) metal.ServerStatus {
		return metal.ServerStatus{Conditions: metal.Conditions{{
			Type: metal.ConditionPowerCycle, Reason: metal.ReasonInProgress, LastTransitionTime: metav1.Time{Time: now.Add(-ago)},
		}}}
	}

	for name, c := range map[string]struct {
		status metal.ServerStatus
		want   bool
	}{
		"clean":                 {metal.ServerStatus{IsClean: true}, true},
		"given back just now":   {metal.ServerStatus{InUse: true}, true},
		"restarted to be wiped": {restarted(time.Minute), true},
		"never wiped":           {restarted(time.Hour), false},
		"waits for a person":    {metal.ServerStatus{}, false},
	} {
		servers := []metal.Server{{Status: c.status}}
		if comeBack(servers, now); servers[0].Status.IsClean != c.want || servers[0].Status.InUse {
			t.Errorf("%s: %v", name, servers[0].Status.IsClean)
		}
	}
}
