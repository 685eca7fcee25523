// Package natives lists the groups that are served from Go types. To serve another, describe it in a package beside this
// one and list it here: the API server, the descriptors and their guard all go by this list.
//
//go:generate go test . -run TestDocument -update
package natives

import (
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/controlplane"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/infrastructure"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/metal"
)

// Groups returns the native groups.
func Groups() []registry.Group {
	return []registry.Group{metal.Group(), infrastructure.Group(), bootstrap.Group(), controlplane.Group()}
}
