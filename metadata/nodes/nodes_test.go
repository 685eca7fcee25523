package nodes_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/metadata/events"
	"github.com/sidero-appliance/sidero-appliance/metadata/logs"
	"github.com/sidero-appliance/sidero-appliance/metadata/nodes"
	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink"
)

// indexer lets nodes.Index describe its indices to a fake client.
type indexer struct{ *fake.ClientBuilder }

func (i indexer) IndexField(_ context.Context, o client.Object, field string, value client.IndexerFunc) error {
	i.WithIndex(o, field, value)

	return nil
}

func api(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha3.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha3.ServerBinding{}).WithObjects(objects...)
	if err := nodes.Index(t.Context(), indexer{builder}); err != nil {
		t.Fatal(err)
	}
	return builder.Build()
}

func binding(name string, end siderolink.Peer) *v1alpha3.ServerBinding {
	b := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid", Labels: map[string]string{"cluster.x-k8s.io/cluster-name": "c"}}}
	b.Spec.MetalMachineRef = corev1.ObjectReference{Namespace: "ns", Name: "mm"}
	if end != (siderolink.Peer{}) {
		b.Spec.SideroLink = v1alpha3.SideroLink{NodeAddress: end.Address.String(), NodePublicKey: end.Key.String()}
	}
	return b
}

func end(t *testing.T, address string) siderolink.Peer {
	t.Helper()
	key, err := siderolink.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return siderolink.Peer{Address: netip.MustParsePrefix(address), Key: key.Public()}
}

// The identity is made once, and is that of a Secret that was moved here.
func TestIdentity(t *testing.T) {
	c := api(t)
	first, err := nodes.Identity(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := nodes.Identity(t.Context(), c)
	if err != nil || again.Installation != first.Installation || again.Key.Text() != first.Key.Text() {
		t.Errorf("another identity, or %v", err)
	}
	secret := &corev1.Secret{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "siderolink"}, secret); err != nil {
		t.Fatal(err)
	}
	if _, moves := secret.Labels["clusterctl.cluster.x-k8s.io/move"]; !moves {
		t.Error("clusterctl would not move it")
	}
	for _, key := range []string{"broken", ""} {
		secret.Data["private-key"] = []byte(key)
		if key == "" {
			delete(secret.Data, "private-key")
		}
		if err := c.Update(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		if _, err := nodes.Identity(t.Context(), c); err == nil || !strings.Contains(err.Error(), "default/siderolink") || strings.Contains(err.Error(), first.Installation) {
			t.Errorf("with the key %q: %v", key, err)
		}
	}
}

func TestEnds(t *testing.T) {
	other := end(t, "fd00::2/64")
	c := api(t, binding("a", siderolink.Peer{}), binding("b", other))
	ends := nodes.Ends{Objects: c, Client: c}

	for _, uuid := range []string{"", "none", "../x", "A b", strings.Repeat("x", 300)} {
		if _, err := ends.Peer(t.Context(), uuid); !errors.Is(err, siderolink.ErrNotAllocated) {
			t.Errorf("%q: %v", uuid, err)
		}
	}

	now := end(t, "fd00::3/64")
	if err := ends.Keep(t.Context(), "A", siderolink.Peer{}, now); err != nil {
		t.Fatal(err)
	}
	if got, err := ends.Peer(t.Context(), "a"); err != nil || got != now {
		t.Errorf("kept is %v, %v", got, err)
	}
	if err := ends.Keep(t.Context(), "a", siderolink.Peer{}, end(t, "fd00::4/64")); !errors.Is(err, siderolink.ErrTaken) {
		t.Errorf("in place of what it no longer is: %v", err)
	}
	if err := ends.Keep(t.Context(), "a", now, end(t, "fd00::2/64")); !errors.Is(err, siderolink.ErrTaken) {
		t.Errorf("with another's address: %v", err)
	}
	if err := ends.Keep(t.Context(), "a", now, siderolink.Peer{Address: now.Address, Key: other.Key}); !errors.Is(err, siderolink.ErrKeyInUse) {
		t.Errorf("with another's key: %v", err)
	}
}

// Each address and each key is one machine's, whoever has written the bindings.
func TestAllEnds(t *testing.T) {
	first, second := end(t, "fd00::2/64"), end(t, "fd00::3/64")
	broken := binding("broken", siderolink.Peer{})
	broken.Spec.SideroLink = v1alpha3.SideroLink{NodeAddress: "fd00::9", NodePublicKey: "x"}
	c := api(t, binding("b", first), binding("a", second), binding("none", siderolink.Peer{}), broken,
		binding("c-same-address", end(t, "fd00::2/64")), binding("d-same-key", siderolink.Peer{Address: netip.MustParsePrefix("fd00::5/64"), Key: second.Key}))
	all, err := nodes.Ends{Objects: c, Client: c}.All(t.Context())
	if err != nil || len(all) != 2 || !slices.Contains(all, first) || !slices.Contains(all, second) {
		t.Errorf("%v, %v", all, err)
	}
}

func reports(c client.Client, configuration string) (*nodes.Reports, *[]string) {
	var saw []string
	return &nodes.Reports{
		Objects: c, Client: c, Now: func() time.Time { return time.Unix(100, 0) }, Saw: func(_, does string) { saw = append(saw, does) },
		Unattended: nodes.NewUnattended(func(context.Context, *v1alpha3.ServerBinding) ([]byte, error) {
			if configuration == "" {
				return nil, errors.New("cannot be made")
			}
			return []byte(configuration), nil
		}, slog.New(slog.DiscardHandler)),
	}, &saw
}

func TestAt(t *testing.T) {
	one, both := end(t, "fd00::2/64"), end(t, "fd00::3/64")
	c := api(t, binding("a", one), binding("b", both), binding("c", both))
	for configuration, unattended := range map[string]bool{
		"": false, "version: v1alpha1\n": false, "version: v1alpha1\n---\napiVersion: v1alpha1\nkind: UnattendedInstallConfig\n": true,
	} {
		r, _ := reports(c, configuration)
		machine, err := r.At(t.Context(), one.Address.Addr())
		if err != nil || machine.Server != "a" || machine.Facts.Tunnel != one.Address.Addr() || machine.Facts.Unattended != unattended {
			t.Errorf("%q: %+v, %v", configuration, machine, err)
		}
	}
	r, _ := reports(c, "")
	for _, address := range []netip.Addr{both.Address.Addr(), netip.MustParseAddr("fd00::9"), {}} {
		if _, err := r.At(t.Context(), address); !errors.Is(err, events.ErrUnknown) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestSender(t *testing.T) {
	one := end(t, "fd00::2/64")
	machine := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "mm", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "example.com/v1", Kind: "Machine", Name: "x", UID: "1"}, {APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "Machine", Name: "m", UID: "2"},
	}}}
	want := logs.Sender{Server: "a", Namespace: "ns", MetalMachine: "mm", Cluster: "c"}
	r, _ := reports(api(t, binding("a", one)), "")
	if got := r.Sender(t.Context(), one.Address.Addr()); got != want {
		t.Errorf("without its MetalMachine: %+v", got)
	}
	want.Machine = "m"
	r, _ = reports(api(t, binding("a", one), machine), "")
	if got := r.Sender(t.Context(), one.Address.Addr()); got != want {
		t.Errorf("%+v", got)
	}
	if got := r.Sender(t.Context(), netip.MustParseAddr("fd00::9")); got != (logs.Sender{}) {
		t.Errorf("a stranger: %+v", got)
	}
}

