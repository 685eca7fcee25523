package wipe

import (
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

func TestChoice(t *testing.T) {
	ssd := disk.Disk{
		Name: "sda", Size: 1000, Transport: disk.SATA, Model: "Maker One", Serial: "S1", WWID: "naa.5000c500a1b2c3d4", BusPath: "/pci0000:00/0",
		Contents: []disk.Content{{Type: "ext4", Label: "data-1"}},
	}
	for name, test := range map[string]struct {
		choice Choice
		want   bool
	}{
		"name":                    {Choice{Name: "sda"}, true},
		"path":                    {Choice{Name: "/dev/sda"}, true},
		"begin of name":           {Choice{Name: "sd*"}, true},
		"part of name":            {Choice{Name: "sd"}, false},
		"serial":                  {Choice{Serial: " S1 "}, true},
		"other serial":            {Choice{Serial: "S"}, false},
		"wwid as lsblk has it":    {Choice{WWID: "0x5000C500A1B2C3D4"}, true},
		"wwid with a star":        {Choice{WWID: "naa.5000*"}, true},
		"model":                   {Choice{Model: "*One"}, true},
		"bus path":                {Choice{BusPath: "/pci*"}, true},
		"type":                    {Choice{Type: "ssd"}, true},
		"other type":              {Choice{Type: "nvme"}, false},
		"label":                   {Choice{Label: "data-*"}, true},
		"other label":             {Choice{Label: "boot"}, false},
		"large enough":            {Choice{MinSize: 1000, MaxSize: 1000}, true},
		"too small":               {Choice{MinSize: 1001}, false},
		"too large":               {Choice{MaxSize: 999}, false},
		"all of it":               {Choice{Name: "sda", Serial: "S1", Model: "Maker*", Type: "ssd", Label: "data-1", MaxSize: 2000}, true},
		"all but one":             {Choice{Name: "sda", Serial: "S2", Model: "Maker*", Type: "ssd", Label: "data-1", MaxSize: 2000}, false},
		"a star that has nothing": {Choice{Serial: "*"}, true},
	} {
		if test.choice.chooses(ssd) != test.want {
			t.Errorf("%s: %t", name, !test.want)
		}
	}
	for kind, d := range map[string]disk.Disk{
		"nvme": {Transport: disk.NVMe}, "sd": {Transport: disk.MMC}, "hdd": {Transport: disk.SATA, Rotational: true}, "ssd": {Transport: disk.Virtio},
	} {
		for _, other := range []string{"nvme", "sd", "hdd", "ssd"} {
			if (Choice{Type: other}).chooses(d) != (other == kind) {
				t.Errorf("%s disk and type %s", kind, other)
			}
		}
	}
}

// TestPlanByChoices: none or several are an error where one is meant, and what keeps a
// disk is stronger than what wipes it.
func TestPlanByChoices(t *testing.T) {
	disks := []disk.Disk{
		{Name: "sda", Path: "/dev/sda", Size: 10, Transport: disk.SATA, Model: "M", Serial: "A"},
		{Name: "sdb", Path: "/dev/sdb", Size: 20, Transport: disk.SATA, Model: "M", Serial: "B", Contents: []disk.Content{{Label: "keep-me"}}},
		{Name: "sdc", Path: "/dev/sdc", Size: 30, Transport: disk.SATA, Model: "X", Serial: "C", Unreadable: "input/output error"},
	}
	one := func(c Choice) *Hint { return &Hint{Choice: &c} }
	for name, test := range map[string]struct {
		policy Policy
		wiped  string // names
		fails  string
	}{
		"keep by model":               {policy: Policy{Keep: Keep{Choices: []Choice{{Model: "M"}}}}, wiped: "sdc"},
		"keep by serial that is gone": {policy: Policy{Keep: Keep{Choices: []Choice{{Serial: "Z"}}}}, wiped: "sda sdb sdc"},
		"keep by label, one unread":   {policy: Policy{Keep: Keep{Choices: []Choice{{Label: "keep*"}}}}, wiped: "sda"},
		"keep by label and another":   {policy: Policy{Keep: Keep{Choices: []Choice{{Label: "keep*", Model: "M"}}}}, wiped: "sda sdc"},
		"install disk":                {policy: Policy{Scope: InstallDisk, Install: one(Choice{MinSize: 15, MaxSize: 25})}, wiped: "sdb"},
		"several install disks":       {policy: Policy{Scope: InstallDisk, Install: one(Choice{Model: "M"})}, fails: "2 disks have"},
		"no install disk":             {policy: Policy{Scope: InstallDisk, Install: one(Choice{Model: "Z"})}, fails: "no disk has"},
		"an install disk to keep":     {policy: Policy{Scope: InstallDisk, Install: one(Choice{Serial: "A"}), Keep: Keep{Choices: []Choice{{Name: "sda"}}}}},
		"an empty install disk":       {policy: Policy{Scope: InstallDisk, Install: one(Choice{})}, fails: "would choose every disk"},
		"a serial of blanks":          {policy: Policy{Scope: Selected, Select: &Selection{Choices: []Choice{{Serial: " "}}}}, fails: "would choose every disk"},
		"a wwid of a prefix":          {policy: Policy{Scope: Selected, Select: &Selection{Choices: []Choice{{WWID: "naa.", Model: "M"}}}}, fails: "would choose every disk"},
		"a name of a folder":          {policy: Policy{Scope: InstallDisk, Install: one(Choice{Name: "/dev/"})}, fails: "would choose every disk"},
		"two ways to the install disk": {
			policy: Policy{Scope: InstallDisk, Install: &Hint{Disk: "/dev/sda", Choice: &Choice{Name: "sda"}}}, fails: "needs one of",
		},
		"selected":                   {policy: Policy{Scope: Selected, Select: &Selection{Choices: []Choice{{Model: "M"}, {Serial: "A"}}}}, wiped: "sda sdb"},
		"one selected is missing":    {policy: Policy{Scope: Selected, Select: &Selection{Choices: []Choice{{Model: "M"}, {Serial: "Z"}}}}, fails: `no disk has serial "Z"`},
		"an empty selector":          {policy: Policy{Scope: Selected, Select: &Selection{Choices: []Choice{{}}}}, fails: "would choose every disk"},
		"an empty selector to keep":  {policy: Policy{Keep: Keep{Choices: []Choice{{}}}}, fails: "would choose every disk"},
		"a type that does not exist": {policy: Policy{Keep: Keep{Choices: []Choice{{Type: "tape"}}}}, fails: "none of nvme"},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := PlanFor(disks, test.policy)
			if (err != nil) != (test.fails != "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Fatalf("got %v, want %q", err, test.fails)
			}
			var wiped []string
			for _, step := range plan.Disks {
				if step.Action == Wipe {
					wiped = append(wiped, step.Disk.Name)
				}
			}
			if got := strings.Join(wiped, " "); got != test.wiped {
				t.Errorf("wipes %q, want %q", got, test.wiped)
			}
		})
	}
}
