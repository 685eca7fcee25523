package controlplane_test

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
)

// TestUpgrade upgrades Kubernetes and Talos where there is no spare server: on the machines as they are, one step after the other, also
// when the controller ends in between; and replaces machines as soon as there is a server.
func TestUpgrade(t *testing.T) {
	l := newLab(t, 3)
	running := l.begin()
	l.settled()

	names := l.names()
	l.change(func(s *v1alpha3.TalosControlPlaneSpec) { s.Version = "v1.36.0" })

	last, stopped := 0, false

	l.until("all are of the new version", func(p *v1alpha3.TalosControlPlane) bool {
		c, _ := p.Status.Conditions.Find(v1alpha3.MachinesSpecUpToDateCondition)

		step := stepOf(c.Message)
		if step != 0 && step < last {
			t.Errorf("step %d after step %d: %s", step, last, c.Message)
		}

		if last = max(last, step); last >= 5 && !stopped {
			stopped = true

			clustertest.Must(t, running.Stop())
			running = l.begin()
		}

		return p.Status.Version == "v1.36.0" && len(p.Status.Versions) == 1
	})
	l.settled()

	if got := l.names(); !slices.Equal(got, names) || !stopped {
		t.Errorf("machines are %v, were %v; seen up to step %d", got, names, last)
	}

	for _, name := range names {
		l.runs(name, "v1.36.0")
	}

	l.told("KubernetesUpgraded")
	l.talosUpgrade(names)

	// With a spare server machines are replaced, all of them: those that are given back have to be wiped before they are spare.
	spare := l.spare("spare")
	l.change(func(s *v1alpha3.TalosControlPlaneSpec) { s.Version = "v1.36.1" })
	l.until("one is replaced", func(*v1alpha3.TalosControlPlane) bool {
		stay := l.names()

		return slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(stay, n) })
	})

	before := spare.DeepCopy()
	spare.Status.IsClean = false
	spare.Status.Conditions = metal.Conditions{{
		Type: metal.ConditionPowerCycle, Status: corev1.ConditionFalse, Reason: metal.ReasonInProgress, LastTransitionTime: metav1.Now(),
	}}
	clustertest.Must(t, l.Status().Patch(t.Context(), spare, client.MergeFrom(before)))
	l.settled()

	if slices.ContainsFunc(l.names(), func(n string) bool { return slices.Contains(names, n) }) || l.talos.Bootstraps() != 1 {
		t.Errorf("machines are %v, were %v", l.names(), names)
	}

	for _, line := range l.Log.Since(0, "forbidden", "Forbidden") {
		t.Error(line)
	}
}

// talosUpgrade has the nodes run another release, each told to once.
func (l *lab) talosUpgrade(names []string) {
	l.t.Helper()

	l.annotate("controlplane.sidero.dev/talos-version", ptr.To("v1.13.7"))
	l.until("all run it", func(p *v1alpha3.TalosControlPlane) bool {
		return !slices.ContainsFunc(names, func(n string) bool {
			release, _ := l.node(n).Running()

			return release != "v1.13.7"
		}) && p.Status.Conditions.Is(v1alpha3.ReadyCondition, corev1.ConditionTrue)
	})
	l.told("TalosUpgraded")

	for _, name := range names {
		if times := l.node(name).Called("Upgrade"); times != 1 {
			l.t.Errorf("%s was told %d times", name, times)
		}
	}

	l.annotate("controlplane.sidero.dev/talos-version", nil)
}

// runs wants a node, and what is kept of its configuration, to have images of a version only.
func (l *lab) runs(name, wanted string) {
	l.t.Helper()

	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name + "-bootstrap-data", Namespace: metav1.NamespaceDefault}}
	clustertest.Must(l.t, l.Get(l.t.Context(), client.ObjectKeyFromObject(secret), secret))

	for _, configuration := range [][]byte{l.node(name).Configuration(), secret.Data["value"]} {
		if bytes.Contains(configuration, []byte(version)) || bytes.Count(configuration, []byte(wanted)) < 4 {
			l.t.Errorf("%s runs by\n%s", name, configuration)
		}
	}
}

// stepOf is the number of the step that a message tells, 0 if it tells none.
func stepOf(message string) int {
	_, after, found := strings.Cut(message, "(step ")
	if !found {
		return 0
	}

	number, _, _ := strings.Cut(after, " ")

	step, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}

	return step
}
