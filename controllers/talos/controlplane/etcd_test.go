package controlplane

import (
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/sidero-appliance/sidero-appliance/talosapi"
)

// TestLearn has two machines answer, and asks what is known of the third.
// TestLearnOfMachinesThatAreOff: at the address of the last machine the first one's node answers, which is silent at its own.
func TestLearnOfMachinesThatAreOff(t *testing.T) {
	var (
		machines []clusterv1.Machine
		members  []talosapi.Member
	)

	for i, host := range []string{"a", "b", "c"} {
		m := clusterv1.Machine{}
		m.Name = host
		m.Status.Addresses = clusterv1.MachineAddresses{{Type: clusterv1.MachineInternalIP, Address: host + ".lan"}}
		machines = append(machines, m)
		members = append(members, talosapi.Member{ID: uint64(i + 1), Hostname: host, PeerURLs: []string{"https://" + host + ".lan:2380"}})
	}

	well := func(id uint64) seen {
		return seen{reached: true, healthy: true, status: talosapi.EtcdStatus{ID: id}, members: members}
	}

	f := facts{machines: make([]machine, 3)}
	f.learn(machines, []seen{{}, well(2), well(1)})

	if got := f.machines[2]; got.member != (member{id: 3}) || got.reached || len(f.strangers) > 0 {
		t.Errorf("the last machine is %+v, strangers %v", got, f.strangers)
	}

	if got := f.machines[0].member; got != (member{id: 1}) {
		t.Errorf("the first machine's member is %+v", got)
	}
}

func TestLearn(t *testing.T) {
	entry := func(id uint64, name string) talosapi.Member {
		return talosapi.Member{ID: id, Hostname: name, PeerURLs: []string{"https://" + name + ".lan:2380"}}
	}

	three := []talosapi.Member{entry(1, "a"), entry(2, "b"), entry(3, "c")}

	for name, c := range map[string]struct {
		third     seen
		members   []talosapi.Member
		member    member
		pristine  bool
		strangers int
	}{
		"well":                    {seen{reached: true, healthy: true, status: talosapi.EtcdStatus{ID: 3}}, three, member{3, true}, false, 0},
		"off":                     {seen{}, three, member{id: 3}, false, 0},
		"starting":                {seen{reached: true}, three, member{id: 3}, false, 0},
		"wiped, joins again":      {seen{reached: true, pristine: true}, three, member{id: 3}, true, 0},
		"new":                     {seen{reached: true, pristine: true}, three[:2], member{}, true, 0},
		"new, another's is left":  {seen{reached: true, pristine: true}, append(three[:2:2], entry(4, "d")), member{}, true, 1},
		"expelled, does not know": {seen{reached: true, healthy: true, status: talosapi.EtcdStatus{ID: 3}}, three[:2], member{}, false, 0},
		"another at its address":  {seen{reached: true, healthy: true, status: talosapi.EtcdStatus{ID: 1}}, three, member{id: 3}, false, 0},
		"of another cluster":      {seen{reached: true, healthy: true, status: talosapi.EtcdStatus{ID: 9}}, three, member{}, false, 1},
	} {
		machines := make([]clusterv1.Machine, 3)
		for i, host := range []string{"a", "b", "c"} {
			machines[i].Name = host
			machines[i].Status.Addresses = clusterv1.MachineAddresses{{Type: clusterv1.MachineInternalIP, Address: host + ".lan"}}
		}

		said := []seen{c.third}
		for id := uint64(2); id > 0; id-- {
			said = append([]seen{{reached: true, healthy: true, status: talosapi.EtcdStatus{ID: id}, members: c.members}}, said...)
		}

		f := facts{machines: make([]machine, 3)}
		f.learn(machines, said)

		if got := f.machines[0].member; got != (member{1, true}) {
			t.Errorf("%s: the first machine's is %+v", name, got)
		}

		if got := f.machines[2]; got.member != c.member || got.pristine != c.pristine || len(f.strangers) != c.strangers || f.members != len(c.members) {
			t.Errorf("%s: %+v with strangers %v", name, got, f.strangers)
		}
	}
}
