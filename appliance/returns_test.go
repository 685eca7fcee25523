package appliance

import (
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/boottoken"
	"github.com/sidero-appliance/sidero-appliance/metadata"
	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
)

const (
	wipedServer                 = "4c4c4544-0042-3510-8051-b4c04f564432"
	firstAdapter, secondAdapter = "00:25:90:00:00:0a", "00:25:90:00:00:0b"
)

// wiped is a machine in use that is installed, as far as is known, and the window in which it may fetch its configuration.
type wiped struct {
	server  *v1alpha2.Server
	binding *v1alpha3.ServerBinding
}

func newWiped(generation int64, by v1alpha3.BootWindowOpener, openedAt time.Time) wiped {
	w := wiped{&v1alpha2.Server{}, &v1alpha3.ServerBinding{}}
	w.server.Name, w.binding.Name, w.binding.UID = wipedServer, wipedServer, "uid-1"
	w.server.Status.Identity = &v1alpha2.MachineIdentity{MACs: []string{firstAdapter, secondAdapter}, BootMAC: firstAdapter, ToldAt: metav1.NewTime(openedAt.Add(-time.Hour))}
	w.server.Status.Conditions = v1alpha2.Conditions{{Type: v1alpha2.ConditionPXEBooted, Status: corev1.ConditionTrue}}
	w.binding.Status.BootWindow = &v1alpha3.BootWindow{Generation: generation, OpenedBy: by, OpenedAt: metav1.NewMicroTime(openedAt)}
	return w
}

// TestReturns: a machine that comes back from its disk boots from the network while a person lets it have its configuration again, and
// at no other time.
func TestReturns(t *testing.T) {
	begun := time.Now()
	known := &returns{}
	for _, step := range []struct {
		name       string
		generation int64
		by         v1alpha3.BootWindowOpener
		after      time.Duration
		mac        string
		edit       func(wiped)
		want       bool
	}{
		{name: "nobody has opened it", generation: 3, by: v1alpha3.OpenedByPower, mac: firstAdapter},
		{name: "nobody has opened it, again", generation: 3, by: v1alpha3.OpenedByPower, after: diskWithin, mac: firstAdapter},
		{name: "a person has", generation: 4, after: 5 * time.Minute, mac: firstAdapter},
		{name: "its script asks again", generation: 4, after: 5*time.Minute + time.Second, mac: firstAdapter},
		{name: "the firmware tries another adapter", generation: 4, after: 6 * time.Minute, mac: secondAdapter},
		{name: "the firmware tries HTTP", generation: 4, after: 6*time.Minute + 30*time.Second, mac: firstAdapter},
		{name: "it comes back", generation: 4, after: 10 * time.Minute, mac: firstAdapter, want: true},
		{name: "and asks again", generation: 4, after: 10*time.Minute + time.Second, mac: firstAdapter, want: true},
		{name: "the firmware tries another adapter again", generation: 4, after: 10*time.Minute + 30*time.Second, mac: secondAdapter},
		{name: "another machine's", generation: 4, after: 11 * time.Minute, mac: firstAdapter, edit: func(w wiped) { w.binding.UID = "uid-2" }},
		{name: "another window", generation: 5, after: 11 * time.Minute, mac: firstAdapter},
		{name: "back in that", generation: 5, after: 16 * time.Minute, mac: firstAdapter, want: true},
		{name: "it has fetched its configuration", generation: 5, after: 16 * time.Minute, mac: firstAdapter, edit: func(w wiped) {
			w.server.Status.Boots = []v1alpha2.Boot{{Steps: []v1alpha2.BootStep{{Step: v1alpha2.StepConfig, Time: metav1.NewTime(begun.Add(15 * time.Minute))}}}}
		}},
		{name: "that was forgotten", generation: 5, after: 17 * time.Minute, mac: firstAdapter},
		{name: "back again", generation: 5, after: 22 * time.Minute, mac: firstAdapter, want: true},
		{name: "its configuration is loaded", generation: 5, after: 22 * time.Minute, mac: firstAdapter, edit: func(w wiped) {
			w.binding.Status.ConfigurationLoadedAt = new(metav1.NewMicroTime(begun.Add(12 * time.Minute)))
		}},
		{name: "that was forgotten as well", generation: 5, after: 23 * time.Minute, mac: firstAdapter},
		{name: "too late", generation: 5, after: time.Hour, mac: firstAdapter},
		{name: "started in its window", generation: 5, after: 13 * time.Minute, mac: firstAdapter, want: true, edit: func(w wiped) {
			w.server.Status.StartedAt = new(metav1.NewMicroTime(begun.Add(12 * time.Minute)))
		}},
		{name: "started before its window", generation: 5, after: 13 * time.Minute, mac: secondAdapter, edit: func(w wiped) {
			w.server.Status.StartedAt = new(metav1.NewMicroTime(begun.Add(-time.Minute)))
		}},
	} {
		by := step.by
		if by == "" {
			by = v1alpha3.OpenedByPerson
		}
		w := newWiped(step.generation, by, begun)
		if step.edit != nil {
			step.edit(w)
		}
		if got := known.anew(w.binding, w.server, step.mac, begun.Add(step.after)); got != step.want {
			t.Errorf("%s: anew %t, want %t", step.name, got, step.want)
		}
	}
}

// TestReturnsOfAllocations: only machines that start from their disk are asked about.
func TestReturnsOfAllocations(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(wiped)
		want bool
	}{
		"started anew":                     {func(wiped) {}, true},
		"nothing is installed":             {func(w wiped) { w.server.Status.Conditions = nil }, false},
		"it boots from the network always": {func(w wiped) { w.server.Spec.PXEBootAlways = true }, false},
	} {
		w := newWiped(2, v1alpha3.OpenedByPerson, time.Now().Add(-time.Minute))
		w.server.Status.StartedAt = new(metav1.NowMicro())
		test.edit(w)
		a := allocations{machines{cacheOf(t, nil, w.server, w.binding)}, metadata.AccessToken, boottoken.NewKey(), &returns{}}
		got, err := a.Server(t.Context(), bootplan.Request{UUID: wipedServer, MAC: firstAdapter})
		if err != nil || got.Allocation == nil || got.Allocation.Anew != test.want {
			t.Errorf("%s: %+v, %v, want anew %t", name, got.Allocation, err, test.want)
		}
	}
}

// TestReturnsAreFew: who asks with addresses of its own making takes no more memory than a machine with many adapters.
func TestReturnsAreFew(t *testing.T) {
	known := &returns{}
	for i := range 1000 {
		known.again("s", strconv.Itoa(i), personsWindow{"uid", 1}, time.Now())
	}
	if got := len(known.sent["s"].first); got != maxAdapters {
		t.Errorf("%d addresses are remembered, want %d", got, maxAdapters)
	}
}
