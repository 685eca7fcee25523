package appliance

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/repository"
)

func (p program) clusterctlRepositoryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clusterctl-repository DIR",
		Short: "Write a provider repository, with which clusterctl needs no internet",
		Long: `Write the files that clusterctl would otherwise fetch from the internet, and a
configuration that tells it where they are: a cluster template for Sidero and the
Talos providers, and what clusterctl wants to know of each provider. The providers
themselves are in the appliance, so there is nothing in them to install.

The appliance need not run here, nor at all. DIR must be new, empty, or written by
this command before; then it is brought up to date. The configuration holds the
path of DIR: after moving it, write it again. docs/clusterctl.md tells more.`,
		Example: `  sidero-appliance clusterctl-repository clusterctl
  clusterctl --config clusterctl/clusterctl.yaml generate cluster my-cluster`,
		Args: oneDirectory,
		RunE: func(_ *cobra.Command, args []string) error {
			return working(p.clusterctlRepository(args[0]))
		},
	}
}

// oneDirectory is about the words behind a command that takes a directory.
func oneDirectory(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && args[0] != "" {
		return nil
	}
	return fmt.Errorf("\"%s\" takes one directory, not %q: see \"%[1]s --help\"", cmd.CommandPath(), args)
}

func (p program) clusterctlRepository(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find the directory: %w", err)
	}
	if err := repository.Write(dir); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, `The repository is in %s. Make the manifest of a cluster with it:

  export KUBECONFIG=admin.kubeconfig      # "sidero-appliance kubeconfig" prints one
  export CONTROL_PLANE_ENDPOINT=ADDRESS   # where the cluster's API is to be reached
  clusterctl --config %s generate cluster NAME --worker-machine-count 1 > NAME.yaml
`, dir, shellWord(filepath.Join(dir, repository.Config)))
	return err
}
