package apitest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kubectlEndsWithin bounds a command. It is generous: the first one asks for all of OpenAPI.
const kubectlEndsWithin = time.Minute

// kubectlDumpsWithin bounds how long a command that did not end may take to tell what it was doing.
const kubectlDumpsWithin = 5 * time.Second

// Kubectl runs kubectl as the plane's administrator.
type Kubectl struct {
	// Input is what the command reads from its standard input.
	Input string
	// Environment are further variables, NAME=VALUE.
	Environment []string

	path, kubeconfig, cache string
}

// Kubectl finds the program of the version that fits, which "make tools" builds.
func (p *Plane) Kubectl(t testing.TB) Kubectl {
	t.Helper()

	path := filepath.Join(Root(t), "bin", "kubectl")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("kubectl is missing (%v): run make tools", err)
	}

	return Kubectl{path: path, kubeconfig: p.Kubeconfig, cache: t.TempDir()}
}

// Root is the repository's folder.
func Root(t testing.TB) string {
	t.Helper()

	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}

	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}

		if dir == filepath.Dir(dir) {
			t.Fatal(fmt.Errorf("find go.mod above the test: %w", fs.ErrNotExist))
		}

		dir = filepath.Dir(dir)
	}
}

// With is kubectl with something to read.
func (k Kubectl) With(input string) Kubectl {
	k.Input = input

	return k
}

// Do runs a command that must succeed and returns what it wrote.
func (k Kubectl) Do(t testing.TB, args ...string) string {
	t.Helper()

	out, err := k.Try(t, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}

	return out
}

// Try runs a command and returns what it wrote to its standard output and standard error.
func (k Kubectl) Try(t testing.TB, args ...string) (string, error) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), kubectlEndsWithin)
	defer cancel()

	command := k.Command(ctx, args...)
	// It shows on its standard error what it waits for, and ends.
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGQUIT) }
	command.WaitDelay = kubectlDumpsWithin

	out, err := command.CombinedOutput()

	return string(out), err
}

// Command is a command for the test to run; it is killed when ctx ends.
func (k Kubectl) Command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, k.path, append([]string{"--kubeconfig", k.kubeconfig, "--cache-dir", k.cache}, args...)...)
	command.Env = append(os.Environ(), k.Environment...)
	command.Stdin = strings.NewReader(k.Input)

	return command
}
