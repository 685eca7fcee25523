package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sidero-appliance/sidero-appliance/controllers/metal/environment"
)

func (p program) assetsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "assets",
		Short: "Bring kernels and initial RAM disks that cannot be downloaded",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.importCommand())
	return cmd
}

// importing is what the command was told.
type importing struct {
	url, sha512, release string
}

func (p program) importCommand() *cobra.Command {
	var told importing
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Give the appliance files that it would otherwise download",
		Long: `Give the appliance on this machine files that it would otherwise download, because
it has no way to the internet. It takes them over within seconds, while it runs or
when it is started next.

Files of a Talos release (vmlinuz-amd64, initramfs-amd64.xz) are taken for those of
the release that this appliance boots by default; name another with --release. For
any other file say with --url which download it stands for: the URL in the
Environment. With --sha512 the file is checked; that is enough for an Environment
which has the same sha512, whatever its URL is.

The same can be done without this command: copy the files into assets/import in the
data directory, below folders as "wget --force-directories" makes them, or below the
last of them only: v1.13.6/vmlinuz-amd64.`,
		Example: `  # What the default Environment boots:
  sidero-appliance assets import vmlinuz-amd64 initramfs-amd64.xz

  # What an Environment downloads from http://mirror.lan/my-kernel:
  sidero-appliance assets import --url http://mirror.lan/my-kernel bzImage`,
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := p.load(cmd.Flags())
			if err != nil {
				return err
			}
			stands, err := told.addresses(config.Config, args)
			if err != nil {
				return err
			}
			return working(p.importFiles(config.Config, stands, told.sha512))
		},
	}
	cmd.Flags().StringVar(&told.url, "url", "", "the URL that the file is downloaded from otherwise; for one file")
	cmd.Flags().StringVar(&told.sha512, "sha512", "", "the SHA-512 that the file must have; for one file")
	cmd.Flags().StringVar(&told.release, "release", environment.TalosRelease, "the release that files of Talos are from")
	addSettings(cmd.Flags(), "config", "data-dir", "talos-release-url")
	return cmd
}

// imported is a file and the URL that it stands for; empty when only its digest tells.
type imported struct {
	file, url string
}

// addresses finds out which downloads files stand for.
func (i importing) addresses(config Config, files []string) ([]imported, error) {
	if len(files) == 0 {
		return nil, errors.New("name the files to import: see \"sidero-appliance assets import --help\"")
	}
	if len(files) > 1 && (i.url != "" || i.sha512 != "") {
		return nil, errors.New("--url and --sha512 are about one file: import them one by one")
	}
	if parsed, err := url.Parse(i.url); i.url != "" && (err != nil || parsed.Scheme == "" || parsed.Path == "") {
		return nil, fmt.Errorf("--url must be a URL such as http://mirror.lan/vmlinuz, not %q", i.url)
	}
	var all []imported
	for _, file := range files {
		name := filepath.Base(file)
		switch {
		case i.url != "":
			all = append(all, imported{file, i.url})
		case slices.Contains(releaseFiles(), name):
			all = append(all, imported{file, environment.ReleaseURL(config.TalosReleaseURL, i.release, name)})
		case i.sha512 != "":
			all = append(all, imported{file: file})
		default:
			return nil, fmt.Errorf("%s is not named as a file of a Talos release is (%s): say with --url which download it stands for, or with --sha512 what an Environment asks for",
				name, strings.Join(releaseFiles(), ", "))
		}
	}
	return all, nil
}

func releaseFiles() []string {
	var names []string
	for _, architecture := range []string{environment.AMD64, environment.ARM64} {
		kernel, initrd := environment.ReleaseFiles(architecture)
		names = append(names, kernel, initrd)
	}
	return names
}

func (p program) importFiles(config Config, files []imported, sha512 string) error {
	if _, err := os.Stat(config.DataDir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s: start the appliance once, or name its --data-dir", config.DataDir)
	}
	folder, err := config.openImports()
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: try again as root", err)
	}
	if err != nil {
		return err
	}
	for _, i := range files {
		placed, err := folder.Place(i.file, i.url, sha512)
		if err != nil {
			return fmt.Errorf("import %s: %w", i.file, err)
		}
		stands := "found by its digest"
		if i.url != "" {
			stands = "stands for " + i.url
		}
		fmt.Fprintf(p.stdout, "%s: %s\n  sha512 %s\n", i.file, stands, placed.SHA512)
	}
	fmt.Fprintln(p.stdout, "The appliance takes over within seconds what an Environment asks for: see \"kubectl get environments\".")
	return nil
}
