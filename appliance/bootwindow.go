package appliance

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
)

func (p program) bootWindowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "boot-window NAME",
		Short: "Let the machine of a server in use fetch its configuration again",
		Long: `Let the machine of a server in use fetch its configuration, which holds secrets of
its cluster, for half an hour or until it reports that it has loaded it. That is
needed after "talosctl reset", or when a machine took too long. By itself the window
opens when a server is given to a cluster, and when the appliance starts its machine.

A machine whose whole disk was wiped, as by "talosctl reset" without further flags,
has to start Talos from the network: it does when the appliance switches it on
meanwhile ("sidero-appliance power cycle NAME"), or when it comes back from the disk
five minutes or more after it was sent there.

` + howToName,
		Example: `  sidero-appliance boot-window node-7`,
		Args:    oneServer,

		ValidArgsFunction: p.completeServer,
		RunE: func(cmd *cobra.Command, names []string) error {
			return p.withServers(cmd, func(ctx context.Context, pool *servers.Pool) error { return pool.BootWindow(ctx, names[0]) })
		},
	}
}
