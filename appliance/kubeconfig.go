package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
)

func (p program) kubeconfigCommand() *cobra.Command {
	var (
		output  string
		name    string
		groups  []string
		expires time.Duration
	)
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the administrator's kubeconfig, or make one for somebody",
		Long: `Print the kubeconfig that the appliance on this machine wrote for its
administrator, or copy it to a file that only you can read. Whoever has it may do
everything, so treat it like a root password.

With --user, make a kubeconfig for somebody else. What they may do is decided by
their groups: sidero:viewer reads, sidero:operator also accepts, changes and deletes
servers, classes and environments, sidero:admin also keeps Secrets and hands out
rights; other groups, and users, may do what you bind roles to them for. The
certificate in it cannot be taken back, so it ends soon: after --expires.
docs/access.md tells more.`,
		Example: `  # Use it right here:
  sidero-appliance kubeconfig -o appliance.kubeconfig
  export KUBECONFIG=$PWD/appliance.kubeconfig

  # Fetch it from your own machine:
  ssh root@appliance sidero-appliance kubeconfig > appliance.kubeconfig

  # Let Jane run the pool for a week:
  sidero-appliance kubeconfig --user jane --group sidero:operator --expires 168h -o jane.kubeconfig`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := p.load(cmd.Flags())
			if err != nil {
				return err
			}
			read := func() ([]byte, error) { return readKubeconfig(config.KubeconfigPath()) }
			if changed := cmd.Flags().Changed; changed("user") || changed("group") || changed("expires") {
				person, err := personOf(name, groups, expires)
				if err != nil {
					return err
				}
				read = func() ([]byte, error) { return personKubeconfig(config.Config, person) }
			}
			return working(p.kubeconfig(read, output))
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write to, which must not exist yet (default: print)")
	cmd.Flags().StringVar(&name, "user", "", "make a kubeconfig for the user of this name")
	cmd.Flags().StringSliceVar(&groups, "group", nil, "group of that user; repeat it, or separate names by commas")
	expires = defaultExpiry
	cmd.Flags().Var(duration(&expires), "expires",
		fmt.Sprintf("how long that user's certificate is valid: 1m to %.0fh", pki.MaxExpiry.Hours()))
	addPlaceFlags(cmd.Flags())
	return cmd
}

// addPlaceFlags adds those settings that tell where an appliance on this machine keeps its files.
func addPlaceFlags(flags *pflag.FlagSet) { addSettings(flags, "config", "data-dir", "kubeconfig") }

// addSettings adds some of the settings.
func addSettings(flags *pflag.FlagSet, names ...string) {
	all := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	bindFlags(all)
	all.VisitAll(func(f *pflag.Flag) {
		if slices.Contains(names, f.Name) {
			flags.AddFlag(f)
		}
	})
}

// kubeconfig writes what is read to the output, or prints it.
func (p program) kubeconfig(read func() ([]byte, error), output string) error {
	data, err := read()
	if err != nil {
		return err
	}
	if output == "" {
		_, err := p.stdout.Write(data)
		return err
	}
	return writeSecret(output, data)
}

// readKubeconfig reads the administrator's kubeconfig.
func readKubeconfig(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no kubeconfig at %s yet: start the appliance with \"sidero-appliance run\", or name its --data-dir", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("you may not read the kubeconfig at %s: try again as root", path)
	case err != nil:
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return data, nil
}

// writeSecret makes a file that only its owner can read. It replaces nothing:
// people's kubeconfigs hold more clusters than this one.
func writeSecret(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: choose another name, or remove it first", path)
	}
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write kubeconfig: %w", err), os.Remove(path))
	}
	return nil
}
