package metadata

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidero-appliance/sidero-appliance/boottoken"
)

// maxQuery bounds a query in bytes. A UUID and a token have about a hundred.
const maxQuery = 2048

// request is what a machine asks for.
type request struct {
	// server is the name of the Server whose configuration it is.
	server string
	// token that the machine was told, empty if it was told none.
	token string
}

// errNoServer has upstream's words.
var errNoServer = errors.New("received metadata request with empty UUID")

// parseRequest reads a query. What else is in it is for others: people may add variables of Talos, such as ${mac}.
func parseRequest(rawQuery string) (request, error) {
	if len(rawQuery) > maxQuery {
		return request{}, fmt.Errorf("read query: %d bytes are more than %d", len(rawQuery), maxQuery)
	}

	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return request{}, errors.New("read query: it is not encoded as the query of an address is")
	}

	// Firmware and people write UUIDs in capitals too. No object's name has any.
	r := request{server: strings.ToLower(query.Get("uuid")), token: query.Get(boottoken.Parameter)}
	if r.server == "" {
		return request{}, errNoServer
	}

	return r, nil
}

// canNameServer tells whether there may be a Server of a name.
func canNameServer(name string) bool { return len(validation.IsDNS1123Subdomain(name)) == 0 }
