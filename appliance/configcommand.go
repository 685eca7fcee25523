package appliance

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
)

// configCommand is about the configurations of machines, not about the appliance's own.
func (p program) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration that a server's machine gets, and what has changed in it",
		Args:  noSuchCommand,

		SuggestionsMinimumDistance: 2, // cobra's own default, which it sets too late
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.configRenderCommand(), p.configDiffCommand())
	return cmd
}

func (p program) configRenderCommand() *cobra.Command {
	var secrets bool
	cmd := &cobra.Command{
		Use:   "render NAME",
		Short: "Show the configuration that a server's machine would get now",
		Long: `Show the machine configuration that the machine of a server in use would get now:
what its Machine's bootstrap provider made, with the patches of its class and of the
server, its node label, and where it reports to. Nothing is changed.

Secrets are hidden, and so is what may hold one, such as the content of files; keys
are sorted. With --secrets it is what the machine would get, to the byte. Either way
this takes a kubeconfig that may read Secrets.

` + howToName,
		Example: `  sidero-appliance config render node-7
  sidero-appliance config render node-7 --secrets | talosctl validate --mode metal --config /dev/stdin`,
		Args:              oneServer,
		ValidArgsFunction: p.completeServer,
		RunE: func(cmd *cobra.Command, names []string) error {
			return p.withServers(cmd, func(ctx context.Context, pool *servers.Pool) error {
				return pool.RenderConfiguration(ctx, names[0], secrets)
			})
		},
	}
	addConfigFlags(cmd, &secrets)
	return cmd
}

func (p program) configDiffCommand() *cobra.Command {
	var secrets bool
	cmd := &cobra.Command{
		Use:   "diff NAME",
		Short: "Show what has changed since a server's machine fetched its configuration",
		Long: `Show what the machine of a server in use would get now, compared with what it was
handed out last. What was changed on the machine itself, as by "talosctl apply-config",
is not seen. Nothing is changed: a machine fetches its configuration again after
"talosctl reset", or when it is made anew.

Secrets are hidden; one that has changed has another mark. --secrets shows them. Either
way this takes a kubeconfig that may read Secrets, also those in namespace
sidero-system.

` + howToName,
		Example: `  sidero-appliance config diff node-7`,
		Args:    oneServer,

		ValidArgsFunction: p.completeServer,
		RunE: func(cmd *cobra.Command, names []string) error {
			return p.withServers(cmd, func(ctx context.Context, pool *servers.Pool) error {
				return pool.DiffConfiguration(ctx, names[0], secrets)
			})
		},
	}
	addConfigFlags(cmd, &secrets)
	return cmd
}

func addConfigFlags(cmd *cobra.Command, secrets *bool) {
	addClientFlags(cmd.Flags())
	cmd.Flags().BoolVar(secrets, "secrets", false, "show secrets")
}
