package server

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// What an agent tells of a disk, in Server.status.wipe.
const (
	diskWipe   = "wipe"
	diskFailed = "failed"
)

// wipeFailure tells a person why the last wipe that has ended did not succeed, and what can be done.
func wipeFailure(wipe *v1alpha2.WipeStatus) string {
	const what = "a person: the wipe failed, and is tried again: "

	switch {
	case wipe == nil || wipe.FinishedAt == nil:
		return ""
	case wipe.Problem != "":
		return what + wipe.Problem + ": what is wiped is said by spec.wipe of the server, or of its ServerClass"
	}

	var failed []string

	for _, disk := range wipe.Disks {
		if disk.Action == diskWipe && disk.State == diskFailed {
			failed = append(failed, fmt.Sprintf("disk %s: %s", named(disk), cmp.Or(disk.Error, "its agent does not tell why")))
		}
	}

	if len(failed) == 0 {
		return ""
	}

	return what + strings.Join(failed, "; ") + ": replace what is broken, or name it in spec.wipe.keep of the server: it is left as it is then"
}

// named tells a person which disk it is.
func named(disk v1alpha2.WipeDiskStatus) string {
	if disk.Description == "" {
		return disk.Name
	}

	return disk.Name + " (" + disk.Description + ")"
}
