package v1alpha2

// HardwareInformation is what a machine says of itself. In a ServerClass the same shape is a filter: what is absent or
// zero there matches everything.
type HardwareInformation struct {
	// System is what the firmware says of the machine as a whole (SMBIOS structure 1).
	// +optional
	System *SystemInformation `json:"system,omitempty"`

	// Compute lists the processors (SMBIOS structure 4).
	// +optional
	Compute *ComputeInformation `json:"compute,omitempty"`

	// Memory lists the memory modules (SMBIOS structure 17).
	// +optional
	Memory *MemoryInformation `json:"memory,omitempty"`

	// Storage lists the disks.
	// +optional
	Storage *StorageInformation `json:"storage,omitempty"`

	// Network lists the network interfaces.
	// +optional
	Network *NetworkInformation `json:"network,omitempty"`
}

// SystemInformation is what the firmware says of the machine as a whole.
type SystemInformation struct {
	// UUID of the machine, lower case.
	// +optional
	UUID string `json:"uuid,omitempty"`
	// Manufacturer of the machine.
	// +optional
	Manufacturer string `json:"manufacturer,omitempty"`
	// ProductName of the machine.
	// +optional
	ProductName string `json:"productName,omitempty"`
	// Version of the machine.
	// +optional
	Version string `json:"version,omitempty"`
	// SerialNumber of the machine.
	// +optional
	SerialNumber string `json:"serialNumber,omitempty"`
	// SKUNumber of the machine.
	// +optional
	SKUNumber string `json:"skuNumber,omitempty"`
	// Family the machine belongs to.
	// +optional
	Family string `json:"family,omitempty"`
}

// Processor is one populated processor socket.
type Processor struct {
	// Manufacturer of the processor.
	// +optional
	Manufacturer string `json:"manufacturer,omitempty"`
	// ProductName is the processor's version string.
	// +optional
	ProductName string `json:"productName,omitempty"`
	// SerialNumber of the processor.
	// +optional
	SerialNumber string `json:"serialNumber,omitempty"`
	// Speed in megahertz.
	// +optional
	Speed int64 `json:"speed,omitempty"`
	// CoreCount is the number of cores.
	// +optional
	CoreCount int64 `json:"coreCount,omitempty"`
	// ThreadCount is the number of threads.
	// +optional
	ThreadCount int64 `json:"threadCount,omitempty"`
}

// ComputeInformation lists a machine's processors.
type ComputeInformation struct {
	// Architecture of the machine in the words of Talos and Go: amd64 or arm64. Sidero's own agent does not tell it.
	// +optional
	Architecture string `json:"architecture,omitempty"`
	// TotalCoreCount is the number of cores of all processors.
	// +optional
	TotalCoreCount int64 `json:"totalCoreCount,omitempty"`
	// TotalThreadCount is the number of threads of all processors.
	// +optional
	TotalThreadCount int64 `json:"totalThreadCount,omitempty"`
	// ProcessorCount is the number of populated sockets.
	// +optional
	ProcessorCount int64 `json:"processorCount,omitempty"`
	// Processors are the populated sockets.
	// +optional
	// +listType=atomic
	Processors []*Processor `json:"processors,omitempty"`
}

// MemoryModule is one memory module.
type MemoryModule struct {
	// Manufacturer of the module.
	// +optional
	Manufacturer string `json:"manufacturer,omitempty"`
	// ProductName is the module's part number.
	// +optional
	ProductName string `json:"productName,omitempty"`
	// SerialNumber of the module.
	// +optional
	SerialNumber string `json:"serialNumber,omitempty"`
	// Type of memory, for example DDR4.
	// +optional
	Type string `json:"type,omitempty"`
	// Size in megabytes.
	// +optional
	Size int64 `json:"size,omitempty"`
	// Speed in megatransfers per second.
	// +optional
	Speed int64 `json:"speed,omitempty"`
}

// MemoryInformation lists a machine's memory.
type MemoryInformation struct {
	// TotalSize of the memory as text, for example "32 GB".
	// +optional
	TotalSize string `json:"totalSize,omitempty"`
	// ModuleCount is the number of modules.
	// +optional
	ModuleCount int64 `json:"moduleCount,omitempty"`
	// Modules are the populated memory slots.
	// +optional
	// +listType=atomic
	Modules []*MemoryModule `json:"modules,omitempty"`
}

