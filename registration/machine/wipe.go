package machine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// States of a disk in Server.status.wipe.
const (
	DiskPlanned = "planned"
	DiskRunning = "running"
	DiskDone    = "done"
	DiskFailed  = "failed"
)

// Actions on a disk in Server.status.wipe.
const (
	DiskWipe = "wipe"
	DiskKeep = "keep"
)

// ParsePlan checks what a machine says that a wipe would do.
func ParsePlan(plan *api.Plan) (v1alpha2.WipeStatus, error) {
	if err := Bound(plan); err != nil {
		return v1alpha2.WipeStatus{}, err
	}

	parsed := v1alpha2.WipeStatus{Problem: clean(plan.GetProblem())}

	for _, disk := range plan.GetDisks() {
		one := v1alpha2.WipeDiskStatus{
			Name: clean(disk.GetName()), Description: clean(disk.GetDescription()), Action: disk.GetAction(),
			Method: clean(disk.GetMethod()), Reason: clean(disk.GetReason()),
		}

		switch one.Action {
		case DiskWipe:
			one.State = DiskPlanned
		case DiskKeep:
		default:
			return v1alpha2.WipeStatus{}, fmt.Errorf("action %q of disk %s is neither %s nor %s", one.Action, one.Name, DiskWipe, DiskKeep)
		}

		if Disk(parsed.Disks, one.Name) != nil || one.Name == "" {
			return v1alpha2.WipeStatus{}, fmt.Errorf("disk %q has no name, or that of another one", one.Name)
		}

		parsed.Disks = append(parsed.Disks, one)
	}

	return parsed, nil
}

// ParseProgress checks what a machine says of the disks that it wipes.
func ParseProgress(disks []*api.WipedDisk) ([]v1alpha2.WipeDiskStatus, error) {
	if err := Bound(&api.Progress{Disks: disks}); err != nil {
		return nil, err
	}

	var parsed []v1alpha2.WipeDiskStatus

	for _, disk := range disks {
		one := v1alpha2.WipeDiskStatus{
			Name: clean(disk.GetName()), Action: DiskWipe, Method: clean(disk.GetMethod()), Reason: clean(disk.GetReason()),
			State: disk.GetState(), Done: disk.GetDone(), Total: disk.GetTotal(), Error: clean(disk.GetError()),
		}

		switch {
		case one.Name == "":
			return nil, errors.New("a disk has no name")
		case !slices.Contains([]string{DiskPlanned, DiskRunning, DiskDone, DiskFailed}, one.State):
			return nil, fmt.Errorf("state %q of disk %s is unknown", one.State, one.Name)
		case one.Done < 0 || one.Total < 0:
			return nil, fmt.Errorf("disk %s tells a negative number of bytes", one.Name)
		}

		parsed = append(parsed, one)
	}

	return parsed, nil
}

// Disk finds the disk of a name, or nil.
func Disk(disks []v1alpha2.WipeDiskStatus, name string) *v1alpha2.WipeDiskStatus {
	at := slices.IndexFunc(disks, func(d v1alpha2.WipeDiskStatus) bool { return d.Name == name })
	if at < 0 {
		return nil
	}

	return &disks[at]
}
