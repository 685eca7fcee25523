// Package installation runs the real program in a lab, as a person would on a spare machine, and reaches its API.
//
// What the program says is in transcripts; what it keeps is in a directory that outlives it, so that it can be killed and
// started again.
package installation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

const startsWithin = 2 * time.Minute

// Config says what to run.
type Config struct {
	// Dir receives the data directory, the lab's files and the logs.
	Dir string
	// Args are further arguments of the run command.
	Args []string
	// LAN is further configuration of the LAN's DHCP server, see lab.Config.
	LAN string
}

// Installation is an appliance in a lab of its own.
type Installation struct {
	Lab *lab.Lab
	// Process is the running appliance, Log what it logs, Output what it prints.
	Process *lab.Process
	Log     *lab.Transcript
	Output  *lab.Transcript
	// DataDir is the appliance's data directory.
	DataDir string

	root   string
	config Config
	starts int
}

// New builds a lab and starts an appliance in it; it returns when the appliance is ready.
func New(ctx context.Context, config Config) (*Installation, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}

	for _, program := range []struct{ path, target string }{{"bin/sidero-appliance", "build"}, {"bin/kubectl", "tools"}} {
		if _, err := os.Stat(filepath.Join(root, program.path)); err != nil {
			return nil, fmt.Errorf("find %s: %w; run \"make %s\" first", program.path, err, program.target)
		}
	}

	l, err := lab.New(ctx, lab.Config{Dir: filepath.Join(config.Dir, "lab"), LAN: config.LAN})
	if err != nil {
		return nil, err
	}

	i := &Installation{Lab: l, DataDir: filepath.Join(config.Dir, "data"), root: root, config: config}
	if err := i.Start(ctx); err != nil {
		return nil, errors.Join(err, i.Close())
	}

	return i, nil
}

// repository is the folder of go.mod, at or above the current one.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find repository: %w", err)
	}

	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}

		if dir == filepath.Dir(dir) {
			return "", errors.New("find repository: no go.mod at or above the current directory")
		}
	}
}

// Start starts the appliance, on the data of the one before if there was one, and returns when it is ready.
func (i *Installation) Start(ctx context.Context) error {
	if err := i.Launch(); err != nil {
		return err
	}

	return i.WaitReady(ctx)
}

// Launch starts the appliance and does not wait for it.
func (i *Installation) Launch() error {
	i.starts++

	var err error
	if i.Log, err = i.transcript("log"); err != nil {
		return err
	}

	if i.Output, err = i.transcript("output"); err != nil {
		return err
	}

	cmd := i.Command(context.Background(), i.DataDir, i.config.Args...)
	cmd.Stdout, cmd.Stderr = i.Output, i.Log

	if i.Process, err = i.Lab.Start(cmd); err != nil {
		return fmt.Errorf("start appliance: %w", err)
	}

	return nil
}

// Command is the appliance's run command on a data directory, for the lab's Start and Run.
func (i *Installation) Command(ctx context.Context, dataDir string, args ...string) *exec.Cmd {
	args = append([]string{
		"run", "--data-dir", dataDir, "--interface", lab.Interface, "--talos-release-url", "http://" + lab.LANAddress + "/talos",
	}, args...)

	return i.Lab.Command(ctx, i.Program(), args...)
}

// Program is the path of the appliance.
func (i *Installation) Program() string { return filepath.Join(i.root, "bin/sidero-appliance") }

// WaitReady returns when the launched appliance is ready, or why it will not be.
func (i *Installation) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startsWithin)
	defer cancel()

	go func() { // an appliance that ends will not say that it is ready
		select {
		case <-i.Process.Done():
			cancel()
		case <-ctx.Done():
		}
	}()

	if _, err := i.Output.Wait(ctx, "sidero-appliance is ready"); err != nil {
		return fmt.Errorf("wait for the appliance, see %s: %w", i.Log.Path(), err)
	}

	return nil
}

func (i *Installation) transcript(name string) (*lab.Transcript, error) {
	return lab.NewTranscript(filepath.Join(i.config.Dir, fmt.Sprintf("appliance-%d.%s", i.starts, name)))
}

// Kubectl runs kubectl as the admin and returns what it printed.
func (i *Installation) Kubectl(ctx context.Context, args ...string) (string, error) {
	return i.Tool(ctx, "", "kubectl", args...)
}

// Kubeconfig is the path of the admin's kubeconfig.
func (i *Installation) Kubeconfig() string { return filepath.Join(i.DataDir, "admin.kubeconfig") }

// Admin is the admin's client configuration, for use from outside the lab.
func (i *Installation) Admin() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", i.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}

	config.Dial = i.Lab.Dial

	return config, nil
}

// Close stops the appliance and takes the lab down.
func (i *Installation) Close() error {
	var stopped error
	if i.Process != nil {
		stopped = i.Process.Stop()
	}

	return errors.Join(stopped, i.Lab.Close())
}
