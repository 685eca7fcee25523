package inventory

import (
	"runtime"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

// More describes what Sidero's protocol has no words for.
func More(sources Sources) *api.TellRequest {
	return &api.TellRequest{
		Architecture: runtime.GOARCH, // there is one image for each
		Adapters:     adapters(sources.Interfaces),
		Disks:        diskFacts(sources.Disks),
	}
}

// adapters describes those that Network lists.
func adapters(interfaces []Interface) []*api.AdapterFacts {
	var list []*api.AdapterFacts
	for _, iface := range interfaces {
		if len(iface.HardwareAddr) == 0 {
			continue
		}
		list = append(list, &api.AdapterFacts{
			Name:          iface.Name,
			Mac:           iface.HardwareAddr.String(),
			PermanentMac:  iface.Permanent.String(),
			Driver:        iface.Driver,
			BusPath:       iface.BusPath,
			Link:          iface.Link,
			Speed:         uint32(iface.Speed),
			MaximumSpeed:  uint32(iface.MaximumSpeed),
			Neighbourhood: neighbourhood(iface.Adapter),
		})
	}
	return list
}

// neighbourhood is nil as long as it is not known.
func neighbourhood(adapter Adapter) *api.Neighbourhood {
	if !adapter.NeighboursKnown {
		return nil
	}
	known := &api.Neighbourhood{}
	for _, heard := range adapter.Neighbours {
		known.Neighbours = append(known.Neighbours, &api.NeighbourFacts{
			ChassisId:       heard.ChassisID,
			SystemName:      heard.SystemName,
			PortId:          heard.PortID,
			PortDescription: heard.PortDescription,
			Vlan:            uint32(heard.VLAN),
		})
	}
	return known
}

func diskFacts(disks []disk.Disk) []*api.DiskFacts {
	var list []*api.DiskFacts
	for _, d := range disks {
		list = append(list, &api.DiskFacts{
			DeviceName: d.Path,
			Transport:  string(d.Transport),
			Rotational: d.Rotational,
			Removable:  d.RemovableMedium(),
			BusPath:    d.BusPath,
			ById:       d.ByID,
		})
	}
	return list
}
