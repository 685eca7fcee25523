package identity_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration/identity"
)

const (
	own    = "4c4c4544-0042-3510-8051-b4c04f564432"
	common = "03000200-0400-0500-0006-000700080009"

	board  = "00:25:90:00:00:0a"
	board2 = "00:25:90:00:00:0b"
	card   = "00:1b:21:00:00:01"
	dongle = "00:e0:4c:00:00:0d"
)

// agent is what a machine with our agent tells, booted from its first adapter.
func agent(serial string, macs ...string) identity.Facts {
	return identity.New(identity.Facts{Serial: serial, BootMAC: macs[0], MACs: macs})
}

// onUSB is what a machine with our agent tells that booted from a dongle.
func onUSB(serial string, macs ...string) identity.Facts {
	return identity.New(identity.Facts{Serial: serial, BootMAC: dongle, MACs: macs})
}

// sidero is what a machine with Sidero's agent tells.
func sidero(serial string, macs ...string) identity.Facts {
	return identity.New(identity.Facts{Serial: serial, Other: macs})
}

func first(facts identity.Facts) identity.Claim { return identity.Claim{Name: own, Facts: facts} }

// claimOf is that of a Server whose machine has told this.
func claimOf(name, serial, mac string) identity.Claim {
	server := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: name}}
	server.Status.Identity = &v1alpha2.MachineIdentity{SerialNumber: serial, MACs: []string{mac}}

	return identity.ClaimOf(server)
}

func later(mac string, facts identity.Facts) identity.Claim {
	return identity.Claim{Name: identity.NameOf(own, mac), Facts: facts}
}

