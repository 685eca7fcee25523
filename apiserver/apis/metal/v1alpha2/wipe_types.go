package v1alpha2

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WipeDisks tells which disks of a machine are wiped.
type WipeDisks string

// Which disks are wiped.
const (
	// WipeAll is all but read-only and removable ones, as Sidero does.
	WipeAll WipeDisks = "all"
	// WipeInstallDisk is the one that installDisk names.
	WipeInstallDisk WipeDisks = "installDisk"
	// WipeSelected are those that selected names.
	WipeSelected WipeDisks = "selected"
	// WipeNone is none: the machine is taken as it is.
	WipeNone WipeDisks = "none"
)

// WipeMethod tells how a disk is wiped.
type WipeMethod string

// How a disk is wiped.
const (
	// WipeFast clears partition tables, signatures and superblocks.
	WipeFast WipeMethod = "fast"
	// WipeDiscard tells the disk that nothing on it is needed, after a fast wipe.
	WipeDiscard WipeMethod = "discard"
	// WipeSecure has the disk erase itself where it can.
	WipeSecure WipeMethod = "secure"
	// WipeZero writes zeros to all of it.
	WipeZero WipeMethod = "zero"
)

// WipePolicy tells what of a machine's disks is wiped, and how.
type WipePolicy struct {
	// Disks to wipe: all, installDisk, selected or none. all when absent.
	// +optional
	Disks WipeDisks `json:"disks,omitempty"`

	// Method: fast, discard, secure or zero. What the appliance's --insecure-wipe says when absent.
	// +optional
	Method WipeMethod `json:"method,omitempty"`

	// InstallDisk names the disk for installDisk.
	// +optional
	InstallDisk *DiskSelector `json:"installDisk,omitempty"`

	// Selected names the disks for selected. Each entry must match one disk at least.
	// +optional
	// +listType=atomic
	Selected []DiskSelector `json:"selected,omitempty"`

	// Keep names disks that are never written to, whatever else is said. Those that a Server names by
	// serial or wwid have to be in it: nothing is wiped before. Those of a ServerClass need not.
	// +optional
	// +listType=atomic
	Keep []DiskSelector `json:"keep,omitempty"`
}

// DiskSelector chooses disks by all that is set in it. Texts may have * for anything.
type DiskSelector struct {
	// Name as in /dev/sda or sda.
	// +optional
	Name string `json:"name,omitempty"`

	// Serial number.
	// +optional
	Serial string `json:"serial,omitempty"`

	// WWID is the disk's world wide identifier.
	// +optional
	WWID string `json:"wwid,omitempty"`

	// Model of the disk.
	// +optional
	Model string `json:"model,omitempty"`

	// Type is nvme, ssd, hdd or sd.
	// +optional
	Type string `json:"type,omitempty"`

	// BusPath is where in the machine the disk is.
	// +optional
	BusPath string `json:"busPath,omitempty"`

	// Label is that of a file system or of a GPT partition on the disk.
	// +optional
	Label string `json:"label,omitempty"`

	// MinSize and MaxSize bound the disk's size in bytes.
	// +optional
	MinSize int64 `json:"minSize,omitempty"`
	// +optional
	MaxSize int64 `json:"maxSize,omitempty"`
}

// WipeStatus is what is planned for a machine's disks, and what was done.
type WipeStatus struct {
	// PlannedAt is when the machine last told what a wipe would do.
	// +optional
	PlannedAt *metav1.Time `json:"plannedAt,omitempty"`

	// Policy is the one that the plan was made by, with its defaults filled in.
	// +optional
	Policy *WipePolicy `json:"policy,omitempty"`

	// PolicyFrom tells for people where the policy comes from: the Server, ServerClasses, or the defaults.
	// +optional
	PolicyFrom string `json:"policyFrom,omitempty"`

	// Problem tells why nothing can be wiped, such as a selector that matches no disk.
	// +optional
	Problem string `json:"problem,omitempty"`

	// StartedAt and FinishedAt are those of the last wipe.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`

	// Disks of the machine.
	// +optional
	// +listType=map
	// +listMapKey=name
	Disks []WipeDiskStatus `json:"disks,omitempty"`
}

// WipeDiskStatus is what is planned for one disk, and what was done.
type WipeDiskStatus struct {
	// Name of the disk, as in sda.
	Name string `json:"name"`

	// Description tells a person which disk it is: its model, serial number and size.
	// +optional
	Description string `json:"description,omitempty"`

	// Action is wipe, or keep.
	Action string `json:"action"`

	// Method of the wipe.
	// +optional
	Method string `json:"method,omitempty"`

	// Reason for the action.
	// +optional
	Reason string `json:"reason,omitempty"`

	// State is planned, running, done or failed.
	// +optional
	State string `json:"state,omitempty"`

	// Done and Total are bytes.
	// +optional
	Done int64 `json:"done,omitempty"`
	// +optional
	Total int64 `json:"total,omitempty"`

	// Error tells why the wipe of the disk failed.
	// +optional
	Error string `json:"error,omitempty"`
}
