package appliance

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
	"github.com/sidero-appliance/sidero-appliance/registration"
)

// known is a cache of Servers.
type known struct {
	client.Reader
	client.FieldIndexer
	servers []v1alpha2.Server
	by      map[string]client.IndexerFunc
}

func (k known) IndexField(_ context.Context, _ client.Object, field string, value client.IndexerFunc) error {
	k.by[field] = value
	return nil
}

func (k known) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	wanted := (&client.ListOptions{}).ApplyOptions(options).FieldSelector.Requirements()[0]
	list.(*v1alpha2.ServerList).Items = slices.DeleteFunc(slices.Clone(k.servers), func(s v1alpha2.Server) bool { //nolint:forcetypeassert // of Servers only
		return !slices.Contains(k.by[wanted.Field](&s), wanted.Value)
	})
	return nil
}

// TestMachines: a machine that boots is given the plan of its own Server, and never that of another with its UUID.
func TestMachines(t *testing.T) {
	const (
		uuid   = "4c4c4544-0042-3510-8051-b4c04f564432"
		second = uuid + "-00259000000b"
	)
	server := func(name, mac, annotation string) v1alpha2.Server {
		s := v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{v1alpha2.IdentityAnnotation: annotation}}}
		s.Status.Identity = &v1alpha2.MachineIdentity{MACs: []string{mac}, BootMAC: mac, ToldAt: metav1.NewTime(time.Now().Add(-time.Hour))}
		return s
	}
	inUse := func(s v1alpha2.Server) v1alpha2.Server {
		s.Status.InUse = true
		s.Status.Conditions = v1alpha2.Conditions{{Type: v1alpha2.ConditionDuplicateIdentity, Status: corev1.ConditionTrue}}
		s.Status.Identity.OtherMACs = []string{"00:e0:4c:00:00:0d"}
		s.Status.Identity.ToldAt = metav1.Now()
		return s
	}
	cache := known{by: map[string]client.IndexerFunc{}, servers: []v1alpha2.Server{
		{ObjectMeta: metav1.ObjectMeta{Name: "dummyserver-0"}},
		server(uuid, "00:25:90:00:00:0a", ""),
		server(second, "00:25:90:00:00:0b", v1alpha2.IdentityUndecided),
		inUse(server(uuid+"-00259000000e", "00:25:90:00:00:0e", "")),
		server("4c4c4544-0042-3510-8051-b4c04f564433", "00:25:90:00:00:0c", ""),
	}}
	if err := registration.Index(t.Context(), cache); err != nil {
		t.Fatal(err)
	}
	for mac, want := range map[string]bootplan.Server{
		"00:25:90:00:00:0a": {Registered: true, Name: uuid},
		"00:25:90:00:00:0b": {Registered: true, Name: second, Disputed: true},
		"00:25:90:00:00:0c": {},
		"00:25:90:00:00:0d": {},
		"00:25:90:00:00:0e": {Registered: true, Name: uuid + "-00259000000e"},
		"00:e0:4c:00:00:0d": {Registered: true, Name: uuid + "-00259000000e", Disputed: true},
		"":                  {},
	} {
		if got, err := (machines{cache}).Server(t.Context(), bootplan.Request{UUID: uuid, MAC: mac}); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", mac, got, err, want)
		}
	}
}