func TestDecide(t *testing.T) {
	none := identity.Facts{}
	second := identity.NameOf(own, board2)

	for name, test := range map[string]struct {
		comes  identity.Facts
		claims []identity.Claim
		want   string // empty: refused
		others int
	}{
		"the first":                               {agent("CZ1A", board), nil, own, 0},
		"the same again":                          {agent("CZ1A", board), []identity.Claim{first(agent("CZ1A", board))}, own, 0},
		"its adapter was replaced":                {agent("CZ1A", board2), []identity.Claim{first(agent("CZ1A", board))}, own, 0},
		"its board was replaced, its card stayed": {agent("CZ2B", board2, card), []identity.Claim{first(agent("CZ1A", board, card))}, own, 0},
		"another serial number and address":       {agent("CZ2B", board2), []identity.Claim{first(agent("CZ1A", board))}, second, 1},
		"no serial numbers, another address":      {agent("", board2), []identity.Claim{first(agent("", board))}, second, 1},
		"no serial numbers, one address the same": {agent("", board2, card), []identity.Claim{first(agent("", board, card))}, own, 0},
		"a clone, whose serial number is the UUID": {
			agent("VMware-4c 4c 45 44 00 42 35 10-80 51 b4 c0 4f 56 44 32", board2),
			[]identity.Claim{claimOf(own, "VMware-4c 4c 45 44 00 42 35 10-80 51 b4 c0 4f 56 44 32", board)}, second, 1,
		},
		"a clone, the UUID in the order of SMBIOS": {
			agent("VMware-44 45 4c 4c 42 00 10 35-80 51 b4 c0 4f 56 44 32", board2),
			[]identity.Claim{claimOf(own, "VMware-44 45 4c 4c 42 00 10 35-80 51 b4 c0 4f 56 44 32", board)}, second, 1,
		},
		"a serial number that all have": {agent("Default string", board2), []identity.Claim{first(agent("default string", board))}, second, 1},
		"zeros for a serial number":     {agent("0000000", board2), []identity.Claim{first(agent("0000000", board))}, second, 1},
		"only one has a serial number":  {agent("CZ1A", board2), []identity.Claim{first(agent("", board))}, second, 1},
		"only one has, one address":     {agent("CZ1A", board), []identity.Claim{first(agent("", board))}, own, 0},
		"one dongle, two boards":        {onUSB("", board2), []identity.Claim{first(onUSB("", board))}, identity.NameOf(own, dongle), 1},
		"one dongle, named after it already": {
			onUSB("", board2), []identity.Claim{first(agent("", card)), later(dongle, onUSB("", board))}, second, 2,
		},
		"only dongles, one after the other": {identity.New(identity.Facts{BootMAC: dongle}), []identity.Claim{first(identity.New(identity.Facts{BootMAC: dongle}))}, own, 0},
		"only dongles, another":             {identity.New(identity.Facts{BootMAC: dongle}), []identity.Claim{first(identity.New(identity.Facts{BootMAC: card}))}, identity.NameOf(own, dongle), 1},

		"a later one again":               {agent("CZ2B", board2), []identity.Claim{first(agent("CZ1A", board)), later(board2, agent("CZ2B", board2))}, second, 1},
		"a later one by another adapter":  {agent("CZ2B", card, board2), []identity.Claim{first(agent("CZ1A", board)), later(board2, agent("CZ2B", board2, card))}, second, 1},
		"a third":                         {agent("CZ3C", card), []identity.Claim{first(agent("CZ1A", board)), later(board2, agent("CZ2B", board2))}, identity.NameOf(own, card), 2},
		"the first one's Server was lost": {agent("CZ2B", board2), []identity.Claim{later(board2, agent("CZ2B", board2))}, second, 0},
		"the first one comes after that":  {agent("CZ1A", board), []identity.Claim{later(board2, agent("CZ2B", board2))}, identity.NameOf(own, board), 1},
		"a card moved between two that have told, the serial number stays": {
			agent("CZ2B", board2, card), []identity.Claim{first(agent("CZ1A", board, card)), later(board2, agent("CZ2B", board2))}, second, 1,
		},
		"a card moved between two without serial numbers": {
			agent("", board2, card), []identity.Claim{first(agent("", board, card)), later(board2, agent("", board2))}, second, 1,
		},
		"half of each": {agent("", board, board2), []identity.Claim{first(agent("", board)), later(board2, agent("", board2))}, "", 0},

		"Sidero's agent, the same again":       {sidero("", board), []identity.Claim{first(sidero("", board))}, own, 0},
		"Sidero's agent, one more adapter":     {sidero("", board, card), []identity.Claim{first(sidero("", board))}, own, 0},
		"Sidero's agent, another machine":      {sidero("", board2), []identity.Claim{first(sidero("", board))}, second, 1},
		"Sidero's agent, perhaps a dongle":     {sidero("", board2, dongle), []identity.Claim{first(sidero("", board, dongle))}, second, 1},
		"Sidero's agent, other serial numbers": {sidero("CZ2B", board), []identity.Claim{first(sidero("CZ1A", board))}, identity.NameOf(own, board), 1},
		"Sidero's agent, one serial number":    {sidero("CZ1A", board2), []identity.Claim{first(sidero("CZ1A", board))}, own, 0},
		"Sidero's agent after ours":            {sidero("", board, dongle), []identity.Claim{first(onUSB("", board))}, own, 0},
		"ours after Sidero's":                  {onUSB("", board), []identity.Claim{first(sidero("", board, dongle))}, own, 0},
		"ours after Sidero's, only the dongle": {onUSB("", board2), []identity.Claim{first(sidero("", board, dongle))}, identity.NameOf(own, dongle), 1},
		"ours, and Sidero's with a dongle alone": {
			sidero("", dongle), []identity.Claim{first(identity.New(identity.Facts{MACs: []string{board}, Other: []string{dongle}}))},
			identity.NameOf(own, dongle), 1,
		},
		"nothing told by either":     {none, []identity.Claim{first(none)}, own, 0},
		"nothing told by a newcomer": {none, []identity.Claim{first(agent("CZ1A", board))}, "", 0},
		"only its serial number":     {sidero("CZ1A"), []identity.Claim{first(agent("CZ1A", board))}, own, 0},
		"only another serial number": {sidero("CZ2B"), []identity.Claim{first(agent("CZ1A", board))}, "", 0},
		"a person made the Server":   {agent("CZ1A", board), []identity.Claim{first(none)}, own, 0},
		"a person made a Server for one more": {
			agent("CZ2B", board2), []identity.Claim{first(agent("CZ1A", board)), later(board2, none)}, second, 1,
		},
		"a person tells that it is the same": {
			agent("CZ2B", board2), []identity.Claim{{Name: own, Facts: agent("CZ1A", board), Word: second}, later(board2, agent("CZ2B", board2))}, own, 1,
		},
		"a person tells that of another": {
			agent("CZ2B", board2), []identity.Claim{{Name: own, Facts: agent("CZ1A", board), Word: identity.NameOf(own, card)}}, second, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			isNew := !slices.ContainsFunc(test.claims, func(c identity.Claim) bool { return c.Name == test.want })

			for range 5 {
				rand.Shuffle(len(test.claims), func(i, j int) { test.claims[i], test.claims[j] = test.claims[j], test.claims[i] })

				got, err := identity.Decide(own, test.comes, test.claims)
				if (err != nil) != (test.want == "") || got.Name != test.want || len(got.Others) != test.others || err == nil && got.New != isNew {
					t.Fatalf("got %+v, %v; want %q, new %t, and %d others", got, err, test.want, isNew, test.others)
				}
			}
		})
	}
}

