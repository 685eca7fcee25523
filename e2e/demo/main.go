// Command demo shows the product: it starts the appliance in a lab, switches three blank machines on, one for each kind
// of firmware, tells what happens, and ends with the servers that turned up. In a terminal it leaves everything running
// and opens a shell in the lab.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

const (
	limit = 10 * time.Minute

	registered = `sidero-agent: registered server=\S+`
)

func main() {
	dir := flag.String("dir", "", "folder for logs and data, which stays (default: a new one in /tmp, removed if all goes well)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	if err := demo(ctx, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func demo(ctx context.Context, dir string) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "sidero-demo-"); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}

		defer func() { err = tidy(dir, err) }()
	}

	say("appliance", "starting in a lab of its own: a network without a way out. Logs are in %s", dir)

	show, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	i, err := installation.New(show, installation.Config{Dir: dir})
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, i.Close()) }()

	go tell(show, "appliance", i.Log, noteworthy)
	say("appliance", "ready; switching three blank machines on")

	if err := boot(show, i); err != nil {
		return err
	}

	fmt.Print("\n$ kubectl get servers -o wide\n")

	table, err := i.Kubectl(show, "get", "servers", "-o", "wide")
	fmt.Print(table)

	if err != nil || !term.IsTerminal(int(os.Stdin.Fd())) {
		return err
	}

	return shell(ctx, i)
}

// tidy removes the demo's own folder, unless somebody may want to read there what went wrong.
func tidy(dir string, failed error) error {
	if failed != nil {
		return fmt.Errorf("%w (the logs are in %s)", failed, dir)
	}

	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove folder: %w", err)
	}

	return nil
}

// noteworthy are those lines of the appliance's log that tell of machines.
var noteworthy = regexp.MustCompile(`mac=|remote=`)

// agentLines are those lines of a machine's console that tell its story in short.
var agentLines = regexp.MustCompile(`iPXE 1\.|sidero-agent: |Linux version`)

// boot switches the machines on and returns when all have registered.
func boot(ctx context.Context, i *installation.Installation) error {
	machines, ctx := errgroup.WithContext(ctx)

	for _, machine := range lab.Presets() {
		machines.Go(func() error {
			vm, err := i.Lab.PowerOn(ctx, machine)
			if err != nil {
				return err
			}

			go tell(ctx, machine.Name, vm.Console, agentLines)

			if _, err := vm.WaitConsole(ctx, registered); err != nil {
				return fmt.Errorf("machine %s did not register: %w", machine.Name, err)
			}

			say(machine.Name, "registered %.1f s after power-on", vm.Elapsed().Seconds())

			return nil
		})
	}

	return machines.Wait()
}

// tell repeats what a transcript says, line by line.
func tell(ctx context.Context, who string, transcript *lab.Transcript, which *regexp.Regexp) {
	for line := range transcript.Lines(ctx) {
		if which.MatchString(line.Text) {
			say(who, "%.160s", line.Text)
		}
	}
}

func say(who, format string, args ...any) {
	fmt.Printf("%-10s %s\n", who, fmt.Sprintf(format, args...))
}

// shell lets a person type kubectl in the lab.
func shell(ctx context.Context, i *installation.Installation) error {
	fmt.Print("\nThe appliance and the machines go on running. This shell is in the lab: try kubectl. Leave it to end the demo.\n")

	cmd := i.Lab.Command(ctx, "bash", "--norc")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "KUBECONFIG="+i.Kubeconfig(), "PS1=lab# ")

	if bin, err := filepath.Abs("bin"); err == nil {
		cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
	}

	var exit *exec.ExitError
	if err := i.Lab.Run(cmd); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("run shell: %w", err)
	}

	return nil
}
