package node

import (
	"cmp"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config"
)

// install puts Talos and the configuration onto the disk, from which the node boots then.
func (n *node) install(text []byte, loaded config.Provider) (Outcome, error) {
	target := loaded.Machine().Install()

	n.stage(machine.MachineStatusEvent_INSTALLING, false)
	n.addresses(n.Hostname(loaded))
	n.log.Info("installs", "image", target.Image(), "disk", target.Disk())

	err := n.sequence("install", func() error {
		return n.phase("install", func() error {
			return n.State.Install(Installation{
				Configuration: text, Release: cmp.Or(Tag(target.Image()), n.release), Args: n.arguments.Installed(target.ExtraKernelArgs()),
			})
		})
	})
	if err != nil {
		return 0, err
	}

	n.restarts("install")

	return Reboot, nil
}

// Tag is that of an image's name, empty if there is none.
func Tag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	_, after, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")

	return after
}
