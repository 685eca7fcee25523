package installation

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

// Tool runs one of the programs that make tools builds, with the admin's kubeconfig, and returns what it printed. What it
// reads is input.
func (i *Installation) Tool(ctx context.Context, input, name string, args ...string) (string, error) {
	var out, problems bytes.Buffer

	cmd := i.Lab.Command(ctx, filepath.Join(i.root, "bin", name), args...)
	cmd.Env = i.environment()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &problems

	if err := i.Lab.Run(cmd); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(problems.String()))
	}

	return out.String(), nil
}

// Beside starts one of the programs that make tools builds in the lab, where it runs beside the appliance until it is
// stopped. What it says goes into a transcript.
func (i *Installation) Beside(name string, args ...string) (*lab.Process, *lab.Transcript, error) {
	said, err := lab.NewTranscript(filepath.Join(i.config.Dir, name+".log"))
	if err != nil {
		return nil, nil, err
	}

	return i.beside(said, filepath.Join(i.root, "bin", name), args...)
}

// BesideAsPod is Beside for a manager that is to take a Lease. It learns the Lease's namespace only from a file that it
// would find in a Pod, and so is given a /run of its own with that file.
func (i *Installation) BesideAsPod(name string, args ...string) (*lab.Process, *lab.Transcript, error) {
	const script = `mount -t tmpfs tmpfs /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount &&
printf capi-system >/run/secrets/kubernetes.io/serviceaccount/namespace && exec "$0" "$@"`

	said, err := lab.NewTranscript(filepath.Join(i.config.Dir, name+".log"))
	if err != nil {
		return nil, nil, err
	}

	return i.beside(said, "unshare", append([]string{"--mount", "sh", "-c", script, filepath.Join(i.root, "bin", name)}, args...)...)
}

func (i *Installation) beside(said *lab.Transcript, program string, args ...string) (*lab.Process, *lab.Transcript, error) {
	cmd := i.Lab.Command(context.Background(), program, args...)
	cmd.Env = i.environment()
	cmd.Stdout, cmd.Stderr = said, said

	process, err := i.Lab.Start(cmd)
	if err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", program, err)
	}

	return process, said, nil
}

// environment is that of programs that find the appliance by its kubeconfig and keep their caches with the installation.
func (i *Installation) environment() []string {
	return append(os.Environ(), "KUBECONFIG="+i.Kubeconfig(), "HOME="+i.config.Dir, "XDG_CONFIG_HOME="+i.config.Dir)
}
