package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sidero-appliance/sidero-appliance/apiserver/encryption"
	"github.com/sidero-appliance/sidero-appliance/appliance/logging"
	"github.com/sidero-appliance/sidero-appliance/storage"
)

func (p program) rotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate-encryption-key",
		Short: "Change the key that Secrets are encrypted with",
		Long: `Change the key that Secrets are encrypted with in the database of the appliance
that runs on this machine. A new key is made; the appliance takes it up, which lasts
up to a minute; every Secret is written again; then the old key is removed. Nothing
stops meanwhile. If it is cut short, nothing is lost: run it again, and it goes on.

Backups made before need the key that they were made with: keep
<data-dir>/pki/encryption.yaml with them.`,
		Example: `  sidero-appliance rotate-encryption-key`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := p.load(cmd.Flags())
			if err != nil {
				return err
			}
			return working(p.rotate(cmd.Context(), config.Config))
		},
	}
	addPlaceFlags(cmd.Flags())
	return cmd
}

func (p program) rotate(ctx context.Context, c Config) error {
	unix.Umask(0o077)
	data, err := readKubeconfig(c.KubeconfigPath())
	if err != nil {
		return err
	}
	client, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		return fmt.Errorf("read kubeconfig %s: %w", c.KubeconfigPath(), err)
	}
	client.QPS = -1 // the API server's priority and fairness does it better
	database, err := storage.New(storage.Config{Dir: filepath.Join(c.DataDir, "etcd"), Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	result, err := encryption.Rotation{
		File:     filepath.Join(c.DataDir, "pki", "encryption.yaml"),
		Client:   client,
		Database: database.Endpoint().Servers,
		Logger:   logging.New(logging.Config{Writer: p.stderr, Level: slog.LevelInfo}),
	}.Run(ctx)
	if err != nil {
		return explainRotation(err)
	}
	how := "changed"
	if result.Resumed {
		how = "changed: the rotation that was begun before is finished"
	}
	_, err = fmt.Fprintf(p.stdout, "The encryption key is %s. All Secrets are encrypted with %s; %d were written again.\n",
		how, result.Key, result.Rewritten)
	return err
}

// explainRotation adds to an error what to do about it.
func explainRotation(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("the appliance does not answer: start it with \"sidero-appliance run\" and try again: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: try again as root", err)
	}
	return err
}
