package wipe_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

// fleet is a machine with one disk of each kind that matters.
func fleet() []disk.Disk {
	const gb = 1e9
	return []disk.Disk{
		{
			Name: "nvme0n1", Path: "/dev/nvme0n1", Size: 1000 * gb, Transport: disk.NVMe, Model: "FAST 980", Serial: "N1",
			WWID: "eui.0025385B21404E99", UUID: "0000-0001", BusPath: "/pci0000:00/0000:01:00.0/nvme", Controller: "nqn.a", Discard: true,
			ByID: []string{"nvme-FAST_980_N1"}, ByPath: []string{"pci-0000:01:00.0-nvme-1"},
			Erase: []disk.Erase{{Method: disk.NVMeFormat, Wide: true}},
		},
		{
			Name: "nvme1n1", Path: "/dev/nvme1n1", Size: 500 * gb, Transport: disk.NVMe, Model: "TWO SPACES", Serial: "N2",
			WWID: "eui.2", Controller: "nqn.b", Discard: true,
			Erase: []disk.Erase{{Method: disk.NVMeFormat, Wide: true}, {Method: disk.NVMeSanitizeBlock, Wide: true}},
		},
		{
			Name: "nvme1n2", Path: "/dev/nvme1n2", Size: 501 * gb, Transport: disk.NVMe, Model: "TWO SPACES", Serial: "N2",
			WWID: "eui.3", Controller: "nqn.b", Discard: true,
			Erase: []disk.Erase{{Method: disk.NVMeFormat, Wide: true}},
		},
		{
			Name: "sda", Path: "/dev/sda", Size: 4000 * gb, Transport: disk.SATA, Model: "TURNS 4T", Serial: "A1", Rotational: true,
			WWID: "naa.5000c500deadbeef", Modalias: "scsi:t-0x00", Holders: []string{"md0"},
			ByID:    []string{"ata-TURNS_4T_A1", "wwn-0x5000c500deadbeef"},
			NoErase: "the firmware has frozen the disk's security settings",
			// A hot-plug bay.
			Removable: true,
			Contents:  []disk.Content{{Type: "gpt"}, {Type: "ext4", Partition: 1, Label: "data"}},
		},
		{
			Name: "sdb", Path: "/dev/sdb", Size: 4000 * gb, Transport: disk.SATA, Model: "TURNS 4T", Serial: "A2", Rotational: true,
			Holders: []string{"md0"}, Contents: []disk.Content{{Type: "partition", Partition: 2, Label: "ceph"}},
			Erase: []disk.Erase{{Method: disk.ATASanitizeBlock}},
		},
		{Name: "sdc", Path: "/dev/sdc", Size: 32 * gb, Transport: disk.USB, Model: "Stick", Serial: "U1", Removable: true},
		{Name: "sdd", Path: "/dev/sdd", Size: 64 * gb, Transport: disk.SAS, Model: "Locked", Serial: "R1", ReadOnly: true},
		{Name: "sde", Path: "/dev/sde", Size: 900 * gb, Model: "RAID volume", Unreadable: "input/output error"},
		{Name: "mmcblk0", Path: "/dev/mmcblk0", Size: 16 * gb, Transport: disk.MMC, Serial: "0x1"},
	}
}

// actions renders the actions of a plan: wiped disks by name, the others left out.
func wiped(plan wipe.Plan) string {
	var names []string
	for _, step := range plan.Disks {
		if step.Action == wipe.Wipe {
			names = append(names, step.Disk.Name)
		}
	}
	return strings.Join(names, " ")
}

const everything = "nvme0n1 nvme1n1 nvme1n2 sda sdb sde mmcblk0"

func hint(path string) *wipe.Hint { return &wipe.Hint{Disk: path} }

func selector(s wipe.Selector) *wipe.Hint { return &wipe.Hint{Selector: &s} }

