package metadata

import (
	"fmt"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

// Sources are what a server's configuration is made of.
type Sources struct {
	Server *v1alpha2.Server
	// Class that the server was taken from, nil if it was taken by its name.
	Class *v1alpha2.ServerClass
	// Configuration is what the bootstrap provider made.
	Configuration []byte
	// TalosVersion is that of who reads it, empty when nobody has said.
	TalosVersion string
}

// Render makes a server's configuration in Sidero's order: the patches of its class, those of the server, the node label, the
// documents of the link. The error names the patch that does not fit and its path, and holds nothing secret.
func Render(s Sources, link Link) ([]byte, error) {
	configuration := s.Configuration

	var err error

	if s.Class != nil {
		configuration, err = machineconfig.Patch(configuration, patches(s.Class.Spec.ConfigPatches, s.Class.Spec.StrategicPatches))
		if err != nil {
			return nil, fmt.Errorf("patch with ServerClass %s: spec.%w", s.Class.Name, err)
		}
	}

	configuration, err = machineconfig.Patch(configuration, patches(s.Server.Spec.ConfigPatches, s.Server.Spec.StrategicPatches))
	if err != nil {
		return nil, fmt.Errorf("patch with Server %s: spec.%w", s.Server.Name, err)
	}

	if configuration, err = machineconfig.Label(configuration, v1alpha2.NodeLabel+"="+s.Server.Name); err != nil {
		return nil, fmt.Errorf("add node label: %w", err)
	}

	if !machineconfig.ReadsDocuments(s.TalosVersion) {
		return configuration, nil
	}

	if configuration, err = machineconfig.Append(configuration, link.documents(s.Server.Name)...); err != nil {
		return nil, fmt.Errorf("add documents of SideroLink: %w", err)
	}

	return configuration, nil
}

func patches(operations []v1alpha2.ConfigPatch, strategic []string) machineconfig.Patches {
	p := machineconfig.Patches{Strategic: strategic}
	for _, o := range operations {
		p.Operations = append(p.Operations, machineconfig.Operation{Op: o.Op, Path: o.Path, Value: o.Value.Raw})
	}

	return p
}
