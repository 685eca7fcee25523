package appliance

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
)

func (p program) logsCommand() *cobra.Command {
	options := servers.LogOptions{}
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Print what a server's machine has logged",
		Long: `Print what the kernel of a server's machine and Talos on it have logged, oldest
first. Machines send that over SideroLink from when Talos has their configuration. The
last few megabytes are kept of each, also after its cluster is gone.

` + howToName,
		Example: `  sidero-appliance logs node-7

  # And what comes:
  sidero-appliance logs node-7 -f

  # As the machine sent it, a JSON object a line:
  sidero-appliance logs node-7 --json | jq -r .msg`,
		Args:              oneServer,
		ValidArgsFunction: p.completeServer,
		RunE: func(cmd *cobra.Command, names []string) error {
			return p.withServers(cmd, func(ctx context.Context, pool *servers.Pool) error { return pool.Logs(ctx, names[0], options) })
		},
	}
	addClientFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&options.Follow, "follow", "f", false, "go on with what comes, until Ctrl-C")
	cmd.Flags().BoolVar(&options.JSON, "json", false, "print each line as the JSON object that the machine has sent, with the names of its objects")
	return cmd
}