// TestPlanScopes has every way to say which disks are meant.
func TestPlanScopes(t *testing.T) {
	for name, test := range map[string]struct {
		policy wipe.Policy
		want   string
		// wrong is a part of the error.
		wrong string
	}{
		"the default":    {wipe.Policy{}, everything, ""},
		"all":            {wipe.Policy{Scope: wipe.All}, everything, ""},
		"none":           {wipe.Policy{Scope: wipe.None}, "", ""},
		"unknown scope":  {wipe.Policy{Scope: "some"}, "", `scope "some" is none of`},
		"unknown method": {wipe.Policy{Method: "burn"}, "", `method "burn" is none of`},
		"bad fallback":   {wipe.Policy{Fallback: wipe.Secure}, "", `fallback "secure" is none of`},

		"keep a serial":           {wipe.Policy{Keep: wipe.Keep{Serials: []string{"A1"}}}, "nvme0n1 nvme1n1 nvme1n2 sdb sde mmcblk0", ""},
		"keep a serial of two":    {wipe.Policy{Keep: wipe.Keep{Serials: []string{" N2 "}}}, "nvme0n1 sda sdb sde mmcblk0", ""},
		"keep a missing serial":   {wipe.Policy{Keep: wipe.Keep{Serials: []string{"GONE"}}}, "", `no disk has the serial number "GONE" of keep.serials; the machine's disks are: [/dev/nvme0n1,`},
		"keep an empty serial":    {wipe.Policy{Keep: wipe.Keep{Serials: []string{""}}}, "", "empty entry"},
		"keep a label":            {wipe.Policy{Keep: wipe.Keep{Labels: []string{"data"}}}, "nvme0n1 nvme1n1 nvme1n2 sdb mmcblk0", ""},
		"keep a partition label":  {wipe.Policy{Keep: wipe.Keep{Labels: []string{"ceph"}}}, "nvme0n1 nvme1n1 nvme1n2 sda mmcblk0", ""},
		"keep a missing label":    {wipe.Policy{Keep: wipe.Keep{Labels: []string{"gone"}}}, "nvme0n1 nvme1n1 nvme1n2 sda sdb mmcblk0", ""},
		"keep wins over selected": {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{Serials: []string{"A1", "A2"}}, Keep: wipe.Keep{Serials: []string{"A1"}}}, "sdb", ""},
		"keep wins over install":  {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/dev/sda"), Keep: wipe.Keep{Labels: []string{"data"}}}, "", ""},

		"install by name":        {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/dev/sda")}, "sda", ""},
		"install by id":          {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/dev/disk/by-id/wwn-0x5000c500deadbeef")}, "sda", ""},
		"install by path":        {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/dev/disk/by-path/pci-0000:01:00.0-nvme-1")}, "nvme0n1", ""},
		"install on a stick":     {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/dev/sdc")}, "sdc", ""},
		"install on a volume":    {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/dev/sde")}, "sde", ""},
		"install on no disk":     {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/dev/sdz")}, "", "no disk has the path /dev/sdz of install.disk; the machine's disks are: [/dev/nvme0n1, 1 TB, FAST 980, serial N1]"},
		"install on a partition": {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/dev/sda1")}, "", "no disk has the path /dev/sda1"},
		"install by label path":  {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/dev/disk/by-label/data")}, "", "is no path of a disk"},
		"install by bare name":   {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("sda")}, "", "is no path of a disk"},
		"install by directory":   {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/")}, "", "is no path of a disk"},
		"install on a locked":    {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/dev/sdd")}, "", "is read-only"},
		"install without hint":   {wipe.Policy{Scope: wipe.InstallDisk}, "", "needs either install.disk or install.diskSelector"},
		"install with both hints": {wipe.Policy{Scope: wipe.InstallDisk, Install: &wipe.Hint{Disk: "/dev/sda", Selector: &wipe.Selector{Serial: "A1"}}}, "",
			"needs either install.disk or install.diskSelector"},
		"install with empty hint": {wipe.Policy{Scope: wipe.InstallDisk, Install: &wipe.Hint{}}, "", "needs either"},

		"selector serial":        {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Serial: "A1"})}, "sda", ""},
		"selector serial glob":   {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Serial: "*1", Type: "hdd"})}, "sda", ""},
		"selector model":         {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Model: "FAST*"})}, "nvme0n1", ""},
		"selector model of two":  {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Model: "TURNS*"})}, "", "2 disks have all that install.diskSelector asks for, one is wanted: [/dev/sda, 4 TB, TURNS 4T, serial A1] [/dev/sdb,"},
		"selector of nothing":    {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Model: "None"})}, "", "no disk has all that install.diskSelector asks for"},
		"selector wwid":          {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{WWID: "naa.5000c5*"})}, "sda", ""},
		"selector uuid":          {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{UUID: "0000-*"})}, "nvme0n1", ""},
		"selector modalias":      {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Modalias: "scsi:t-*"})}, "sda", ""},
		"selector bus path":      {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{BusPath: "/pci0000:00/0000:01:00.0/*"})}, "nvme0n1", ""},
		"selector type sd":       {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Type: "sd"})}, "mmcblk0", ""},
		"selector type nvme":     {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Type: "nvme", Size: "> 900GB"})}, "nvme0n1", ""},
		"selector type ssd":      {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Type: "ssd", Size: "< 20 GB"})}, "mmcblk0", ""},
		"selector type unknown":  {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Type: "tape"})}, "", `type "tape" is none of`},
		"selector size exact":    {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Size: "500GB"})}, "nvme1n1", ""},
		"selector size bad":      {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Size: "big"})}, "", `"big" is no size`},
		"selector empty":         {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{})}, "", "install.diskSelector is empty"},
		"selector skips locked":  {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Serial: "R1"})}, "", "no disk has all"},
		"selector skips volumes": {wipe.Policy{Scope: wipe.InstallDisk, Install: selector(wipe.Selector{Model: "RAID*"})}, "", "no disk has all"},

		"selected serial":         {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{Serials: []string{"A2"}}}, "sdb", ""},
		"selected serial of two":  {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{Serials: []string{"N2"}}}, "", `2 disks have the serial number "N2"`},
		"selected missing serial": {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{Serials: []string{"A2", "GONE"}}}, "", `no disk has the serial number "GONE"`},
		"selected wwid":           {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{WWIDs: []string{"0x5000C500DEADBEEF"}}}, "sda", ""},
		"selected udev's wwid":    {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{WWIDs: []string{"wwn-0x5000c500deadbeef"}}}, "sda", ""},
		"selected names":          {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{Names: []string{"sda", "/dev/sdc"}}}, "sda sdc", ""},
		"selected id":             {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{IDs: []string{"/dev/disk/by-id/ata-TURNS_4T_A1", "nvme-FAST_980_N1"}}}, "nvme0n1 sda", ""},
		"selected label":          {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{Labels: []string{"ceph"}}}, "sdb", ""},
		"selected twice":          {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{Labels: []string{"ceph"}, Serials: []string{"A2"}}}, "sdb", ""},
		"selected locked":         {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{Names: []string{"sdd"}}}, "", "is read-only"},
		"selected nothing":        {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{}}, "", "name at least one disk"},
		"selected no list":        {wipe.Policy{Scope: wipe.Selected}, "", "name at least one disk"},
		"selected empty entry":    {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{Names: []string{""}}}, "", "empty entry"},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := wipe.PlanFor(fleet(), test.policy)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Fatalf("the error is %v, want %q", err, test.wrong)
				}
				if len(plan.Disks) != 0 {
					t.Fatal("an error comes with a plan")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := wiped(plan); got != test.want {
				t.Errorf("wiped are %q, want %q", got, test.want)
			}
			if len(plan.Disks) != len(fleet()) {
				t.Fatalf("%d disks have a step, there are %d", len(plan.Disks), len(fleet()))
			}
			for _, step := range plan.Disks {
				if step.Reason == "" || (step.Method != "") != (step.Action == wipe.Wipe) {
					t.Errorf("the step for %s is not complete: %+v", step.Disk.Name, step)
				}
			}
		})
	}
}

