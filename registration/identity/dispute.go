package identity

import "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"

// Standing is what is so of a Server's identity. The zero value is that nobody disputes it.
type Standing struct {
	// Others are the Servers that claim the UUID too.
	Others []string
	// Decided tells that a person has said that the Server is a machine of its own.
	Decided bool
}

// Standings are those of all Servers that claim a UUID, by their names.
func Standings(id string, claims []Claim) map[string]Standing {
	standings := map[string]Standing{}

	for _, claim := range claims {
		var standing Standing
		if !SharedUUID(id) {
			standing.Others = others(claim.Name, claims)
			standing.Decided = len(standing.Others) > 0 && claim.Word == v1alpha2.IdentityOwn
		}

		standings[claim.Name] = standing
	}

	return standings
}
