//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	controlplanev1 "github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
)

// management is the cluster of most steps, in the suite's class.
func management() shape { return newShape(1, "management-cluster", "sfyra", 1, 1) }

// TestClustersAcceptance goes through the other steps of Sidero's acceptance suite, those that are about clusters, in its order and within
// its limits. What the machines boot as Talos is e2e/talosnode's hall.
func TestClustersAcceptance(t *testing.T) {
	ctx, i := start(t, 25*time.Minute, acceptanceArgs("--metadata-access=open")...)
	s := &acceptance{Client: admin(t, i), installation: i}
	talos := nodesBeside(ctx, t, i)
	talos.reports = true

	s.prepare(ctx, t, talos.boot)

	began := time.Now()

	walk(ctx, t, []step{
		{"ServerRegistration", 5 * time.Minute, s.registration},
		{"ServerMgmtAPI", time.Minute, s.managementAPI},
		{"ServerPatch", time.Minute, s.patch},
		{"ServerResetOnAcceptance", 5 * time.Minute, s.resetOnAcceptance},
		{"EnvironmentCreate", 5 * time.Minute, s.environmentCreate},
		{"ServerClassCreate", 2 * time.Minute, s.classCreate},
		{"ServerClassPatch", 5 * time.Minute, s.classPatch},
		{"ServerPXEBoot", 13 * time.Minute, s.pxeBoot},
		{"ManagementCluster", 15 * time.Minute, s.managementCluster},
		{"MatchServersMetalMachines", time.Minute, s.machinesMatchServers},
		{"ScaleWorkersUp", 15 * time.Minute, s.scaleWorkers(3)},
		{"ScaleWorkersDown", 15 * time.Minute, s.scaleWorkers(1)},
		{"ScaleControlPlaneUp", 15 * time.Minute, s.scaleControlPlane(3)},
		{"ScaleControlPlaneDown", 15 * time.Minute, s.scaleControlPlane(1)},
		{"ScaleControlPlaneUpDownNoWait", 15 * time.Minute, s.scaleUpDown},
		{"MachineDeploymentReconcile", 11 * time.Minute, s.workersDeleted},
		{"MetalMachineServerRefReconcile", time.Minute, s.serverRefRestored},
		{"ServerReset", 5 * time.Minute, s.serverReset},
		{"WorkloadCluster", 13 * time.Minute, s.workloadCluster},
	})

	t.Logf("all steps within %s", time.Since(began).Round(time.Second))
}

// apply makes a cluster.
func (s *acceptance) apply(ctx context.Context, t *testing.T, of shape) {
	t.Helper()

	said, err := s.installation.Tool(ctx, of.manifest(t), "kubectl", "apply", "-f", "-")
	must(t, said, err)
}

func (s *acceptance) untilReady(ctx context.Context, t *testing.T, of shape) {
	t.Helper()

	began := time.Now()

	eventually(ctx, t, func() error { return complete(ctx, s.installation, s, of) })
	t.Logf("cluster %s is ready after %s", of.name, time.Since(began).Round(time.Second))
}

// remove deletes a cluster, and waits until nothing of it is left.
func (s *acceptance) remove(ctx context.Context, t *testing.T, name string) {
	t.Helper()

	began := time.Now()
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name}}

	if err := s.Delete(ctx, cluster); err != nil {
		t.Fatal(err)
	}

	eventually(ctx, t, func() error {
		if err := s.Get(ctx, client.ObjectKeyFromObject(cluster), cluster); !apierrors.IsNotFound(err) {
			return fmt.Errorf("cluster %s is there: %+v, %w", name, cluster.Status.Conditions, errors.Join(err, errNotYet))
		}

		return nil
	})
	t.Logf("cluster %s is deleted after %s", name, time.Since(began).Round(time.Second))
}

const dummy = "dummyserver-0"

