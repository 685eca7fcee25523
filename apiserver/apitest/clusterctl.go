package apitest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clusterctlEndsWithin bounds a command. It is generous: clusterctl tries for a minute what is refused.
const clusterctlEndsWithin = 3 * time.Minute

// Clusterctl runs clusterctl as the plane's administrator. A command that asks the internet for something fails the test.
type Clusterctl struct {
	// Config is the path of the configuration file, if there is one.
	Config string
	// Environment are further variables, NAME=VALUE.
	Environment []string

	path, kubeconfig, home, proxy string
}

// Clusterctl finds the program of the version that fits, which "make tools" builds.
func (p *Plane) Clusterctl(t testing.TB) Clusterctl {
	t.Helper()

	path := filepath.Join(Root(t), "bin", "clusterctl")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("clusterctl is missing (%v): run make tools", err)
	}

	return Clusterctl{path: path, kubeconfig: p.Kubeconfig, home: t.TempDir(), proxy: noInternet(t)}
}

// Do runs a command that must succeed and returns what it wrote.
func (c Clusterctl) Do(t testing.TB, args ...string) string {
	t.Helper()

	out, err := c.Try(t, args...)
	if err != nil {
		t.Fatalf("clusterctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}

	return out
}

// Try runs a command and returns what it wrote to its standard output, and what to its standard error after that.
func (c Clusterctl) Try(t testing.TB, args ...string) (string, error) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), clusterctlEndsWithin)
	defer cancel()

	var out, complaints strings.Builder

	command := c.Command(ctx, args...)
	command.Stdout, command.Stderr = &out, &complaints
	err := command.Run()

	return out.String() + complaints.String(), err
}

// Command is a command for the test to run; it is killed when ctx ends.
func (c Clusterctl) Command(ctx context.Context, args ...string) *exec.Cmd {
	if c.Config != "" {
		args = append([]string{"--config", c.Config}, args...)
	}

	command := exec.CommandContext(ctx, c.path, args...)
	command.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + c.home, "KUBECONFIG=" + c.kubeconfig, "HTTP_PROXY=" + c.proxy, "HTTPS_PROXY=" + c.proxy,
	}, c.Environment...)

	return command
}

// noInternet is a proxy that fails the test when it is asked for anything. What is on the machine itself is reached
// without a proxy.
func noInternet(t testing.TB) string {
	t.Helper()

	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("clusterctl asks the internet: %s %s", r.Method, r.Host)
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)

	return proxy.URL
}