func TestKeep(t *testing.T) {
	one := end(t, "fd00::2/64")
	before := binding("a", one)
	before.Status.Ready = true
	c := api(t, before)
	r, saw := reports(c, "")
	machine := events.Machine{Server: "a", Facts: events.Facts{Tunnel: one.Address.Addr()}}
	keep := func(effect events.Effect) *v1alpha3.ServerBinding {
		t.Helper()
		if err := r.Keep(t.Context(), machine, effect); err != nil {
			t.Fatal(err)
		}
		now := &v1alpha3.ServerBinding{}
		if err := c.Get(t.Context(), client.ObjectKey{Name: "a"}, now); err != nil {
			t.Fatal(err)
		}
		return now
	}

	many := slices.Repeat([]string{"192.0.2.1"}, 1000)
	now := keep(events.Effect{Step: "boots", Loaded: true, Addressing: &events.Addressing{Hostname: strings.Repeat("h\xff", 500), Addresses: many}})
	if len(now.Spec.Addresses) != 64 || len(now.Spec.Hostname) > 253 || !now.Status.Ready || now.Status.ConfigurationLoadedAt.Unix() != 100 {
		t.Errorf("%d addresses, a host name of %d bytes, %+v", len(now.Spec.Addresses), len(now.Spec.Hostname), now.Status)
	}
	if now.Spec.SideroLink != before.Spec.SideroLink || now.Spec.MetalMachineRef != before.Spec.MetalMachineRef {
		t.Errorf("the rest became %+v", now.Spec)
	}

	now = keep(events.Effect{Findings: []events.Finding{{Aspect: events.Installed, Reason: events.ReasonInstalling}}})
	if c, _ := now.Status.Conditions.Find(v1alpha3.ConditionTalosInstalled); c.Status != corev1.ConditionFalse || c.Severity != metal.SeverityInfo {
		t.Errorf("while it installs: %+v", c)
	}
	now = keep(events.Effect{Findings: []events.Finding{{Aspect: events.Installed, Reason: events.ReasonInstallFailed, Message: strings.Repeat("x", 5000)}}})
	if c, _ := now.Status.Conditions.Find(v1alpha3.ConditionTalosInstalled); c.Severity != metal.SeverityError || len(c.Message) != 1024 {
		t.Errorf("a failure: severity %s, %d bytes", c.Severity, len(c.Message))
	}
	now = keep(events.Effect{Findings: []events.Finding{{Aspect: events.Installed, True: true}}})
	if !now.Status.Conditions.Is(v1alpha3.ConditionTalosInstalled, corev1.ConditionTrue) {
		t.Errorf("installed: %+v", now.Status.Conditions)
	}
	if again := keep(events.Effect{Findings: []events.Finding{{Aspect: events.Installed, True: true}}}); again.ResourceVersion != now.ResourceVersion {
		t.Error("what is known already was written again")
	}
	if !slices.Equal(*saw, []string{"boots"}) {
		t.Errorf("the timeline was told %v", *saw)
	}
}

// An event that comes late says nothing of the machine that has the server now.
func TestKeepOfAnotherMachine(t *testing.T) {
	c := api(t, binding("a", end(t, "fd00::2/64")))
	r, _ := reports(c, "")
	late := events.Effect{Loaded: true}
	for name, machine := range map[string]events.Machine{
		"another": {Server: "a", Facts: events.Facts{Tunnel: netip.MustParseAddr("fd00::3")}}, "none": {Server: "gone"},
	} {
		if err := r.Keep(t.Context(), machine, late); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	now := &v1alpha3.ServerBinding{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: "a"}, now); apierrors.IsNotFound(err) || now.Status.ConfigurationLoadedAt != nil {
		t.Errorf("%v, %+v", err, now.Status)
	}
}