// StorageDevice is one disk.
type StorageDevice struct {
	// Type of disk: SSD, HDD, NVMe, SD or Unknown.
	// +optional
	Type string `json:"type,omitempty"`
	// Size in bytes. Signed, unlike upstream's, because server-side apply cannot compare unsigned 64 bit numbers.
	// +optional
	Size int64 `json:"size,omitempty"`
	// Model of the disk. Its key is productName, as upstream's.
	// +optional
	Model string `json:"productName,omitempty"`
	// Serial number of the disk.
	// +optional
	Serial string `json:"serialNumber,omitempty"`
	// Name of the disk as its driver gives it.
	// +optional
	Name string `json:"name,omitempty"`
	// DeviceName is the path of the device node, for example /dev/sda.
	// +optional
	DeviceName string `json:"deviceName,omitempty"`
	// UUID of the disk.
	// +optional
	UUID string `json:"uuid,omitempty"`
	// WWID is the disk's world wide identifier.
	// +optional
	WWID string `json:"wwid,omitempty"`
	// Transport is how the disk is connected: nvme, sata, sas, usb, virtio, mmc, iscsi or fc. A RAID controller's volume has none.
	// +optional
	Transport string `json:"transport,omitempty"`
	// Rotational tells that the disk turns.
	// +optional
	Rotational bool `json:"rotational,omitempty"`
	// Removable tells that a person can take the medium out.
	// +optional
	Removable bool `json:"removable,omitempty"`
	// BusPath is the disk's place in sysfs, in the form of Talos's disk selectors.
	// +optional
	BusPath string `json:"busPath,omitempty"`
	// ByID are the disk's names below /dev/disk/by-id.
	// +optional
	// +listType=atomic
	ByID []string `json:"byID,omitempty"`
}

// StorageInformation lists a machine's disks.
type StorageInformation struct {
	// TotalSize of the disks as text, for example "512 GB".
	// +optional
	TotalSize string `json:"totalSize,omitempty"`
	// DeviceCount is the number of disks.
	// +optional
	DeviceCount int64 `json:"deviceCount,omitempty"`
	// Devices are the disks.
	// +optional
	// +listType=atomic
	Devices []*StorageDevice `json:"devices,omitempty"`
}

// NetworkInterface is one network interface.
type NetworkInterface struct {
	// Index of the interface as the kernel counts.
	// +optional
	Index int64 `json:"index,omitempty"`
	// Name of the interface.
	// +optional
	Name string `json:"name,omitempty"`
	// Flags of the interface as text, for example up|broadcast|multicast.
	// +optional
	Flags string `json:"flags,omitempty"`
	// MTU in bytes.
	// +optional
	MTU int64 `json:"mtu,omitempty"`
	// MAC address, lower case with colons.
	// +optional
	MAC string `json:"mac,omitempty"`
	// Addresses with their prefix length.
	// +optional
	// +listType=atomic
	Addresses []string `json:"addresses,omitempty"`
	// PermanentMAC is the address that the adapter has from its maker; mac can be another one.
	// +optional
	PermanentMAC string `json:"permanentMAC,omitempty"`
	// Driver is the kernel's name of the adapter's driver, for example igb.
	// +optional
	Driver string `json:"driver,omitempty"`
	// BusPath is the adapter's place on its bus: 0000:01:00.0 on PCI, 1-1.2:1.0 on USB.
	// +optional
	BusPath string `json:"busPath,omitempty"`
	// Link is up or down; empty if the driver does not tell.
	// +optional
	Link string `json:"link,omitempty"`
	// Speed of the link in megabits per second, 0 without a link and for virtual adapters.
	// +optional
	Speed int64 `json:"speed,omitempty"`
	// MaximumSpeed is the highest that the adapter supports, in megabits per second.
	// +optional
	MaximumSpeed int64 `json:"maximumSpeed,omitempty"`
	// Neighbours are the switches at the other end of the cable, by LLDP (IEEE 802.1AB).
	// +optional
	// +listType=atomic
	Neighbours []*Neighbour `json:"neighbours,omitempty"`
}

// Neighbour is a port of a switch, as the switch announces it by LLDP (IEEE 802.1AB).
type Neighbour struct {
	// ChassisID names the switch, most often by its MAC address.
	// +optional
	ChassisID string `json:"chassisID,omitempty"`
	// SystemName is the host name of the switch.
	// +optional
	SystemName string `json:"systemName,omitempty"`
	// PortID names the port, by its number, name or MAC address.
	// +optional
	PortID string `json:"portID,omitempty"`
	// PortDescription is what a person has called the port, or its name.
	// +optional
	PortDescription string `json:"portDescription,omitempty"`
	// VLAN is the one that untagged frames belong to.
	// +optional
	VLAN int64 `json:"vlan,omitempty"`
}

// NetworkInformation lists a machine's network interfaces.
type NetworkInformation struct {
	// InterfaceCount is the number of interfaces.
	// +optional
	InterfaceCount int64 `json:"interfaceCount,omitempty"`
	// Interfaces are the network interfaces.
	// +optional
	// +listType=atomic
	Interfaces []*NetworkInterface `json:"interfaces,omitempty"`
}
