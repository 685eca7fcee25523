package machine_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/proto"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/identity"
	"github.com/sidero-appliance/sidero-appliance/registration/machine"
)

func add(f *testing.F, seeds ...proto.Message) {
	for _, seed := range seeds {
		bytes, err := proto.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}

		f.Add(bytes)
	}
}

// FuzzReport feeds what may come over the wire as the plan, progress or result of a wipe. What is let through prints, and each of
// its disks has a name and an action.
func FuzzReport(f *testing.F) {
	add(f,
		&api.ReportRequest{Report: &api.ReportRequest_Plan{Plan: &api.Plan{Problem: "x", Disks: []*api.PlannedDisk{
			{Name: "sda", Action: "wipe", Reason: "\x1b[31m"}, {Name: "sdb", Action: "keep"},
		}}}},
		&api.ReportRequest{Report: &api.ReportRequest_Progress{Progress: &api.Progress{Disks: []*api.WipedDisk{
			{Name: "sda", State: "running", Done: 1, Total: 2}, {Name: "sda", State: "failed", Error: "x"},
		}}}},
		&api.ReportRequest{},
	)

	f.Fuzz(func(t *testing.T, data []byte) {
		request := &api.ReportRequest{}
		if proto.Unmarshal(data, request) != nil {
			return
		}

		plan, badPlan := machine.ParsePlan(request.GetPlan())
		progress, badProgress := machine.ParseProgress(request.GetProgress().GetDisks())

		var disks []v1alpha2.WipeDiskStatus
		if badPlan == nil {
			disks = plan.Disks
		}

		if badProgress == nil {
			disks = slices.Concat(disks, progress)
		}

		for _, d := range disks {
			if d.Name == "" || d.Action != machine.DiskWipe && d.Action != machine.DiskKeep || d.Done < 0 || d.Total < 0 {
				t.Errorf("got %+v", d)
			}

			if bad, found := unprintable([]any{d.Name, d.Description, d.Method, d.Reason, d.State, d.Error, plan.Problem}); found {
				t.Errorf("%q does not print", bad)
			}
		}
	})
}

// FuzzIdentity feeds what may come with a call. What is let through are facts that can be compared, and name servers.
func FuzzIdentity(f *testing.F) {
	add(f,
		&api.Identity{SerialNumber: "B5QVD2 ", BootMac: "00:25:90:aa:bb:cc", Macs: []string{"00-25-90-AA-BB-CC", "x", "01:00:5e:00:00:01"}},
		&api.Identity{},
	)

	f.Fuzz(func(t *testing.T, data []byte) {
		told := &api.Identity{}
		if proto.Unmarshal(data, told) != nil {
			return
		}

		facts, err := machine.ParseIdentity(told)
		if err != nil {
			return
		}

		for _, name := range facts.Names(uuid) {
			if claimed, ok := identity.UUIDOf(name); !ok || claimed != uuid {
				t.Errorf("%q is no name", name)
			}
		}

		if strings.ContainsFunc(facts.Serial, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("serial number %q does not print", facts.Serial)
		}

		if !slices.IsSorted(facts.MACs) {
			t.Errorf("addresses are %v", facts.MACs)
		}
	})
}
