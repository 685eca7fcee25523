package identity

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

const (
	uuidText = 36
	macText  = 12

	// maxClaims is how many Servers may claim a machine's own UUID.
	maxClaims = 16
)

// Claim is a Server that claims a UUID.
type Claim struct {
	Name string
	// Facts of its machine, as far as it has told.
	Facts Facts
	// Word is a person's: the value of v1alpha2.IdentityAnnotation.
	Word string
	// ToldAt is when its machine told its facts last.
	ToldAt time.Time
}

// ClaimOf is a Server's.
func ClaimOf(server *v1alpha2.Server) Claim {
	claim := Claim{Name: server.Name, Facts: Of(server), Word: server.Annotations[v1alpha2.IdentityAnnotation]}
	if told := server.Status.Identity; told != nil {
		claim.ToldAt = told.ToldAt.Time
	}

	return claim
}

// Given tells whether a person has said that the Server is the machine's.
func (c Claim) Given(facts Facts) bool {
	id, _ := UUIDOf(c.Name)

	return slices.Contains(facts.Names(id), c.Word)
}

// UUIDOf is the UUID that a Server claims by its name: UUID, or UUID-MAC. Other names claim none.
func UUIDOf(name string) (id string, ok bool) {
	if len(name) < uuidText {
		return "", false
	}

	id, rest := name[:uuidText], name[uuidText:]
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return "", false
	}

	return id, rest == "" || len(rest) == 1+macText && rest[0] == '-' && strings.Trim(rest[1:], "0123456789abcdef") == ""
}

// NameOf is the name of a Server whose UUID is not enough.
func NameOf(id, mac string) string { return id + "-" + strings.ReplaceAll(mac, ":", "") }

// Verdict is which Server a machine is.
type Verdict struct {
	Name string
	// New tells that there is no such Server yet.
	New bool
	// Others are the Servers that claim the UUID too, where it is a machine's own: nobody knows which machine is which until a
	// person tells.
	Others []string
}

// Errors of Decide.
var (
	// ErrNameless is for a machine that tells nothing by which it could be known again.
	ErrNameless = errors.New("other machines have this UUID too, and this one tells neither a serial number nor " +
		"a network address of its own: set a UUID in the firmware's setup")
	// ErrAmbiguous is for a machine that is as much like one server as like another.
	ErrAmbiguous = errors.New("the machine has parts of several servers with its UUID")
	// ErrCrowded is for one more machine with a UUID that too many claim: each newcomer is a write for every one of them.
	ErrCrowded = fmt.Errorf("%d servers have this UUID: decide which machines they are, or delete those that are none", maxClaims)
)

// Decide tells which Server a machine with a UUID is, of all those that claim it. It never gives a machine the Server of
// another: in doubt there is a new one.
func Decide(id string, facts Facts, claims []Claim) (Verdict, error) {
	shared := SharedUUID(id)
	facts = facts.Under(id)

	names := facts.Names(id)

	claim, err := find(facts, claims, names, shared)
	if err != nil {
		return Verdict{}, err
	}

	verdict := Verdict{Name: claim.Name}

	if verdict.Name == "" {
		if len(claims) >= maxClaims && !shared {
			return Verdict{}, ErrCrowded
		}

		verdict.New = true
		if verdict.Name = newName(id, names, claims, shared); verdict.Name == "" {
			return Verdict{}, ErrNameless
		}
	}

	if !shared {
		verdict.Others = others(verdict.Name, claims)
	}

	return verdict, nil
}

// find returns the machine's claim, or the zero one.
func find(facts Facts, claims []Claim, names []string, shared bool) (Claim, error) {
	// A person's word goes before what the machines tell.
	for _, claim := range claims {
		if claim.Given(facts) {
			return claim, nil
		}
	}

	var (
		found Claim
		best  likeness
		even  string
	)

	for _, claim := range claims {
		l := compare(facts, claim.Facts, shared)

		switch {
		case !l.same:
		case found.Name == "" || l.more(best) > 0:
			found, best, even = claim, l, ""
		case l.more(best) == 0:
			even = claim.Name
		}
	}

	switch {
	case even != "":
		return Claim{}, fmt.Errorf("%w: %s and %s", ErrAmbiguous, found.Name, even)
	case found.Name != "":
		return found, nil
	default:
		return blank(claims, names, shared), nil
	}
}

// blank returns a claim of which no machine has told anything, so that this one may take it: a person has made it, or a stop came
// in between. Machines that never tell anything are all one, as with Sidero.
func blank(claims []Claim, names []string, shared bool) Claim {
	for _, claim := range claims {
		if claim.Facts.none() && (slices.Contains(names, claim.Name) || len(claim.Name) == uuidText && !shared) {
			return claim
		}
	}

	return Claim{}
}

// newName is the first name that is free: that of the UUID alone for the first machine.
func newName(id string, names []string, claims []Claim, shared bool) string {
	if len(claims) == 0 && !shared {
		return id
	}

	for _, name := range names {
		if !slices.ContainsFunc(claims, func(c Claim) bool { return c.Name == name }) {
			return name
		}
	}

	return ""
}

func others(name string, claims []Claim) []string {
	var names []string

	for _, claim := range claims {
		if claim.Name != name {
			names = append(names, claim.Name)
		}
	}

	slices.Sort(names)

	return names
}
