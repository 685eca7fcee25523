package machine

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// ParseTold checks what a machine tells of itself beyond Sidero's protocol, and makes one picture of that and of what it
// registered with. What fits no part of that is dropped. What the machine cannot know yet is as it is stored.
func ParseTold(request *api.TellRequest, stored *v1alpha2.HardwareInformation) (Machine, error) {
	if err := Bound(request); err != nil {
		return Machine{}, err
	}

	machine, err := Parse(request.GetRegistration())
	if err != nil {
		return Machine{}, err
	}

	hardware := &machine.Hardware
	if architecture := clean(request.GetArchitecture()); architecture != "" {
		if hardware.Compute == nil {
			hardware.Compute = &v1alpha2.ComputeInformation{}
		}

		hardware.Compute.Architecture = architecture
	}

	known, before := byKey(adapters(hardware), adapterKey), byKey(adapters(stored), adapterKey)
	for _, told := range request.GetAdapters() {
		key := [2]string{clean(told.GetName()), clean(told.GetMac())}
		if adapter, ok := known[key]; ok {
			fillAdapter(adapter, told)

			if last, ok := before[key]; ok && told.GetNeighbourhood() == nil {
				adapter.Neighbours = last.Neighbours
			}
		}
	}

	byDevice := byKey(disks(hardware), func(d *v1alpha2.StorageDevice) string { return d.DeviceName })
	for _, told := range request.GetDisks() {
		if disk, ok := byDevice[clean(told.GetDeviceName())]; ok {
			fillDisk(disk, told)
		}
	}

	return machine, nil
}

func fillAdapter(adapter *v1alpha2.NetworkInterface, told *api.AdapterFacts) {
	adapter.PermanentMAC = clean(told.GetPermanentMac())
	adapter.Driver = clean(told.GetDriver())
	adapter.BusPath = clean(told.GetBusPath())
	adapter.Link = clean(told.GetLink())
	adapter.Speed = int64(told.GetSpeed())
	adapter.MaximumSpeed = int64(told.GetMaximumSpeed())
	adapter.Neighbours = each(told.GetNeighbourhood().GetNeighbours(), func(n *api.NeighbourFacts) *v1alpha2.Neighbour {
		return &v1alpha2.Neighbour{
			ChassisID:       clean(n.GetChassisId()),
			SystemName:      clean(n.GetSystemName()),
			PortID:          clean(n.GetPortId()),
			PortDescription: clean(n.GetPortDescription()),
			VLAN:            int64(n.GetVlan()),
		}
	})
}

func fillDisk(disk *v1alpha2.StorageDevice, told *api.DiskFacts) {
	disk.Transport = clean(told.GetTransport())
	disk.Rotational, disk.Removable = told.GetRotational(), told.GetRemovable()
	disk.BusPath = clean(told.GetBusPath())
	disk.ByID = nil

	for _, name := range told.GetById() {
		disk.ByID = append(disk.ByID, clean(name))
	}
}

// Keep completes what a machine registered with, by Sidero's protocol, with what is stored of the same adapters and disks
// beyond it. Otherwise it would be gone from each registration until the machine tells it again.
func (m *Machine) Keep(stored *v1alpha2.HardwareInformation) {
	if stored == nil {
		return
	}

	if now := m.Hardware.Compute; now != nil && stored.Compute != nil {
		now.Architecture = cmp.Or(now.Architecture, stored.Compute.Architecture)
	}

	known := byKey(adapters(stored), adapterKey)
	for _, now := range adapters(&m.Hardware) {
		if told, ok := known[adapterKey(now)]; ok {
			kept := *told
			kept.Index, kept.Flags, kept.MTU, kept.Addresses = now.Index, now.Flags, now.MTU, now.Addresses
			*now = kept
		}
	}

	same := byKey(disks(stored), diskKey)
	for _, now := range disks(&m.Hardware) {
		if told, ok := same[diskKey(now)]; ok {
			now.Transport, now.Rotational, now.Removable = told.Transport, told.Rotational, told.Removable
			now.BusPath, now.ByID = told.BusPath, told.ByID
		}
	}
}

func adapterKey(n *v1alpha2.NetworkInterface) [2]string { return [2]string{n.Name, n.MAC} }

// diskKey is all that Sidero's protocol says of a disk.
func diskKey(d *v1alpha2.StorageDevice) [8]string {
	return [8]string{d.Type, strconv.FormatInt(d.Size, 10), d.Model, d.Serial, d.Name, d.DeviceName, d.UUID, d.WWID}
}

func byKey[Item any, Key comparable](list []*Item, key func(*Item) Key) map[Key]*Item {
	items := map[Key]*Item{}
	for _, item := range list {
		items[key(item)] = item
	}

	return items
}

// adapters and disks are those of a machine, without places that hold nothing.
func adapters(hardware *v1alpha2.HardwareInformation) []*v1alpha2.NetworkInterface {
	if hardware == nil || hardware.Network == nil {
		return nil
	}

	return slices.DeleteFunc(slices.Clone(hardware.Network.Interfaces), func(n *v1alpha2.NetworkInterface) bool { return n == nil })
}

func disks(hardware *v1alpha2.HardwareInformation) []*v1alpha2.StorageDevice {
	if hardware == nil || hardware.Storage == nil {
		return nil
	}

	return slices.DeleteFunc(slices.Clone(hardware.Storage.Devices), func(d *v1alpha2.StorageDevice) bool { return d == nil })
}
