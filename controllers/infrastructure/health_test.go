//go:build e2e

package infrastructure_test

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	rights "github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
)

// ward is a cluster of three servers, whose machines are simulated, and whose workers' health Cluster API's own reconcilers check.
type ward struct {
	*api

	nodes   *workload
	running *apitest.Running // the controllers of the infrastructure

	mu   sync.Mutex
	off  map[string]bool // servers without power
	dead map[string]bool // servers that no power cycle helps
	asks map[string]int  // how often a power cycle of a server was asked for
}

func newWard(t *testing.T) *ward {
	t.Helper()

	w := &ward{api: start(t), nodes: newWorkload(), off: map[string]bool{}, dead: map[string]bool{}, asks: map[string]int{}}

	served := httptest.NewServer(w.nodes)
	t.Cleanup(func() {
		served.CloseClientConnections()
		served.Close()
	})

	w.cluster = w.Cluster("c", false)
	clustertest.Must(t, w.Create(t.Context(), &v1alpha3.MetalCluster{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: metav1.NamespaceDefault}}))
	w.kubeconfig("c", served.URL)
	w.class()

	w.running = w.begin()
	w.Begin(clusterapi.New(provider.Config{
		Client: w.Plane.Client(t, rights.ClusterAPIControllers), Identity: "test", Logger: logr.FromSlogHandler(w.Logger().Handler()), Log: w.Logger(),
	}))

	go w.simulate(t.Context())

	for _, name := range []string{"a", "b", "c"} {
		w.controlled(name)
	}

	return w
}

// simulate has each server in use run as a node that is as healthy as its machine, and power cycles done that are asked for.
func (w *ward) simulate(ctx context.Context) {
	//nolint:errcheck // it ends with the test
	_ = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		servers, bindings := &metal.ServerList{}, &v1alpha3.ServerBindingList{}
		if w.List(ctx, servers) != nil || w.List(ctx, bindings) != nil {
			return false, nil
		}

		for i := range servers.Items {
			w.cycle(ctx, &servers.Items[i])
		}

		for i := range bindings.Items {
			w.use(ctx, bindings.Items[i].Name)
			w.run(bindings.Items[i].Name)
		}

		return false, nil
	})
}

// cycle does what the controller of servers does for a request.
func (w *ward) cycle(ctx context.Context, s *metal.Server) {
	if s.Annotations[metal.PowerRequestAnnotation] != "cycle" {
		return
	}

	before := s.DeepCopy()
	delete(s.Annotations, metal.PowerRequestAnnotation)

	if w.Patch(ctx, s, client.MergeFrom(before)) != nil {
		return
	}

	w.mu.Lock()
	defer w.mu.Unlock()

	w.asks[s.Name]++
	w.off[s.Name] = w.dead[s.Name]
}

// use makes a server one that has to be wiped before anybody else has it, as the controller of servers does.
func (w *ward) use(ctx context.Context, name string) {
	s := &metal.Server{}
	if w.Get(ctx, client.ObjectKey{Name: name}, s) != nil || !s.Status.IsClean {
		return
	}

	before := s.DeepCopy()
	s.Status.IsClean = false
	//nolint:errcheck // it is tried again
	_ = w.Status().Patch(ctx, s, client.MergeFrom(before))
}

// run has the machine of a server be a Node.
func (w *ward) run(server string) {
	w.mu.Lock()
	off := w.off[server]
	w.mu.Unlock()

	want := corev1.ConditionTrue
	if off {
		want = corev1.ConditionUnknown
	}

	node := w.nodes.node("node-" + server)
	if node == nil {
		node = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + server, Labels: map[string]string{"metal.sidero.dev/uuid": server}}}
	}

	if len(node.Status.Conditions) > 0 && node.Status.Conditions[0].Status == want {
		return
	}

	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: want, LastTransitionTime: metav1.Now()}}
	w.nodes.set(node)
}

// powerOff takes the power of a server, for good when it is broken.
func (w *ward) powerOff(server string, broken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.off[server], w.dead[server] = true, broken
}

func (w *ward) asked(server string) int {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.asks[server]
}