// classPatch: what a class says of machine configurations is in those that are given out. The cluster's versions are as old as the suite's.
func (s *acceptance) classPatch(ctx context.Context, t *testing.T) {
	s.createDummy(ctx, t, dummy)
	s.change(ctx, t, named(dummy), `{"spec":{"accepted":true}}`)

	class := &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "dummies"}}
	class.Spec.Qualifiers.Hardware = []v1alpha2.HardwareInformation{{
		Compute: &v1alpha2.ComputeInformation{Processors: []*v1alpha2.Processor{{Manufacturer: dummyCPU}}},
	}}

	if err := s.Create(ctx, class); err != nil {
		t.Fatal(err)
	}

	s.change(ctx, t, class, `{"spec":{"configPatches":[{"op":"replace","path":"/machine/install","value":{"disk":"/dev/vda","extraKernelArgs":["woot"]}}]}}`)

	of := newShape(2, "patched", class.Name, 1, 0)
	of.talos, of.kubernetes = "v0.9", "v1.20.4"
	s.apply(ctx, t, of)

	eventually(ctx, t, func() error {
		status, text, err := s.configuration(ctx, dummy)
		if err != nil || status != http.StatusOK || !strings.Contains(text, "- woot") {
			return errors.Join(err, fmt.Errorf("configuration of %s: status %d, %q", dummy, status, text))
		}

		return nil
	})

	const keeps = 10 * time.Second

	if err := s.Delete(ctx, named(dummy)); err != nil {
		t.Fatal(err)
	}

	<-time.After(keeps)

	if kept := server(ctx, t, s, dummy); kept.DeletionTimestamp == nil || len(kept.Finalizers) == 0 {
		t.Errorf("a server in use that is deleted has finalizers %q", kept.Finalizers)
	}

	// There is no machine that could be wiped, and whoever accepts a server asks for that.
	s.change(ctx, t, named(dummy), `{"spec":{"accepted":false}}`)
	s.remove(ctx, t, of.name)
	s.deleted(ctx, t, named(dummy))
	s.deleted(ctx, t, class)
}

// deleted deletes an object if somebody has not done that, and waits until it is gone.
func (s *acceptance) deleted(ctx context.Context, t *testing.T, object client.Object) {
	t.Helper()

	if err := client.IgnoreNotFound(s.Delete(ctx, object)); err != nil {
		t.Fatal(err)
	}

	eventually(ctx, t, func() error {
		if err := s.Get(ctx, client.ObjectKeyFromObject(object), object); !apierrors.IsNotFound(err) {
			return fmt.Errorf("%s is there: %w", object.GetName(), errors.Join(err, errNotYet))
		}

		return nil
	})
}

// configuration is what a server's machine would get.
func (s *acceptance) configuration(ctx context.Context, name string) (int, string, error) {
	return ask(ctx, s.installation.Lab.Node, "http://"+installation.Endpoint+"/configdata?uuid="+name)
}

// pxeBoot: a machine whose configuration Talos cannot load tells so, and goes on booting from the network until it can.
func (s *acceptance) pxeBoot(ctx context.Context, t *testing.T) {
	class := &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "pxe"}}
	class.Spec.EnvironmentRef = &corev1.ObjectReference{Kind: "Environment", Name: "sfyra"}
	class.Spec.StrategicPatches = []string{`{"machine":{"nodeLabels":{"not a label!":"x"}}}`}

	if err := s.Create(ctx, class); err != nil {
		t.Fatal(err)
	}

	of := newShape(3, "pxe", class.Name, 1, 0)
	s.apply(ctx, t, of)

	func() {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
		defer cancel()

		eventually(ctx, t, func() error {
			var machines v1alpha3.MetalMachineList
			if err := s.List(ctx, &machines); err != nil {
				return err
			}

			for _, m := range machines.Items {
				for _, c := range m.Status.Conditions {
					if c.Type == v1alpha3.ConditionTalosConfigLoaded && c.Status == corev1.ConditionFalse && c.Severity == v1alpha2.SeverityError {
						return nil
					}
				}
			}

			return fmt.Errorf("no MetalMachine tells that its configuration cannot be loaded: %+v", machines.Items)
		})
	}()

	s.change(ctx, t, class, `{"spec":{"strategicPatches":null}}`)
	s.untilReady(ctx, t, of)
	s.remove(ctx, t, of.name)
	s.deleted(ctx, t, class)
}

func (s *acceptance) managementCluster(ctx context.Context, t *testing.T) {
	s.apply(ctx, t, management())
	s.untilReady(ctx, t, management())
}

func (s *acceptance) machinesMatchServers(ctx context.Context, t *testing.T) {
	eventually(ctx, t, func() error {
		var (
			machines clusterv1.MachineList
			servers  v1alpha2.ServerList
		)

		if err := errors.Join(s.List(ctx, &machines), s.List(ctx, &servers)); err != nil {
			return err
		}

		used := 0

		for n := range servers.Items {
			if servers.Items[n].Status.InUse {
				used++
			}
		}

		if used != len(machines.Items) || used == 0 {
			return fmt.Errorf("there are %d machines, and %d servers are in use", len(machines.Items), used)
		}

		return nil
	})
}

