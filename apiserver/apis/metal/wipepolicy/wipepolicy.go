// Package wipepolicy decides which policy a Server's disks are wiped by.
//
// What one policy leaves open the next one says: that of the Server, of the ServerClass that the server was taken from last,
// of the ServerClasses that it fits, and at last the appliance's default. Where several classes say different things, the one
// counts that is wiped least by; and what any of them keeps is kept.
package wipepolicy

import (
	"fmt"
	"slices"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/membership"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Decision is what is wiped of a server's disks.
type Decision struct {
	// Policy has the defaults filled in.
	Policy v1alpha2.WipePolicy
	// From tells people where its parts come from.
	From string
	// Unclear tells why nobody can say which disks are to be wiped; empty when it is clear. The policy wipes none then.
	Unclear string
}

// Everything tells whether all disks are wiped that can be: what an agent does that knows no policies.
func (d Decision) Everything() bool {
	return d.Unclear == "" && d.Policy.Disks == v1alpha2.WipeAll && len(d.Policy.Keep) == 0
}

// opinion is a policy, and whose it is.
type opinion struct {
	of     string
	policy v1alpha2.WipePolicy
}

// doubt is an opinion of a class that cannot be understood, or whose expression failed on the server: nobody can say whether it counts.
type doubt struct {
	opinion

	err error
}

// Decide decides. The method is that of wipes of which nobody says how.
func Decide(server *v1alpha2.Server, classes []v1alpha2.ServerClass, method v1alpha2.WipeMethod) Decision {
	levels, doubts := opinions(server, classes)

	d := Decision{Policy: v1alpha2.WipePolicy{Disks: v1alpha2.WipeAll, Method: method}}

	const defaults = "the appliance's default"

	scope, from, unclear := scopeOf(levels)
	if from == "" {
		from = defaults
	} else {
		d.Policy.Disks, d.Policy.InstallDisk, d.Policy.Selected, d.Unclear = scope.Disks, scope.InstallDisk, scope.Selected, unclear
	}

	said, methodFrom := methodOf(levels)
	if methodFrom == "" {
		methodFrom = defaults
	} else {
		d.Policy.Method = said
	}

	var keepFrom []string

	d.Policy.Keep, keepFrom = keepOf(levels)
	d.From = "disks: " + from + "; method: " + methodFrom

	if len(keepFrom) > 0 {
		d.From += "; kept disks: " + strings.Join(keepFrom, ", ")
	}

	for _, why := range []string{missing(server), doubtful(doubts, levels)} {
		if why != "" {
			d.Policy.Disks, d.Policy.InstallDisk, d.Policy.Selected, d.Unclear = v1alpha2.WipeNone, nil, nil, why
		}
	}

	return d
}

// BareWWID is a world-wide name without what spellings differ in: naa.5000… is the kernel's, wwn-0x5000… udev's, 0x5000… lsblk's.
func BareWWID(wwid string) string {
	bare := strings.ToLower(strings.Join(strings.Fields(wwid), " "))
	for _, prefix := range []string{"wwn-", "naa.", "eui.", "uuid.", "0x"} {
		bare = strings.TrimPrefix(bare, prefix)
	}

	return bare
}

// missing tells of a disk that the server itself is to keep, and does not have: its name may be mistyped, and then the disk that was meant is
// wiped. What a class keeps need not be in each machine.
func missing(server *v1alpha2.Server) string {
	if server.Spec.Wipe == nil || server.Spec.Hardware == nil || server.Spec.Hardware.Storage == nil {
		return ""
	}

	var serials, wwids []string // of the disks that tell theirs

	for _, disk := range server.Spec.Hardware.Storage.Devices {
		if disk != nil && strings.TrimSpace(disk.Serial) != "" {
			serials = append(serials, strings.TrimSpace(disk.Serial))
		}

		if disk != nil && BareWWID(disk.WWID) != "" {
			wwids = append(wwids, BareWWID(disk.WWID))
		}
	}

	for i, keep := range server.Spec.Wipe.Keep {
		for _, one := range []struct {
			field, wanted string
			known         []string
		}{
			{"serial", strings.TrimSpace(keep.Serial), serials},
			{"wwid", BareWWID(keep.WWID), wwids},
		} {
			if one.wanted == "" || strings.Contains(one.wanted, "*") || len(one.known) == 0 || slices.Contains(one.known, one.wanted) {
				continue // nothing is wanted by it, or nobody can tell
			}

			return fmt.Sprintf("spec.wipe.keep[%d].%s of the server is %q, and none of its disks has that: correct it, or remove it if the disk is gone; "+
				"they have %s", i, one.field, one.wanted, strings.Join(one.known, ", "))
		}
	}

	return ""
}

// opinions are those that count, in levels: the first that says something decides. Doubts are those of which nobody can say whether
// they count.
func opinions(server *v1alpha2.Server, classes []v1alpha2.ServerClass) (levels [][]opinion, doubts []doubt) {
	var own, last, fitting []opinion

	if server.Spec.Wipe != nil {
		own = append(own, opinion{"the Server", *server.Spec.Wipe})
	}

	for i := range classes {
		class := &classes[i]
		if class.Spec.Wipe == nil {
			continue
		}

		one := opinion{"ServerClass " + class.Name, *class.Spec.Wipe}

		if class.Name == server.Status.AllocatedFrom {
			one.of += ", which it was taken from"
			last = append(last, one)

			continue
		}

		switch counts, err := fits(class.Spec, server); {
		case err != nil:
			doubts = append(doubts, doubt{one, err})
		case counts:
			fitting = append(fitting, one)
		}
	}

	slices.SortFunc(fitting, func(a, b opinion) int { return strings.Compare(a.of, b.of) })
	slices.SortFunc(doubts, func(a, b doubt) int { return strings.Compare(a.of, b.of) })

	return [][]opinion{own, last, fitting}, doubts
}

// fits does not ask whether the server is accepted or cordoned: its plan is the same before and after. Nor does it wait for
// the labels of new hardware. It is an error when nobody can say: the selector or the expression cannot be understood, as in classes that are
// older than their validation, or the expression fails on this server. Where the rest of the class is not about the server, that does not matter.
func fits(class v1alpha2.ServerClassSpec, server *v1alpha2.Server) (bool, error) {
	labelled := *server
	membership.Relabel(&labelled)

	matcher, err := membership.NewMatcher(class)
	if err == nil {
		return matcher.Judge(&labelled)
	}

	class.Expression = ""
	if rest, broken := membership.NewMatcher(class); broken == nil && !rest.Fits(&labelled) {
		return false, nil
	}

	return false, err
}

// doubtful tells of the first class of which it matters whether it counts: by which disks would be spared that are wiped otherwise. Those that it
// keeps are spared whatever the server itself says.
func doubtful(doubts []doubt, levels [][]opinion) string {
	_, said, _ := scopeOf(levels[:2])

	for _, d := range doubts {
		if spares := d.policy.Disks != "" && d.policy.Disks != v1alpha2.WipeAll; len(d.policy.Keep) > 0 || spares && said == "" {
			return fmt.Sprintf("nobody can tell whether %s is about this server, and its disks are to be spared: %v: "+
				"correct the selector or the expression of the class; one that fails on some servers needs has() for what may be absent", d.of, d.err)
		}
	}

	return ""
}

// scopeOf is which disks are wiped; from is empty when nobody says.
func scopeOf(levels [][]opinion) (scope v1alpha2.WipePolicy, from, unclear string) {
	for _, level := range levels {
		said := slices.DeleteFunc(slices.Clone(level), func(o opinion) bool { return o.policy.Disks == "" })
		if len(said) > 0 {
			return leastOf(said)
		}
	}

	return v1alpha2.WipePolicy{}, "", ""
}

// leastOf is the opinion that wipes least. None is less than some disks, and those are less than all; but which of two choices
// of some disks is less depends on the machine.
func leastOf(said []opinion) (scope v1alpha2.WipePolicy, from, unclear string) {
	rank := func(o opinion) int {
		return slices.Index([]v1alpha2.WipeDisks{v1alpha2.WipeNone, v1alpha2.WipeInstallDisk, v1alpha2.WipeSelected, v1alpha2.WipeAll}, o.policy.Disks)
	}

	least := said[0]
	for _, o := range said {
		if rank(o) < rank(least) {
			least = o
		}
	}

	var same, more []string

	for _, o := range said {
		switch {
		case sameScope(o.policy, least.policy):
			same = append(same, o.of)
		case o.policy.Disks == v1alpha2.WipeAll || least.policy.Disks == v1alpha2.WipeNone:
			more = append(more, o.of)
		default:
			return v1alpha2.WipePolicy{Disks: v1alpha2.WipeNone}, "nobody", fmt.Sprintf(
				"%s and %s choose different disks to wipe: set spec.wipe of the server, or make them agree", least.of, o.of)
		}
	}

	from = strings.Join(same, ", ")
	if len(more) > 0 {
		from += " (less than " + strings.Join(more, ", ") + ")"
	}

	return least.policy, from, ""
}

func sameScope(a, b v1alpha2.WipePolicy) bool {
	return a.Disks == b.Disks && apiequality.Semantic.DeepEqual(a.InstallDisk, b.InstallDisk) && apiequality.Semantic.DeepEqual(a.Selected, b.Selected)
}

// methodOf is the most thorough one: what is wiped is lost anyway.
func methodOf(levels [][]opinion) (method v1alpha2.WipeMethod, from string) {
	rank := func(m v1alpha2.WipeMethod) int {
		return slices.Index([]v1alpha2.WipeMethod{v1alpha2.WipeFast, v1alpha2.WipeDiscard, v1alpha2.WipeZero, v1alpha2.WipeSecure}, m)
	}

	for _, level := range levels {
		for _, o := range level {
			if o.policy.Method != "" && (from == "" || rank(o.policy.Method) > rank(method)) {
				method, from = o.policy.Method, o.of
			}
		}

		if from != "" {
			return method, from
		}
	}

	return "", ""
}

// keepOf is all that anybody keeps.
func keepOf(levels [][]opinion) (keep []v1alpha2.DiskSelector, from []string) {
	for _, level := range levels {
		for _, o := range level {
			if len(o.policy.Keep) > 0 {
				from = append(from, o.of)
			}

			for _, disk := range o.policy.Keep {
				if !slices.Contains(keep, disk) {
					keep = append(keep, disk)
				}
			}
		}
	}

	return keep, from
}