// TestSharedUUIDs: what stands for no UUID names no machine alone, and is no reason to call machines duplicates.
func TestSharedUUIDs(t *testing.T) {
	for _, id := range []string{
		common, "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "11111111-1111-1111-1111-111111111111",
	} {
		t.Run(id, func(t *testing.T) {
			var claims []identity.Claim

			for step, test := range []struct {
				comes identity.Facts
				mac   string
			}{
				{agent("", board), board}, {agent("CZ1A", board2), board2}, {agent("", board), board},
				{agent("CZ1A", card), card}, // another vendor's number
				{agent("CZ1A", board2), board2}, {sidero("", dongle), dongle}, {sidero("", dongle, board), board},
			} {
				got, err := identity.Decide(id, test.comes, claims)
				if err != nil || got.Name != identity.NameOf(id, test.mac) || len(got.Others) > 0 {
					t.Fatalf("step %d: got %+v, %v; want the one of %s", step, got, err, test.mac)
				}

				if got.New {
					claims = append(claims, identity.Claim{Name: got.Name, Facts: test.comes})
				}
			}

			// One that a person has made for all of them is nobody's.
			if got, err := identity.Decide(id, agent("", card), []identity.Claim{{Name: id}}); err != nil || got.Name == id {
				t.Errorf("got %+v, %v", got, err)
			}

			if got, err := identity.Decide(id, identity.Facts{}, nil); !errors.Is(err, identity.ErrNameless) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestMachinesStayApart has machines with one UUID come in any order, again and again, from any of their adapters, with both
// agents: each is one Server, and never that of another.
func TestMachinesStayApart(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))

	for range 300 {
		id := []string{own, common}[random.IntN(2)]
		machines := make([]identity.Facts, 2+random.IntN(4))

		for i := range machines {
			for n := range 1 + random.IntN(3) {
				machines[i].MACs = append(machines[i].MACs, fmt.Sprintf("00:25:90:00:%02x:%02x", i, n))
			}

			machines[i].Serial = []string{"", "Default string", fmt.Sprintf("SERIAL%d", i)}[random.IntN(3)]
		}

		servers := map[string]int{}

		var claims []identity.Claim

		for range 40 {
			i := random.IntN(len(machines))
			told := machines[i]
			told.BootMAC = append(slices.Clone(told.MACs), dongle)[random.IntN(len(told.MACs)+1)] // the dongle goes round
			told = identity.New(told)

			got, err := identity.Decide(id, told, claims)
			if err != nil {
				t.Fatal(err)
			}

			if whose, known := servers[got.Name]; known == got.New || known && whose != i {
				t.Fatalf("machine %d is %+v, which is machine %d's", i, got, whose)
			}

			servers[got.Name] = i

			claims = slices.DeleteFunc(claims, func(c identity.Claim) bool { return c.Name == got.Name })
			claims = append(claims, identity.Claim{Name: got.Name, Facts: told})
		}

		if len(servers) > len(machines) {
			t.Fatalf("%d machines are %d servers", len(machines), len(servers))
		}
	}
}

func TestAtBoot(t *testing.T) {
	now := time.Now()
	lately, before := now.Add(-time.Minute), now.Add(-time.Hour)
	told := func(c identity.Claim, at time.Time) identity.Claim {
		c.ToldAt = at

		return c
	}
	second := identity.NameOf(own, board2)

	for name, test := range map[string]struct {
		id     string
		comes  identity.Booting
		claims []identity.Claim
		want   string
	}{
		"nobody has told":                          {own, identity.Booting{MAC: board}, nil, ""},
		"a person made the Server":                 {own, identity.Booting{MAC: board}, []identity.Claim{first(identity.Facts{})}, own},
		"known by its address":                     {own, identity.Booting{MAC: board}, []identity.Claim{first(agent("", board))}, own},
		"known by its serial number":               {own, identity.Booting{MAC: card, Serial: " CZ1A "}, []identity.Claim{first(agent("CZ1A", board))}, own},
		"another address":                          {own, identity.Booting{MAC: board2, Serial: "Default string"}, []identity.Claim{first(agent("Default string", board))}, ""},
		"no address, no serial number":             {own, identity.Booting{}, []identity.Claim{first(agent("", board))}, ""},
		"a newcomer that has not told yet":         {own, identity.Booting{MAC: board2, Serial: "CZ2B"}, []identity.Claim{first(agent("CZ1A", board))}, ""},
		"the first of two":                         {own, identity.Booting{MAC: board}, []identity.Claim{first(agent("CZ1A", board)), later(board2, agent("CZ2B", board2))}, own},
		"the second of two":                        {own, identity.Booting{MAC: board2}, []identity.Claim{first(agent("CZ1A", board)), later(board2, agent("CZ2B", board2))}, second},
		"the card of one, the serial of the other": {own, identity.Booting{MAC: card, Serial: "CZ2B"}, []identity.Claim{first(agent("CZ1A", board, card)), later(board2, agent("CZ2B", board2))}, ""},
		"a dongle that was told lately":            {own, identity.Booting{MAC: dongle}, []identity.Claim{told(first(onUSB("", board)), lately)}, own},
		"a dongle that was told before":            {own, identity.Booting{MAC: dongle}, []identity.Claim{told(first(onUSB("", board)), before)}, ""},
		"a dongle with another serial number":      {own, identity.Booting{MAC: dongle, Serial: "CZ2B"}, []identity.Claim{told(first(onUSB("CZ1A", board)), lately)}, ""},
		"a dongle of two":                          {own, identity.Booting{MAC: dongle}, []identity.Claim{told(first(onUSB("", board)), lately), told(later(board2, onUSB("", board2)), lately)}, ""},
		"Sidero's agent":                           {own, identity.Booting{MAC: board}, []identity.Claim{told(first(sidero("", board)), before)}, own},
		"Sidero's agent, one of two, before":       {own, identity.Booting{MAC: board}, []identity.Claim{told(first(sidero("", board)), before), later(board2, sidero("", board2))}, ""},
		"Sidero's agent, one of two, lately":       {own, identity.Booting{MAC: board}, []identity.Claim{told(first(sidero("", board)), lately), later(board2, sidero("", board2))}, own},
		"no UUID of its own, known by its address": {common, identity.Booting{MAC: board}, []identity.Claim{{Name: identity.NameOf(common, board), Facts: agent("", board)}}, identity.NameOf(common, board)},
		"no UUID of its own, its serial number":    {common, identity.Booting{MAC: card, Serial: "CZ1A"}, []identity.Claim{{Name: identity.NameOf(common, board), Facts: agent("CZ1A", board)}}, ""},
		"no UUID of its own, a Server for all":     {common, identity.Booting{MAC: board}, []identity.Claim{{Name: common}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := identity.AtBoot(test.id, test.comes, test.claims, now); got.Name != test.want || ok != (test.want != "") {
				t.Errorf("got %+v, %t, want %q", got, ok, test.want)
			}
		})
	}
}

func TestUUIDOf(t *testing.T) {
	for name, want := range map[string]string{
		own: own, identity.NameOf(own, board): own, "dummyserver-0": "", own + "-": "", own + "-rack": "", own + "0": "",
		own[:35]: "", "4C4C4544-0042-3510-8051-B4C04F564432": "", "": "", own + "-0025900000001": "",
	} {
		if got, ok := identity.UUIDOf(name); ok != (want != "") || ok && got != want {
			t.Errorf("%q claims %q, %t", name, got, ok)
		}
	}

	if problems := validation.IsDNS1123Subdomain(identity.NameOf(own, board)); problems != nil {
		t.Error(problems)
	}
}

// FuzzDecide has two machines tell what they like. Who has told an own address of an adapter is never taken for another.
func FuzzDecide(f *testing.F) {
	f.Add("CZ1A", board, board, "CZ2B", board2, dongle, true)
	f.Add("", "", "", "", "", "", false)
	f.Add("CZ1A", "", "", "CZ1A", "", "", true)

	f.Fuzz(func(t *testing.T, serial, mac, boot, serial2, mac2, boot2 string, shared bool) {
		id := own
		if shared {
			id = common
		}

		one := identity.New(identity.Facts{Serial: serial, BootMAC: boot, MACs: []string{mac}})
		two := identity.New(identity.Facts{Serial: serial2, BootMAC: boot2, MACs: []string{mac2}})

		a, err := identity.Decide(id, one, nil)
		if err != nil {
			return // it told nothing
		}

		claims := []identity.Claim{{Name: a.Name, Facts: one}}

		if again, err := identity.Decide(id, one, claims); err != nil || again.Name != a.Name || again.New {
			t.Errorf("%+v comes back as %+v, %v", one, again, err)
		}

		b, err := identity.Decide(id, two, claims)
		if err != nil {
			return
		}

		if claimed, ok := identity.UUIDOf(b.Name); !ok || claimed != id || len(validation.IsDNS1123Subdomain(b.Name)) > 0 {
			t.Errorf("%q is no name", b.Name)
		}

		apart := one.Serial != two.Serial && !slices.Equal(one.MACs, two.MACs) && len(one.MACs)+len(two.MACs) > 1
		if apart && b.Name == a.Name {
			t.Errorf("%+v and %+v are one machine", one, two)
		}
	})
}

func TestWith(t *testing.T) {
	known := sidero("CZ1A", board, dongle)

	if all := known.With(agent("CZ2B", card, board)); all.Serial != "CZ1A" || all.BootMAC != card ||
		!slices.Equal(all.MACs, []string{card, board}) || !slices.Equal(all.Other, []string{dongle}) {
		t.Errorf("known is %+v", all)
	}

	var many []string
	for i := range 256 {
		many = append(many, fmt.Sprintf("00:25:90:00:01:%02x", i))
	}

	if all := known.With(agent("", many...)); len(all.MACs) > 0 || len(all.Other) != len(known.Other) {
		t.Errorf("%d addresses are known", len(all.MACs)+len(all.Other))
	}
}

// TestCrowd: each further machine with a UUID costs a write for all before it, so there is an end to them; not for machines without a
// UUID of their own.
func TestCrowd(t *testing.T) {
	var claims []identity.Claim
	for i := range 16 {
		claims = append(claims, later(fmt.Sprintf("00:25:90:00:01:%02x", i), agent("", fmt.Sprintf("00:25:90:00:01:%02x", i))))
	}

	if got, err := identity.Decide(own, agent("", board), claims); !errors.Is(err, identity.ErrCrowded) {
		t.Errorf("one more is %+v, %v", got, err)
	}

	if got, err := identity.Decide(own, agent("", "00:25:90:00:01:0f"), claims); err != nil || got.Name != claims[15].Name {
		t.Errorf("the last one is %+v, %v", got, err)
	}

	if got, err := identity.Decide(common, agent("", board), claims); err != nil || !got.New {
		t.Errorf("one without a UUID of its own is %+v, %v", got, err)
	}
}
