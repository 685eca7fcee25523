package identity

import (
	"slices"
	"time"
)

// fresh is for how long a machine that has told who it is may be known by the address of an adapter on USB: as long as a restart
// takes. After that the adapter may be on another machine.
const fresh = 15 * time.Minute

// Booting is what a boot loader tells of its machine.
type Booting struct {
	MAC, Serial string
}

// AtBoot tells which Server a machine is that asks what it boots, of those that claim its UUID; false when that is not certain:
// then its agent has to tell more.
func AtBoot(id string, booting Booting, claims []Claim, now time.Time) (Claim, bool) {
	booting = Booting{MAC: ParseMAC(booting.MAC), Serial: ParseSerial(booting.Serial)}
	if SharedUUID(id) || repeats(booting.Serial, id) {
		booting.Serial = ""
	}

	var found []Claim

	for _, claim := range claims {
		alone := len(claims) == 1
		unclaimed := alone && claim.Name == id && claim.Facts.none() && !SharedUUID(id)

		if unclaimed || booting.is(claim.Facts, alone, now.Sub(claim.ToldAt) < fresh) {
			found = append(found, claim)
		}
	}

	if len(found) != 1 {
		return Claim{}, false
	}

	return found[0], true
}

// is tells whether a machine boots that has told these facts. An address that may be an adapter's on USB counts if the machine
// has told it lately, or if nobody else claims the UUID and it may be another adapter's as well.
func (b Booting) is(known Facts, alone, lately bool) bool {
	switch {
	case slices.Contains(known.MACs, b.MAC), b.Serial != "" && b.Serial == known.Serial:
		return true
	case b.MAC == "", b.Serial != "" && known.Serial != "":
		return false
	case slices.Contains(known.Other, b.MAC):
		return alone || lately
	default:
		return lately && known.BootMAC == b.MAC
	}
}
