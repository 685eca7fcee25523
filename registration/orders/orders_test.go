package orders_test

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/orders"
)

// facts are all that the order of a server depends on.
type facts struct {
	accepted, bound, unbinding, inUse, clean, duplicate, paused, deleting, controlled, asked bool
}

// every goes through all combinations.
func every(do func(facts)) {
	for bits := range 1 << 10 {
		bit := func(n int) bool { return bits&(1<<n) != 0 }
		do(facts{bit(0), bit(1), bit(2), bit(3), bit(4), bit(5), bit(6), bit(7), bit(8), bit(9)})
	}
}

func (f facts) objects() (*v1alpha2.Server, *v1alpha3.ServerBinding) {
	now := metav1.Now()
	server := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "box"}}
	server.Spec.Accepted, server.Status.InUse, server.Status.IsClean = f.accepted, f.inUse, f.clean

	if f.duplicate {
		server.Status.Conditions = append(server.Status.Conditions, v1alpha2.Condition{Type: v1alpha2.ConditionDuplicateIdentity, Status: corev1.ConditionTrue})
	}

	if f.paused {
		server.Annotations = map[string]string{"cluster.x-k8s.io/paused": ""}
	}

	if f.deleting {
		server.DeletionTimestamp = &now
	}

	if f.asked {
		server.Status.Conditions = append(server.Status.Conditions, v1alpha2.Condition{
			Type: v1alpha2.ConditionPowerRequested, Status: corev1.ConditionUnknown, Reason: v1alpha2.ReasonAgentAsked, LastTransitionTime: now,
		})
	}

	if f.controlled {
		server.Spec.ManagementAPI = &v1alpha2.ManagementAPI{Endpoint: "10.0.0.1:80"}
	}

	if !f.bound {
		return server, nil
	}

	binding := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: "box"}}
	if f.unbinding {
		binding.DeletionTimestamp = &now
	}

	return server, binding
}

type row struct {
	when   func(facts) bool
	order  api.Order
	reason api.Reason
}

// rows say what is ordered: the first that fits.
var rows = []row{
	{func(f facts) bool { return f.duplicate }, api.Order_STAY, api.Reason_DUPLICATE},
	{func(f facts) bool { return !f.accepted }, api.Order_STAY, api.Reason_NOT_ACCEPTED},
	{func(f facts) bool { return f.paused }, api.Order_STAY, api.Reason_PAUSED},
	{func(f facts) bool { return f.bound && !f.unbinding && f.inUse }, api.Order_REBOOT, api.Reason_NONE},
	{func(f facts) bool { return f.bound && !f.unbinding }, api.Order_STAY, api.Reason_NONE},
	{func(f facts) bool { return f.bound }, api.Order_STAY, api.Reason_LEAVING},
	{func(f facts) bool { return f.inUse }, api.Order_STAY, api.Reason_LEAVING},
	{func(f facts) bool { return f.deleting }, api.Order_STAY, api.Reason_LEAVING},
	{func(f facts) bool { return f.asked }, api.Order_POWER_OFF, api.Reason_NONE},
	{func(f facts) bool { return f.clean && f.controlled }, api.Order_STAY, api.Reason_CLEAN_TURNED_OFF},
	{func(f facts) bool { return f.clean }, api.Order_STAY, api.Reason_CLEAN},
	{func(facts) bool { return true }, api.Order_WIPE, api.Reason_NONE},
}

func TestNext(t *testing.T) {
	used := make([]int, len(rows))

	every(func(f facts) {
		server, binding := f.objects()
		next := orders.Next(server, binding, nil, orders.Settings{})
		at := slices.IndexFunc(rows, func(r row) bool { return r.when(f) })
		used[at]++

		if want := rows[at]; next.GetOrder() != want.order || next.GetReason() != want.reason || next.GetServer() != "box" {
			t.Errorf("%+v: %v, want %s %s", f, next, want.order, want.reason)
		}
	})

	if slices.Contains(used, 0) {
		t.Errorf("rows that no facts reach: %v", used)
	}
}

// TestInvariants says the design's safety invariants 1 and 2 in their own words, whatever else is true.
func TestInvariants(t *testing.T) {
	every(func(f facts) {
		server, binding := f.objects()
		order := orders.Next(server, binding, nil, orders.Settings{}).GetOrder()
		forbidden := !f.accepted || f.bound || f.inUse || f.duplicate || f.paused || f.deleting

		if may := orders.MayWipe(server, binding); may == forbidden {
			t.Errorf("%+v: may be wiped: %t", f, may)
		}

		if order == api.Order_WIPE && (forbidden || f.clean) {
			t.Errorf("%+v is told to wipe", f)
		}

		if order != api.Order_STAY && (!f.accepted || f.paused || f.duplicate) {
			t.Errorf("%+v is told to %s", f, order)
		}
	})
}

