package node

// State is the system disk: Talos's boot, STATE and EPHEMERAL partitions.
type State interface {
	// Load returns what is installed, or nil if nothing is. An Installation without a configuration is that of a node whose
	// STATE partition was wiped: it boots from its disk, and fetches its configuration by the arguments that it was installed with.
	Load() (*Installation, error)
	// Install writes what is to be there from the next start on, and returns when it will survive a power cut. It is called for
	// the first installation, for an upgrade and for a changed configuration; Config.Root stays as it is.
	Install(i Installation) error
	// Wipe removes partitions by their labels: STATE is the configuration, EPHEMERAL what is in Config.Root; without any label
	// the whole disk, so that the firmware finds nothing to boot on it. The node has closed its files.
	Wipe(labels ...string) error
}

// Labels of Talos's partitions.
const (
	StatePartition     = "STATE"
	EphemeralPartition = "EPHEMERAL"
)

// Installation is what a disk holds.
type Installation struct {
	// Configuration of the machine, YAML, as it was fetched. machine.install of it says onto which disk.
	Configuration []byte `json:"configuration,omitempty"`
	// Release of Talos, such as v1.13.6.
	Release string `json:"release"`
	// Args are the kernel's arguments from now on.
	Args string `json:"args"`
}