// TestPlanReasons has what a person reads.
func TestPlanReasons(t *testing.T) {
	for name, test := range map[string]struct {
		policy wipe.Policy
		// want has a method and a reason by the name of a disk.
		want  map[string]string
		notes []string
	}{
		"all": {wipe.Policy{}, map[string]string{
			"sda": "wipe fast: all disks are to be wiped",
			"sdc": "skip : it is a removable medium; select it by name to have it wiped",
			"sdd": "skip : it is read-only",
		}, nil},
		"none":        {wipe.Policy{Scope: wipe.None}, map[string]string{"sda": "keep : no disk is to be wiped"}, nil},
		"install":     {wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/dev/sdc")}, map[string]string{"sdc": "wipe fast: it is the install disk", "sda": "keep : it is not the install disk"}, nil},
		"selected":    {wipe.Policy{Scope: wipe.Selected, Select: &wipe.Selection{Names: []string{"sdc"}}}, map[string]string{"sdc": `wipe fast: it is selected by the name "sdc"`, "sda": "keep : it is not selected"}, nil},
		"kept serial": {wipe.Policy{Keep: wipe.Keep{Serials: []string{"N1"}}}, map[string]string{"nvme0n1": `keep : its serial number "N1" is to be kept`}, nil},
		"kept label": {wipe.Policy{Keep: wipe.Keep{Labels: []string{"data", "gone"}}}, map[string]string{
			"sda": `keep : it has the label "data", which is to be kept`,
			"sde": "keep : labels are to be kept, and whether it has one cannot be read (input/output error)",
		}, []string{
			`no disk has the label "gone" of keep.labels`,
			"md0 lies on /dev/sdb, to be wiped, and on /dev/sda, not to be wiped: it loses a part",
		}},
		"discard": {wipe.Policy{Method: wipe.Discard}, map[string]string{
			"nvme0n1": "wipe discard: all disks are to be wiped",
			"sda":     "wipe fast: all disks are to be wiped; fast in place of discard, because the disk has no discard",
		}, nil},
		"discard or zero": {wipe.Policy{Method: wipe.Discard, Fallback: wipe.Zero}, map[string]string{
			"sda": "wipe zero: all disks are to be wiped; zero in place of discard, because the disk has no discard",
		}, nil},
		"zero": {wipe.Policy{Method: wipe.Zero}, map[string]string{"sda": "wipe zero: all disks are to be wiped"}, nil},
		"secure": {wipe.Policy{Method: wipe.Secure}, map[string]string{
			"nvme0n1": "wipe secure: all disks are to be wiped; the disk erases itself by nvmeFormat",
			"nvme1n1": "wipe zero: all disks are to be wiped; zero in place of secure, because its nvmeSanitizeBlock would reach /dev/nvme1n2 too",
			"sda":     "wipe zero: all disks are to be wiped; zero in place of secure, because the firmware has frozen the disk's security settings",
			"sdb":     "wipe secure: all disks are to be wiped; the disk erases itself by ataSanitizeBlock",
			"mmcblk0": "wipe zero: all disks are to be wiped; zero in place of secure, because the disk has no command to erase itself",
		}, nil},
		"secure or discard": {wipe.Policy{Method: wipe.Secure, Fallback: wipe.Discard}, map[string]string{
			"nvme1n1": "wipe discard: all disks are to be wiped; discard in place of secure, because its nvmeSanitizeBlock would reach /dev/nvme1n2 too",
			"sda":     "wipe fast: all disks are to be wiped; fast in place of secure, because the firmware has frozen the disk's security settings",
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := wipe.PlanFor(fleet(), test.policy)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range plan.Disks {
				want, asked := test.want[step.Disk.Name]
				if got := string(step.Action) + " " + string(step.Method) + ": " + step.Reason; asked && got != want {
					t.Errorf("%s: %q, want %q", step.Disk.Name, got, want)
				}
			}
			if !reflect.DeepEqual(plan.Notes, test.notes) {
				t.Errorf("notes %q, want %q", plan.Notes, test.notes)
			}
		})
	}
}

// TestWire sends a policy and a plan over a wire.
func TestWire(t *testing.T) {
	const text = `{"scope":"installDisk","method":"secure","fallback":"zero","install":{"diskSelector":{"size":"1 TB","busPath":"/pci*"}},"keep":{"labels":["data"]}}`
	var policy wipe.Policy
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		t.Fatal(err)
	}
	if out, err := json.Marshal(policy); err != nil || string(out) != text {
		t.Errorf("the policy comes back as %s (%v)", out, err)
	}
	plan, err := wipe.PlanFor(fleet(), policy)
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var back wipe.Plan
	if err := json.Unmarshal(out, &back); err != nil || !reflect.DeepEqual(back, plan) {
		t.Errorf("the plan comes back as %+v (%v)", back, err)
	}
	if want := `{"disk":{"name":"nvme0n1","path":"/dev/nvme0n1","size":1000000000000,"model":"FAST 980","serial":"N1","wwid":"eui.0025385B21404E99","busPath":"/pci0000:00/0000:01:00.0/nvme"},"action":"wipe","method":"secure","erase":"nvmeFormat","fallback":"zero","reason":`; !strings.Contains(string(out), want) {
		t.Errorf("the plan is %s", out)
	}
}

// TestPlanNoDisks: a machine without disks is wiped already, but not when one is meant.
func TestPlanNoDisks(t *testing.T) {
	plan, err := wipe.PlanFor(nil, wipe.Policy{})
	if err != nil || len(plan.Disks) != 0 {
		t.Errorf("the plan is %+v (%v)", plan, err)
	}
	if _, err := wipe.PlanFor(nil, wipe.Policy{Scope: wipe.InstallDisk, Install: hint("/dev/sda")}); err == nil || !strings.Contains(err.Error(), "the machine's disks are: none") {
		t.Errorf("the error is %v", err)
	}
}