// undisturbed has a machine deleted without its node being drained: there is nothing on it.
func undisturbed() map[string]string {
	return map[string]string{clusterv1.ExcludeNodeDrainingAnnotation: "", clusterv1.ExcludeWaitForNodeVolumeDetachAnnotation: ""}
}

// controlPlane makes a machine with whose Node the control plane is up.
func (w *ward) controlPlane() {
	w.t.Helper()

	first := w.machine("control-plane")
	before := first.DeepCopy()
	first.Labels[clusterv1.MachineControlPlaneLabel] = ""
	clustertest.Must(w.t, w.Patch(w.t.Context(), first, client.MergeFrom(before)))
	w.metalMachine(first)
	clustertest.Until(w.API, w.cluster, "its control plane is up", func(c *clusterv1.Cluster) bool {
		return conditions.IsTrue(c, clusterv1.ClusterControlPlaneInitializedCondition)
	})
}

// helpsWithin is how long a power cycle may take to help: longer than the 15 seconds that a MachineHealthCheck lets pass between two looks.
const helpsWithin = 20 * time.Second

// workers makes a MachineSet of one, and has its health checked: a power cycle comes first, then another machine.
func (w *ward) workers() {
	w.t.Helper()

	pool := map[string]string{"pool": "workers"}
	key := metav1.ObjectMeta{Name: "workers", Namespace: metav1.NamespaceDefault}

	template := &v1alpha3.MetalMachineTemplate{ObjectMeta: key}
	template.Spec.Template.Spec.ServerClassRef = &corev1.ObjectReference{Name: "all"}

	remedy := &v1alpha3.MetalRemediationTemplate{ObjectMeta: key}
	remedy.Spec.Template.Spec.Strategy.Timeout = &metav1.Duration{Duration: helpsWithin}

	set := &clusterv1.MachineSet{ObjectMeta: key}
	set.Spec.ClusterName, set.Spec.Replicas, set.Spec.Selector.MatchLabels = "c", ptr.To[int32](1), pool
	set.Spec.Template.Labels, set.Spec.Template.Annotations = pool, undisturbed()
	set.Spec.Template.Spec.ClusterName, set.Spec.Template.Spec.Bootstrap.DataSecretName = "c", ptr.To("data")
	set.Spec.Template.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{
		APIGroup: v1alpha3.GroupName, Kind: "MetalMachineTemplate", Name: "workers",
	}

	check := &clusterv1.MachineHealthCheck{ObjectMeta: key}
	check.Spec.ClusterName, check.Spec.Selector.MatchLabels = "c", pool
	check.Spec.Checks.UnhealthyNodeConditions = []clusterv1.UnhealthyNodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionUnknown, TimeoutSeconds: ptr.To[int32](1),
	}}
	check.Spec.Remediation.TemplateRef = clusterv1.MachineHealthCheckRemediationTemplateReference{
		APIVersion: v1alpha3.GroupVersion.String(), Kind: "MetalRemediationTemplate", Name: "workers",
	}

	for _, object := range []client.Object{template, remedy, set, check} {
		clustertest.Must(w.t, w.Create(w.t.Context(), object))
	}
}

// worker waits for the one that runs as a Node and is not the one before.
func (w *ward) worker(before *clusterv1.Machine) *clusterv1.Machine {
	w.t.Helper()

	var found *clusterv1.Machine

	err := wait.PollUntilContextTimeout(w.t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		all := &clusterv1.MachineList{}
		if err := w.List(ctx, all, client.MatchingLabels{"pool": "workers"}); err != nil {
			return false, err
		}

		for i := range all.Items {
			if m := &all.Items[i]; (before == nil || m.UID != before.UID) && m.Status.Phase == string(clusterv1.MachinePhaseRunning) {
				found = m
			}
		}

		return found != nil, nil
	})
	if err != nil {
		w.t.Fatalf("no worker runs: %v", err)
	}

	return found
}

func (w *ward) serverOf(m *clusterv1.Machine) string {
	w.t.Helper()

	machine := &v1alpha3.MetalMachine{}
	clustertest.Must(w.t, w.Get(w.t.Context(), client.ObjectKey{Namespace: m.Namespace, Name: m.Spec.InfrastructureRef.Name}, machine))

	return machine.Spec.ServerRef.Name
}

