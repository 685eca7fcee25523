package identity

import (
	"cmp"
	"slices"
)

// likeness is how much speaks for two descriptions being of one machine. The zero value is nothing.
type likeness struct {
	same bool
	// serial tells that the serial numbers are the same.
	serial bool
	// own tells that an adapter is in both that does not move as one on USB does.
	own bool
	// shared and all count the addresses of both, and those of either.
	shared, all int
}

// compare tells whether two descriptions with one UUID are of the same machine: by the same serial number, or by an address that
// is known to be an adapter's own and not on USB. A UUID that stands for none is no reason to believe a serial number, which
// is one vendor's, against addresses.
func compare(a, b Facts, sharedUUID bool) likeness {
	l := likeness{serial: a.Serial != "" && a.Serial == b.Serial}
	differ := a.Serial != "" && b.Serial != "" && !l.serial
	one, other := slices.Concat(a.MACs, a.Other), slices.Concat(b.MACs, b.Other)

	for _, mac := range one {
		if slices.Contains(other, mac) {
			l.shared++

			l.own = l.own || slices.Contains(a.MACs, mac) || slices.Contains(b.MACs, mac)
		}
	}

	l.all = len(one) + len(other) - l.shared
	addresses := len(one) > 0 && len(other) > 0

	switch {
	case l.own:
		l.same = true
	case l.serial:
		l.same = !sharedUUID || !addresses || l.shared > 0
	case differ:
	case addresses && len(a.MACs)+len(b.MACs) > 0:
		// What is known not to be on USB is in only one of them.
	case addresses:
		// Any of them may be on USB and have moved. When a machine has told no other, they have not.
		l.same = l.shared > 0 && l.shared == min(len(one), len(other))
	case len(one)+len(other) == 0 && a.BootMAC != "" && b.BootMAC != "":
		l.same = a.BootMAC == b.BootMAC // all that there is
	}

	return l
}

// more orders likenesses: a serial number stays where it is, while an adapter may have moved.
func (l likeness) more(than likeness) int {
	return cmp.Or(
		order(l.serial, than.serial), order(l.own, than.own),
		cmp.Compare(l.shared*max(than.all, 1), than.shared*max(l.all, 1)),
	)
}

func order(one, other bool) int {
	switch {
	case one == other:
		return 0
	case one:
		return 1
	default:
		return -1
	}
}
