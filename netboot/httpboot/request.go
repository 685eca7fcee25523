package httpboot

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
)

// Bounds in bytes. A host name has at most 253 (RFC 1035), SMBIOS strings are rarely above 64.
const (
	maxQuery = 2048
	maxValue = 256
)

// parseRequest reads what a machine says about itself in /ipxe's query. What a machine may lack (a MAC that can be read, a
// UUID) may be missing; what no iPXE writes is refused.
func parseRequest(rawQuery string) (bootplan.Request, error) {
	if len(rawQuery) > maxQuery {
		return bootplan.Request{}, fmt.Errorf("read query: %d bytes are more than %d", len(rawQuery), maxQuery)
	}
	// iPXE 1.0.0 undoes :uristring for a semicolon in a serial number when it sends the address. It separates nothing.
	query, err := url.ParseQuery(strings.ReplaceAll(rawQuery, ";", "%3B"))
	if err != nil {
		return bootplan.Request{}, fmt.Errorf("read query: %w", err)
	}
	for name, values := range query {
		for _, value := range values {
			if len(value) > maxValue {
				return bootplan.Request{}, fmt.Errorf("read query: %.32q has %d bytes, more than %d", name, len(value), maxValue)
			}
		}
	}
	uuid := strings.ToLower(query.Get("uuid"))
	if strings.ContainsFunc(uuid, notInName) {
		return bootplan.Request{}, fmt.Errorf("read query: uuid %.64q cannot name a server", uuid)
	}
	return bootplan.Request{
		UUID:   uuid,
		Serial: query.Get("serial"),
		MAC:    bootplan.ParseMAC(query.Get("mac")),
		Arch:   bootplan.ParseArch(query.Get("arch")),
		Loader: bootplan.Loader{Platform: query.Get("platform"), Version: query.Get("version")},
	}, nil
}

// notInName tells characters that no object's name in Kubernetes has (RFC 1123 names).
func notInName(char rune) bool {
	return !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyz-.", char)
}