// setReplicas changes a number of machines.
func (s *acceptance) setReplicas(ctx context.Context, t *testing.T, object client.Object, name string, to int) {
	t.Helper()

	object.SetNamespace(metav1.NamespaceDefault)
	object.SetName(management().name + name)
	s.change(ctx, t, object, fmt.Sprintf(`{"spec":{"replicas":%d}}`, to))
}

func (s *acceptance) scaleWorkers(to int) func(context.Context, *testing.T) {
	return func(ctx context.Context, t *testing.T) {
		s.setReplicas(ctx, t, &clusterv1.MachineDeployment{}, "-workers", to)

		of := management()
		of.workers = to
		s.untilReady(ctx, t, of)
	}
}

func (s *acceptance) scaleControlPlane(to int) func(context.Context, *testing.T) {
	return func(ctx context.Context, t *testing.T) {
		s.setReplicas(ctx, t, &controlplanev1.TalosControlPlane{}, "-cp", to)

		of := management()
		of.controls = to
		s.untilReady(ctx, t, of)
	}
}

// scaleUpDown changes its mind before it has what it asked for.
func (s *acceptance) scaleUpDown(ctx context.Context, t *testing.T) {
	plane := &controlplanev1.TalosControlPlane{}
	s.setReplicas(ctx, t, plane, "-cp", 3)

	eventually(ctx, t, func() error {
		if err := s.Get(ctx, client.ObjectKeyFromObject(plane), plane); err != nil || plane.Status.Replicas < 2 {
			return errors.Join(err, errNotYet)
		}

		return nil
	})

	s.scaleControlPlane(1)(ctx, t)
}

// workers are the Machines of the management cluster's workers.
func (s *acceptance) workers(ctx context.Context, t *testing.T) []clusterv1.Machine {
	t.Helper()

	var list clusterv1.MachineList
	if err := s.List(ctx, &list, client.MatchingLabels{clusterv1.MachineDeploymentNameLabel: management().name + "-workers"}); err != nil {
		t.Fatal(err)
	}

	return list.Items
}

func (s *acceptance) workersDeleted(ctx context.Context, t *testing.T) {
	for _, m := range s.workers(ctx, t) {
		if err := s.Delete(ctx, &m); err != nil {
			t.Fatal(err)
		}
	}

	deployment := &clusterv1.MachineDeployment{}
	key := client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: management().name + "-workers"}

	func() {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()

		eventually(ctx, t, func() error {
			if err := s.Get(ctx, key, deployment); err != nil {
				return err
			}

			if ready := deployment.Status.ReadyReplicas; ready == nil || *ready >= 1 {
				return errNotYet
			}

			return nil
		})
	}()

	s.untilReady(ctx, t, management())
}

func (s *acceptance) serverRefRestored(ctx context.Context, t *testing.T) {
	var bindings v1alpha3.ServerBindingList
	if err := s.List(ctx, &bindings); err != nil {
		t.Fatal(err)
	}

	if len(bindings.Items) == 0 {
		t.Error("no machine has a server")
	}

	for _, b := range bindings.Items {
		machine := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Namespace: b.Spec.MetalMachineRef.Namespace, Name: b.Spec.MetalMachineRef.Name}}
		s.change(ctx, t, machine, `{"spec":{"serverRef":null}}`)

		eventually(ctx, t, func() error {
			if err := s.Get(ctx, client.ObjectKeyFromObject(machine), machine); err != nil {
				return err
			}

			if ref := machine.Spec.ServerRef; ref == nil || ref.Name != b.Name {
				return fmt.Errorf("serverRef of %s is %+v, want %s", machine.Name, ref, b.Name)
			}

			return nil
		})
	}
}

// serverReset: what workers were is wiped.
func (s *acceptance) serverReset(ctx context.Context, t *testing.T) {
	var used []string
	for _, m := range s.workers(ctx, t) {
		used = append(used, strings.TrimPrefix(m.Spec.ProviderID, "sidero://"))
	}

	s.setReplicas(ctx, t, &clusterv1.MachineDeployment{}, "-workers", 0)

	for _, name := range used {
		eventually(ctx, t, func() error {
			if is := server(ctx, t, s, name).Status; is.InUse || !is.IsClean {
				return fmt.Errorf("server %s is in use: %t, clean: %t", name, is.InUse, is.IsClean)
			}

			return nil
		})
	}

	if len(used) == 0 {
		t.Error("there was no worker")
	}
}

func (s *acceptance) workloadCluster(ctx context.Context, t *testing.T) {
	of := newShape(4, "workload-cluster", "default", 1, 0)
	s.apply(ctx, t, of)
	s.untilReady(ctx, t, of)
	s.remove(ctx, t, of.name)
}