// TestPoweredOff has a worker remediated that was powered off, from Cluster API's MachineHealthCheck to the power of its server: it is power-cycled and
// stays; and when that does not help it is replaced.
func TestPoweredOff(t *testing.T) {
	w := newWard(t)

	w.controlPlane()
	w.workers()
	worker := w.worker(nil)
	server := w.serverOf(worker)
	remedy := &v1alpha3.MetalRemediation{ObjectMeta: metav1.ObjectMeta{Name: worker.Name, Namespace: worker.Namespace}}

	w.powerOff(server, false)
	clustertest.Until(w.API, remedy, "it is begun", func(r *v1alpha3.MetalRemediation) bool {
		return len(r.OwnerReferences) == 1 && r.OwnerReferences[0].UID == worker.UID && r.Status.RetryCount == 1
	})
	w.Goes(remedy) // by the MachineHealthCheck, which finds the machine healthy
	clustertest.Until(w.API, worker, "it is healthy", func(m *clusterv1.Machine) bool {
		return conditions.IsTrue(m, clusterv1.MachineHealthCheckSucceededCondition)
	})

	if asked := w.asked(server); asked != 1 || !worker.DeletionTimestamp.IsZero() {
		t.Errorf("%d power cycles were asked for; the machine: %+v", asked, worker)
	}

	w.powerOff(server, true)

	replaced := w.worker(worker)
	w.Goes(worker)

	if asked := w.asked(server); asked != 2 {
		t.Errorf("%d power cycles were asked for", asked)
	}

	if now := w.serverOf(replaced); now == server {
		t.Errorf("the machine that replaces it has the same server %s", now)
	}

	left := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: server}}
	w.Goes(left)
	w.event("Machine", worker.Name, "is replaced: it is not healthy after 1 of 1 power cycles that were asked for")

	for _, line := range w.Log.Since(0, "forbidden", "Forbidden") {
		t.Error(line)
	}
}

// TestInfrastructureDeleted takes the infrastructure from under a live Machine: the MachineHealthCheck has it replaced.
func TestInfrastructureDeleted(t *testing.T) {
	w := newWard(t)

	w.controlPlane()
	w.workers()

	worker := w.worker(nil)
	server := w.serverOf(worker)
	machine := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: worker.Spec.InfrastructureRef.Name, Namespace: worker.Namespace}}
	clustertest.Must(t, w.Delete(t.Context(), machine))
	w.Goes(machine)
	clustertest.Until(w.API, worker, "it tells what it lacks", func(m *clusterv1.Machine) bool {
		return conditions.IsFalse(m, clusterv1.MachineInfrastructureReadyCondition)
	})

	w.powerOff(server, true) // it is wiped

	node := w.nodes.node("node-" + server)
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, LastTransitionTime: metav1.Now()}}
	w.nodes.set(node)

	w.worker(worker)
	w.Goes(worker)
	w.event("Machine", worker.Name, "is replaced: its MetalMachine is gone")
}

// TestDeletedHalfWay stops the controllers while a cluster is deleted, has some of its objects gone when they begin again, and wants all servers back.
func TestDeletedHalfWay(t *testing.T) {
	w := newWard(t)
	w.controlPlane()
	w.workers()

	worker := w.worker(nil)
	machine := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: worker.Spec.InfrastructureRef.Name, Namespace: worker.Namespace}}
	clustertest.Must(t, w.running.Stop())
	clustertest.Must(t, w.Delete(t.Context(), w.cluster))
	clustertest.Until(w.API, machine, "it is being deleted", func(m *v1alpha3.MetalMachine) bool { return !m.DeletionTimestamp.IsZero() })

	if len(w.bindings()) != 2 {
		t.Errorf("bindings: %+v", w.bindings())
	}

	// Somebody helps, as people do.
	class := &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
	clustertest.Must(t, w.Delete(t.Context(), class))
	w.finalizers(worker)

	w.running = w.begin()
	w.Goes(machine)
	w.Goes(w.cluster)
	w.noBindings()

	left := &v1alpha3.MetalMachineList{}
	clustertest.Must(t, w.List(t.Context(), left))

	if len(left.Items) > 0 {
		t.Errorf("machines are left: %+v", left.Items)
	}
}
