//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/simulated"
)

const (
	// acceptanceMachines are as many as Sidero's own acceptance suite boots.
	acceptanceMachines = 4
	// outside is where Talos's releases are served; it is inside the lab.
	outside = "172.30.0.1:8099"
)

// TestAcceptance goes through those steps of Sidero's acceptance suite that are about Environments, Servers and ServerClasses, in its order,
// and holds each to the suite's limit. The machines run the real agent; their power API fails now and then, as the suite's does.
func TestAcceptance(t *testing.T) {
	ctx, i := start(t, 10*time.Minute, acceptanceArgs()...)
	s := &acceptance{Client: admin(t, i), installation: i}
	s.prepare(ctx, t, nil)
	walk(ctx, t, []step{
		{"ServerRegistration", 5 * time.Minute, s.registration},
		{"ServerMgmtAPI", time.Minute, s.managementAPI},
		{"ServerPatch", time.Minute, s.patch},
		{"ServerValidation", time.Minute, s.validation},
		{"ServerAcceptance", time.Minute, s.dummiesAccepted},
		{"ServerCordoned", 90 * time.Second, s.cordoned},
		{"ServerResetOnAcceptance", 5 * time.Minute, s.resetOnAcceptance},
		{"ServersReady", time.Minute, s.ready},
		{"ServersDiscoveredIPs", time.Minute, s.addresses},
		{"EnvironmentDefault", time.Minute, s.environmentDefault},
		{"EnvironmentCreate", 5 * time.Minute, s.environmentCreate},
		{"ServerClassAny", 10 * time.Second, s.classAny},
		{"ServerClassCreate", 2 * time.Minute, s.classCreate},
	})
}

func acceptanceArgs(more ...string) []string {
	return append([]string{
		"--talos-release-url", "http://" + outside + "/talos", "--server-reboot-timeout", "30s", "--test-power-simulated-explicit-failure-prob", "0.1",
	}, more...)
}

// step is a part of a test that the next ones build on, with its limit.
type step struct {
	name  string
	limit time.Duration
	run   func(context.Context, *testing.T)
}

// walk goes through steps until one fails.
func walk(ctx context.Context, t *testing.T, steps []step) {
	t.Helper()

	for _, step := range steps {
		passed := t.Run(step.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ctx, step.limit)
			defer cancel()

			began := time.Now()

			step.run(ctx, t)
			t.Logf("%s after %s", step.name, time.Since(began).Round(time.Second))
		})
		if !passed {
			t.Fatal("the next steps build on this one")
		}
	}
}

// acceptance is what the steps work with.
type acceptance struct {
	client.Client

	installation *installation.Installation
	machines     []*simulated.Machine
}

