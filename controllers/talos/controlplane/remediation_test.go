package controlplane_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	infrastructurev1 "github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	rights "github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
)

// TestRemediation has unhealthy machines replaced: handed over by the MachineHealthCheck itself, and by a MetalRemediation whose power
// cycle did not help. It is refused as long as etcd would be lost, and nobody who is healthy again is replaced.
func TestRemediation(t *testing.T) {
	l := newLab(t, 3)
	l.begin()
	l.Begin(infrastructure.New(provider.Config{
		Client: l.Plane.Client(t, rights.Infrastructure), Identity: "test", Logger: logr.FromSlogHandler(l.Logger().Handler()), Log: l.Logger(),
	}))
	l.settled()

	// Without a remediationTemplate, while another member is off.
	off, ill := l.machines()[0], l.machines()[1]
	l.node(off.Name).SwitchOff()
	l.judge(&ill, metav1.ConditionFalse)
	l.owe(&ill)
	l.until("it refuses", func(p *v1alpha3.TalosControlPlane) bool {
		c, _ := p.Status.Conditions.Find(v1alpha3.MachinesHealthyCondition)

		return c.Status == corev1.ConditionFalse && c.Reason == v1alpha3.ReasonRemediationRefused && strings.Contains(c.Message, ill.Name)
	})
	l.told(v1alpha3.ReasonRemediationRefused)

	if names := l.names(); !slices.Contains(names, ill.Name) {
		t.Fatalf("there are %v by now", names)
	}

	l.node(off.Name).SwitchOn(t)
	l.Goes(&ill)
	l.settled()

	// By a MetalRemediation.
	ill = l.machines()[0]
	server := l.serve(&ill)
	l.judge(&ill, metav1.ConditionFalse)
	l.remediate(&ill, server)
	l.Goes(&ill)
	l.settled()

	// Handed over, and healthy meanwhile.
	well := l.machines()[0]
	l.judge(&well, metav1.ConditionTrue)
	l.owe(&well)
	l.change(func(s *v1alpha3.TalosControlPlaneSpec) { s.Replicas = new(int64(5)) })
	l.settled()

	if names := l.names(); !slices.Contains(names, well.Name) || l.talos.Bootstraps() != 1 {
		t.Errorf("there are %v by now, and %d etcd clusters were begun", names, l.talos.Bootstraps())
	}

	for _, line := range l.Log.Since(0, "forbidden", "Forbidden") {
		t.Error(line)
	}
}

// judge is what a MachineHealthCheck says of a machine.
func (l *lab) judge(m *clusterv1.Machine, healthy metav1.ConditionStatus) {
	l.t.Helper()
	l.condition(m, metav1.Condition{Type: clusterv1.MachineHealthCheckSucceededCondition, Status: healthy, Reason: "Judged"})
}

// owe leaves a machine to its owner, as a MachineHealthCheck without a template does.
func (l *lab) owe(m *clusterv1.Machine) {
	l.t.Helper()
	l.condition(m, metav1.Condition{
		Type: clusterv1.MachineOwnerRemediatedCondition, Status: metav1.ConditionFalse,
		Reason: clusterv1.MachineOwnerRemediatedWaitingForRemediationReason, Message: "Waiting for remediation",
	})
}

func (l *lab) condition(m *clusterv1.Machine, c metav1.Condition) {
	l.t.Helper()

	before := m.DeepCopy()
	conditions.Set(m, c)
	clustertest.Must(l.t, l.Status().Patch(l.t.Context(), m, client.MergeFrom(before)))
}

// serve gives a machine a server.
func (l *lab) serve(m *clusterv1.Machine) *metal.Server {
	l.t.Helper()

	server := l.spare("of-" + m.Name)
	was := server.DeepCopy()
	server.Spec.ManagementAPI = &metal.ManagementAPI{Endpoint: "127.0.0.1:1"} // so its power can be asked for
	clustertest.Must(l.t, l.Patch(l.t.Context(), server, client.MergeFrom(was)))

	own := &infrastructurev1.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: m.Spec.InfrastructureRef.Name, Namespace: m.Namespace}}
	clustertest.Must(l.t, l.Get(l.t.Context(), client.ObjectKeyFromObject(own), own))

	before := own.DeepCopy()
	own.Spec.ServerRef = &corev1.ObjectReference{Kind: "Server", Name: server.Name}
	clustertest.Must(l.t, l.Patch(l.t.Context(), own, client.MergeFrom(before)))

	binding := &infrastructurev1.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: server.Name}}
	binding.Spec.MetalMachineRef = corev1.ObjectReference{Kind: "MetalMachine", Namespace: own.Namespace, Name: own.Name, UID: own.UID}
	clustertest.Must(l.t, l.Create(l.t.Context(), binding))

	return server
}

// remediate makes the remediation that a MachineHealthCheck makes of a template, and cycles the server's power as the controller of
// servers does.
func (l *lab) remediate(m *clusterv1.Machine, server *metal.Server) {
	l.t.Helper()

	r := &infrastructurev1.MetalRemediation{ObjectMeta: metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace,
		OwnerReferences: []metav1.OwnerReference{{APIVersion: clusterv1.GroupVersion.String(), Kind: "Machine", Name: m.Name, UID: m.UID}},
	}}
	r.Spec.Strategy = infrastructurev1.RemediationStrategy{RetryLimit: new(int64(1)), Timeout: &metav1.Duration{Duration: time.Second}}
	clustertest.Must(l.t, l.Create(l.t.Context(), r))

	clustertest.Until(l.API, server, "its power is asked for", func(s *metal.Server) bool {
		return s.Annotations[metal.PowerRequestAnnotation] == "cycle"
	})

	before := server.DeepCopy()
	delete(server.Annotations, metal.PowerRequestAnnotation)
	clustertest.Must(l.t, l.Patch(l.t.Context(), server, client.MergeFrom(before)))
}

// told waits for an Event about the control plane.
func (l *lab) told(reason string) {
	l.t.Helper()

	l.until("an Event tells "+reason, func(*v1alpha3.TalosControlPlane) bool {
		all := &corev1.EventList{}
		clustertest.Must(l.t, l.List(l.t.Context(), all))

		return slices.ContainsFunc(all.Items, func(e corev1.Event) bool { return e.Reason == reason && e.InvolvedObject.Name == l.plane.Name })
	})
}
