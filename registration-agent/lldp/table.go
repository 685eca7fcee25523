package lldp

import (
	"cmp"
	"slices"
	"time"
)

// mostNeighbours is how many are remembered of one interface. There is one, unless a hub
// or a virtual switch without LLDP of its own lies between.
const mostNeighbours = 4

// table are the announcements that hold, by the index of the interface they came in by.
type table map[int][]entry

type entry struct {
	Announcement
	until time.Time
}

// note takes an announcement in. One more than are remembered is dropped.
func (t table) note(index int, said Announcement, now time.Time) {
	entries := slices.DeleteFunc(t[index], func(e entry) bool {
		return !e.until.After(now) || e.ChassisID == said.ChassisID && e.PortID == said.PortID
	})
	if said.TTL > 0 && len(entries) < mostNeighbours {
		entries = append(entries, entry{said, now.Add(said.TTL)})
	}
	t[index] = entries
}

// of are those of an interface, in an order that stays.
func (t table) of(index int, now time.Time) []Announcement {
	var list []Announcement
	for _, e := range t[index] {
		if e.until.After(now) {
			list = append(list, e.Announcement)
		}
	}
	slices.SortFunc(list, func(a, b Announcement) int {
		return cmp.Or(cmp.Compare(a.ChassisID, b.ChassisID), cmp.Compare(a.PortID, b.PortID))
	})
	return list
}