// prepare makes the machines, each with a power API, and serves files as Talos's releases, each of which holds its own path.
func (s *acceptance) prepare(ctx context.Context, t *testing.T, system simulated.System) {
	t.Helper()

	serveReleases(ctx, t, s.installation)

	for n := range acceptanceMachines {
		made, err := simulated.New(simulated.Config{
			Number: n, Place: s.installation.Lab, Appliance: installation.Endpoint, Disk: filepath.Join(t.TempDir(), "disk"), NoBMC: true,
			System: system,
		})
		m := must(t, made, err)
		s.machines = append(s.machines, m)
		serve(ctx, t, s.installation, &http.Server{Addr: powerAPI(n), Handler: switches(m)})

		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// powerAPI is where a machine's power API is.
func powerAPI(n int) string { return fmt.Sprintf("172.30.0.1:%d", 8100+n) }

// switches is the API by which Sidero switches virtual machines.
func switches(m *simulated.Machine) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"PoweredOn": %v}`, m.Powered()) })
	mux.HandleFunc("POST /pxeboot", func(http.ResponseWriter, *http.Request) { m.FromNetwork() })
	mux.HandleFunc("POST /poweron", func(http.ResponseWriter, *http.Request) { m.Press(true) })
	mux.HandleFunc("POST /poweroff", func(http.ResponseWriter, *http.Request) { m.Press(false) })
	mux.HandleFunc("POST /reboot", func(http.ResponseWriter, *http.Request) {
		m.Press(false)
		m.Press(true)
	})

	return mux
}

// names are the machines' UUIDs, sorted.
func (s *acceptance) names() (names []string) {
	for _, m := range s.machines {
		names = append(names, m.Name)
	}

	slices.Sort(names)

	return names
}

// change applies a merge patch to an object.
func (s *acceptance) change(ctx context.Context, t *testing.T, object client.Object, patch string) {
	t.Helper()

	if err := s.Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatalf("patch %s: %v", object.GetName(), err)
	}
}

// servers waits until each of the servers holds what is asked.
func (s *acceptance) servers(ctx context.Context, t *testing.T, what string, holds func(*v1alpha2.Server) bool) {
	t.Helper()

	eventually(ctx, t, func() error {
		var list v1alpha2.ServerList
		if err := s.List(ctx, &list); err != nil {
			return err
		}

		for n := range list.Items {
			if !holds(&list.Items[n]) {
				return fmt.Errorf("server %s is not %s: %+v", list.Items[n].Name, what, list.Items[n].Status)
			}
		}

		return nil
	})
}

// members waits until these servers, in any order, are what a class has available.
func (s *acceptance) members(ctx context.Context, t *testing.T, class string, want []string) {
	t.Helper()

	eventually(ctx, t, func() error {
		var c v1alpha2.ServerClass
		if err := s.Get(ctx, client.ObjectKey{Name: class}, &c); err != nil {
			return err
		}

		got := append(slices.Clone(c.Status.ServersAvailable), c.Status.ServersInUse...)
		slices.Sort(got)

		if !slices.Equal(got, want) {
			return fmt.Errorf("class %s holds %q, want %q", class, got, want)
		}

		return nil
	})
}

func (s *acceptance) registration(ctx context.Context, t *testing.T) {
	for _, m := range s.machines {
		m.Press(true)
	}

	eventually(ctx, t, func() error {
		var list v1alpha2.ServerList
		if err := s.List(ctx, &list); err != nil {
			return err
		}

		var got []string
		for n := range list.Items {
			got = append(got, list.Items[n].Name)
		}

		if slices.Sort(got); !slices.Equal(got, s.names()) {
			return fmt.Errorf("registered are %q, want %q", got, s.names())
		}

		return nil
	})
}

func (s *acceptance) managementAPI(ctx context.Context, t *testing.T) {
	for n, m := range s.machines {
		s.change(ctx, t, named(m.Name), fmt.Sprintf(`{"spec":{"managementApi":{"endpoint":%q}}}`, powerAPI(n)))
	}
}

func (s *acceptance) patch(ctx context.Context, t *testing.T) {
	const patch = `{"machine":{"install":{"disk":"/dev/vda"},"registries":{"mirrors":{"docker.example":{"endpoints":["http://172.30.0.1:5000"]}}}}}`

	for _, name := range s.names() {
		s.change(ctx, t, named(name), fmt.Sprintf(`{"spec":{"strategicPatches":[%q]}}`, patch))

		if got := server(ctx, t, s, name).Spec.StrategicPatches; len(got) != 1 || got[0] != patch {
			t.Errorf("the patches are %q", got)
		}
	}
}

func (s *acceptance) validation(ctx context.Context, t *testing.T) {
	for text, spec := range map[string]string{
		`Invalid value: "error"`:   `{"configPatches":[{"op":"error","path":"/machine/install","value":{"extraKernelArgs":["foo"]}}]}`,
		`Invalid value: "explode"`: `{"bootFromDiskMethod":"explode"}`,
	} {
		err := s.Patch(ctx, named(s.names()[0]), client.RawPatch(types.MergePatchType, []byte(`{"spec":`+spec+`}`)))
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %s", spec, err, text)
		}
	}
}

const dummies = 3

// dummyNames are servers behind which there is no machine.
func dummyNames() (names []string) {
	for n := range dummies {
		names = append(names, fmt.Sprintf("dummyserver-%d", n))
	}

	return names
}

// createDummies makes servers that are clean, of a CPU of their own.
func (s *acceptance) createDummies(ctx context.Context, t *testing.T) {
	t.Helper()

	for _, name := range dummyNames() {
		s.createDummy(ctx, t, name)
	}
}

const dummyCPU = "DummyCPU"

func (s *acceptance) createDummy(ctx context.Context, t *testing.T, name string) {
	t.Helper()

	dummy := &v1alpha2.Server{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"dummy-server": ""}},
		Spec: v1alpha2.ServerSpec{Hardware: &v1alpha2.HardwareInformation{
			Compute: &v1alpha2.ComputeInformation{Processors: []*v1alpha2.Processor{{Manufacturer: dummyCPU}}},
		}},
	}
	if err := s.Create(ctx, dummy); err != nil {
		t.Fatal(err)
	}

	before := dummy.DeepCopy()
	dummy.Status.IsClean = true

	if err := s.Status().Patch(ctx, dummy, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func (s *acceptance) deleteDummies(ctx context.Context, t *testing.T) {
	t.Helper()

	for _, name := range dummyNames() {
		if err := s.Delete(ctx, named(name)); err != nil {
			t.Error(err)
		}
	}

	eventually(ctx, t, func() error {
		var list v1alpha2.ServerList
		if err := s.List(ctx, &list, client.HasLabels{"dummy-server"}); err != nil || len(list.Items) != 0 {
			return errors.Join(err, fmt.Errorf("%d dummies are left", len(list.Items)))
		}

		return nil
	})
}

func (s *acceptance) acceptDummies(ctx context.Context, t *testing.T) {
	t.Helper()

	for _, name := range dummyNames() {
		if server(ctx, t, s, name).Spec.Accepted {
			t.Errorf("%s is accepted although nobody did", name)
		}

		s.change(ctx, t, named(name), `{"spec":{"accepted":true}}`)

		if !server(ctx, t, s, name).Spec.Accepted {
			t.Errorf("%s is not accepted", name)
		}
	}
}

func (s *acceptance) dummiesAccepted(ctx context.Context, t *testing.T) {
	s.createDummies(ctx, t)
	s.acceptDummies(ctx, t)
	s.deleteDummies(ctx, t)
}

func (s *acceptance) cordoned(ctx context.Context, t *testing.T) {
	s.createDummies(ctx, t)
	s.acceptDummies(ctx, t)
	s.members(ctx, t, v1alpha2.ServerClassAny, dummyNames())
	s.change(ctx, t, named(dummyNames()[0]), `{"spec":{"cordoned":true}}`)
	s.members(ctx, t, v1alpha2.ServerClassAny, dummyNames()[1:])
	s.change(ctx, t, named(dummyNames()[0]), `{"spec":{"cordoned":false}}`)
	s.members(ctx, t, v1alpha2.ServerClassAny, dummyNames())
	s.deleteDummies(ctx, t)
}

func (s *acceptance) resetOnAcceptance(ctx context.Context, t *testing.T) {
	for _, name := range s.names() {
		s.change(ctx, t, named(name), `{"spec":{"accepted":true}}`)
	}

	s.servers(ctx, t, "clean", func(server *v1alpha2.Server) bool { return server.Status.IsClean })

	for _, m := range s.machines {
		if blank, err := m.Blank(); err != nil || !blank {
			t.Errorf("the disk of %s is not blank: %v", m.Name, err)
		}
	}
}

func (s *acceptance) ready(ctx context.Context, t *testing.T) {
	s.servers(ctx, t, "ready", func(server *v1alpha2.Server) bool { return server.Status.Ready })
}

func (s *acceptance) addresses(ctx context.Context, t *testing.T) {
	s.servers(ctx, t, "reachable by an InternalIP", func(server *v1alpha2.Server) bool {
		for _, address := range server.Status.Addresses {
			if address.Type == "InternalIP" {
				return true
			}
		}

		return false
	})
}

// environmentReady waits until an Environment is there, not the one with this UID, and ready.
func (s *acceptance) environmentReady(ctx context.Context, t *testing.T, name string, gone types.UID) *v1alpha2.Environment {
	t.Helper()

	e := &v1alpha2.Environment{}

	eventually(ctx, t, func() error {
		*e = v1alpha2.Environment{}
		if err := s.Get(ctx, client.ObjectKey{Name: name}, e); err != nil {
			return err
		}

		if e.UID == gone || !e.Ready() {
			return fmt.Errorf("environment %s is not ready: %+v", name, e.Status)
		}

		return nil
	})

	return e
}

func (s *acceptance) environmentDefault(ctx context.Context, t *testing.T) {
	first := s.environmentReady(ctx, t, v1alpha2.EnvironmentDefault, "")

	if err := s.Delete(ctx, first); err != nil {
		t.Fatal(err)
	}

	s.environmentReady(ctx, t, v1alpha2.EnvironmentDefault, first.UID)
}

func (s *acceptance) environmentCreate(ctx context.Context, t *testing.T) {
	e := &v1alpha2.Environment{ObjectMeta: metav1.ObjectMeta{Name: "sfyra"}}
	e.Spec.Kernel.URL = "http://" + outside + "/talos/sfyra/vmlinuz"
	e.Spec.Kernel.Args = []string{"console=ttyS0", "talos.platform=metal"}
	e.Spec.Initrd.URL = "http://" + outside + "/talos/sfyra/initramfs.xz"

	if err := s.Create(ctx, e); err != nil {
		t.Fatal(err)
	}

	s.environmentReady(ctx, t, "sfyra", "")
}

func (s *acceptance) classAny(ctx context.Context, t *testing.T) {
	s.members(ctx, t, v1alpha2.ServerClassAny, s.names())

	class := &v1alpha2.ServerClass{}
	if err := s.Get(ctx, client.ObjectKey{Name: v1alpha2.ServerClassAny}, class); err != nil {
		t.Fatal(err)
	}

	if len(class.Spec.Qualifiers.Hardware) != 0 || len(class.Spec.Qualifiers.LabelSelectors) != 0 {
		t.Errorf("class any has qualifiers: %+v", class.Spec.Qualifiers)
	}

	if err := s.Delete(ctx, class); err != nil {
		t.Fatal(err)
	}

	s.members(ctx, t, v1alpha2.ServerClassAny, s.names())
}

func (s *acceptance) classCreate(ctx context.Context, t *testing.T) {
	for _, name := range []string{"default", "sfyra"} {
		class := &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
		class.Spec.EnvironmentRef = &corev1.ObjectReference{Kind: "Environment", Name: "sfyra"}
		class.Spec.Qualifiers.Hardware = []v1alpha2.HardwareInformation{{System: &v1alpha2.SystemInformation{Manufacturer: "Simulated"}}}

		if err := s.Create(ctx, class); err != nil {
			t.Fatal(err)
		}

		s.members(ctx, t, name, s.names())
	}
}

func named(name string) *v1alpha2.Server {
	return &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: name}}
}
