package apiserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
)

const (
	// planeDirectory is the environment variable that turns the test binary into a control plane on that directory.
	planeDirectory = "SIDERO_TEST_PLANE_DIRECTORY"
	planeReady     = "ready"

	kills     = 5
	writers   = 8
	lifetimes = 1500 * time.Millisecond
)

// servePlane runs a control plane until standard input ends. It tells standard output when it is ready.
func servePlane(dir string) error {
	plane, err := apitest.New(dir)
	if err != nil {
		return err
	}

	for _, c := range []apitest.Component{plane.Etcd, plane.Server} {
		running, err := apitest.Begin(c)
		if err != nil {
			return err
		}

		defer running.Stop()
	}

	fmt.Println(planeReady)

	_, err = io.Copy(io.Discard, os.Stdin)

	return err
}

// TestKillLosesNothing kills control planes under load, each on the data of the one before, and looks for every write
// that was acknowledged.
func TestKillLosesNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	written := map[string]bool{}

	t.Logf("seed %d", seed)

	for life := range kills {
		c, kill := startProcess(t, dir)
		missing(t, c, written, life)

		time.AfterFunc(time.Duration(random.Int64N(int64(lifetimes))), kill)

		for _, name := range writeUntilFailure(c, life) {
			written[name] = true
		}
	}

	c, kill := startProcess(t, dir)
	missing(t, c, written, kills)
	kill()

	if len(written) < kills {
		t.Errorf("only %d writes were acknowledged: nothing is proven", len(written))
	}

	t.Logf("%d acknowledged writes", len(written))
}

// startProcess runs a control plane in a process of its own and returns its client and what kills it with SIGKILL.
func startProcess(t *testing.T, dir string) (c client.Client, kill func()) {
	t.Helper()

	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), planeDirectory+"="+dir)
	command.Stderr = os.Stderr

	_, err := command.StdinPipe() // its end, with this process, ends the other
	must(t, err)

	out, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())

	kill = sync.OnceFunc(func() {
		command.Process.Kill()
		command.Wait()
	})
	t.Cleanup(kill)

	if line, err := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(line) != planeReady {
		t.Fatalf("the control plane did not start: %q, %v", line, err)
	}

	config, err := apitest.Config(filepath.Join(dir, "admin.kubeconfig"))
	must(t, err)

	scheme := runtime.NewScheme()
	must(t, v1alpha2.AddToScheme(scheme))

	c, err = client.New(config, client.Options{Scheme: scheme})
	must(t, err)

	return c, kill
}

// writeUntilFailure creates servers, many at a time, until the server is gone, and returns those acknowledged.
func writeUntilFailure(c client.Client, life int) []string {
	var (
		writing      sync.WaitGroup
		mu           sync.Mutex
		acknowledged []string
	)

	for writer := range writers {
		writing.Go(func() {
			for i := 0; ; i++ {
				s := server(fmt.Sprintf("life-%d-writer-%d-%d", life, writer, i))
				if c.Create(context.Background(), s) != nil {
					return
				}

				mu.Lock()
				acknowledged = append(acknowledged, s.Name)
				mu.Unlock()
			}
		})
	}

	writing.Wait()

	return acknowledged
}

// missing reports what was acknowledged and is not there.
func missing(t *testing.T, c client.Client, written map[string]bool, life int) {
	t.Helper()

	list := &v1alpha2.ServerList{}
	must(t, c.List(t.Context(), list))

	found := map[string]bool{}
	for _, s := range list.Items {
		found[s.Name] = true
	}

	for name := range written {
		if !found[name] {
			t.Errorf("life %d: %s was acknowledged and is lost", life, name)
		}
	}
}
