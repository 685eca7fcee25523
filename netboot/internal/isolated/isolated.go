// Package isolated runs tests in a network namespace of their own, so that nothing of theirs reaches the machine's network.
package isolated

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// variable tells a test process that it is the one in the namespace.
const variable = "TEST_IN_OWN_NETWORK"

// Inside is true in a process whose network namespace was empty when it started: only there goes the test on. In the process
// that the test was started in it is false, after the test has run, and failed or not, in such a child. It needs root.
func Inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(variable) != "" {
		return true
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	child.Env = append(os.Environ(), variable+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if output, err := child.CombinedOutput(); err != nil {
		t.Errorf("in its own network namespace (needs root): %v\n%s", err, output)
	}
	return false
}