func TestPowerControl(t *testing.T) {
	source := &v1alpha2.CredentialSource{SecretKeyRef: &v1alpha2.SecretKeyRef{Name: "s", Key: "k"}}
	power := func(p v1alpha2.PowerControl) v1alpha2.ServerSpec { return v1alpha2.ServerSpec{Power: &p} }

	for name, test := range map[string]struct {
		spec v1alpha2.ServerSpec
		off  bool
	}{
		"nothing":                   {},
		"BMC without login":         {spec: v1alpha2.ServerSpec{BMC: &v1alpha2.BMC{Endpoint: "10.0.0.1"}}},
		"BMC with half a login":     {spec: v1alpha2.ServerSpec{BMC: &v1alpha2.BMC{Endpoint: "10.0.0.1", User: "admin"}}},
		"BMC with the other half":   {spec: v1alpha2.ServerSpec{BMC: &v1alpha2.BMC{Endpoint: "10.0.0.1", PassFrom: source}}},
		"BMC":                       {spec: v1alpha2.ServerSpec{BMC: &v1alpha2.BMC{Endpoint: "10.0.0.1", User: "admin", Pass: "x"}}, off: true},
		"BMC with a Secret":         {spec: v1alpha2.ServerSpec{BMC: &v1alpha2.BMC{Endpoint: "10.0.0.1", UserFrom: source, PassFrom: source}}, off: true},
		"management API":            {spec: v1alpha2.ServerSpec{ManagementAPI: &v1alpha2.ManagementAPI{Endpoint: "10.0.0.1"}}, off: true},
		"Redfish":                   {spec: power(v1alpha2.PowerControl{Redfish: &v1alpha2.RedfishPower{Endpoint: "10.0.0.1"}}), off: true},
		"webhook":                   {spec: power(v1alpha2.PowerControl{Webhook: &v1alpha2.WebhookPower{Preset: "tasmota"}}), off: true},
		"webhook that sees nothing": {spec: power(v1alpha2.PowerControl{Webhook: &v1alpha2.WebhookPower{On: &v1alpha2.WebhookRequest{}, Off: &v1alpha2.WebhookRequest{}}})},
		"webhook without off":       {spec: power(v1alpha2.PowerControl{Webhook: &v1alpha2.WebhookPower{On: &v1alpha2.WebhookRequest{}, State: &v1alpha2.WebhookStateRequest{}}})},
		"Wake-on-LAN":               {spec: power(v1alpha2.PowerControl{WakeOnLAN: &v1alpha2.WakeOnLANPower{}})},
		"Wake-on-LAN by its name":   {spec: power(v1alpha2.PowerControl{Driver: v1alpha2.PowerWakeOnLAN})},
		"a person":                  {spec: power(v1alpha2.PowerControl{Driver: v1alpha2.PowerManual})},
		"IPMI by name, without BMC": {spec: power(v1alpha2.PowerControl{Driver: v1alpha2.PowerIPMI})},
	} {
		t.Run(name, func(t *testing.T) {
			test.spec.Accepted = true
			server := &v1alpha2.Server{Spec: test.spec, Status: v1alpha2.ServerStatus{IsClean: true}}

			want := api.Reason_CLEAN
			if test.off {
				want = api.Reason_CLEAN_TURNED_OFF
			}

			if got := orders.Next(server, nil, nil, orders.Settings{}); got.GetOrder() != api.Order_STAY || got.GetReason() != want {
				t.Errorf("got %v, want %s", got, want)
			}
		})
	}
}

func TestPolicy(t *testing.T) {
	full := v1alpha2.DiskSelector{Name: "sda", Serial: "S", WWID: "W", Model: "M", Type: "ssd", BusPath: "/pci", Label: "L", MinSize: 1, MaxSize: 2}
	wired := &api.DiskSelector{Name: "sda", Serial: "S", Wwid: "W", Model: "M", Type: "ssd", BusPath: "/pci", Label: "L", MinSize: 1, MaxSize: 2}

	for name, test := range map[string]struct {
		wipe     *v1alpha2.WipePolicy
		insecure bool
		want     *api.WipePolicy
	}{
		"absent":            {want: &api.WipePolicy{Disks: "all", Method: "zero"}},
		"absent, insecure":  {insecure: true, want: &api.WipePolicy{Disks: "all", Method: "fast"}},
		"method only":       {wipe: &v1alpha2.WipePolicy{Method: v1alpha2.WipeSecure}, insecure: true, want: &api.WipePolicy{Disks: "all", Method: "secure"}},
		"nothing":           {wipe: &v1alpha2.WipePolicy{Disks: v1alpha2.WipeNone}, want: &api.WipePolicy{Disks: "none", Method: "zero"}},
		"the install disk":  {wipe: &v1alpha2.WipePolicy{Disks: v1alpha2.WipeInstallDisk, InstallDisk: &full}, want: &api.WipePolicy{Disks: "installDisk", Method: "zero", InstallDisk: wired}},
		"selected and kept": {wipe: &v1alpha2.WipePolicy{Disks: v1alpha2.WipeSelected, Selected: []v1alpha2.DiskSelector{full, full}, Keep: []v1alpha2.DiskSelector{full}}, want: &api.WipePolicy{Disks: "selected", Method: "zero", Selected: []*api.DiskSelector{wired, wired}, Keep: []*api.DiskSelector{wired}}},
	} {
		t.Run(name, func(t *testing.T) {
			server := &v1alpha2.Server{Spec: v1alpha2.ServerSpec{Wipe: test.wipe}}
			if got := orders.Next(server, nil, nil, orders.Settings{InsecureWipe: test.insecure}).GetPolicy(); !proto.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestSequence: whoever knows a sequence knows the whole order.
func TestSequence(t *testing.T) {
	seen := map[uint64]string{}

	every(func(f facts) {
		server, binding := f.objects()
		for _, method := range []v1alpha2.WipeMethod{"", v1alpha2.WipeFast} {
			server.Spec.Wipe = &v1alpha2.WipePolicy{Method: method}
			next := orders.Next(server, binding, nil, orders.Settings{})
			what := fmt.Sprint(next.GetOrder(), next.GetReason(), next.GetPolicy().GetMethod())

			if told, known := seen[next.GetSequence()]; known && told != what || next.GetSequence() == 0 {
				t.Errorf("sequence %d is of %s and of %s", next.GetSequence(), told, what)
			}

			seen[next.GetSequence()] = what
			if again := orders.Next(server, binding, nil, orders.Settings{}); again.GetSequence() != next.GetSequence() {
				t.Errorf("%+v has several sequences", f)
			}
		}
	})
}
