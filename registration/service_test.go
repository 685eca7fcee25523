package registration_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/registration"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/identity"
)

const machine = "4c4c4544-0042-3510-8051-b4c04f564432"

// bench is a registration service on a real API, which it uses with its own user's rights.
type bench struct {
	service *registration.Service
	events  *events.FakeRecorder
	admin   client.Client
	config  registration.Config
}

func newBench(t *testing.T, plane *apitest.Plane, policy registration.Policy) bench {
	t.Helper()

	types := runtime.NewScheme()
	if err := errors.Join(v1alpha2.AddToScheme(types), v1alpha3.AddToScheme(types)); err != nil {
		t.Fatal(err)
	}

	if err := scheme.AddToScheme(types); err != nil {
		t.Fatal(err)
	}

	own, err := client.New(plane.Client(t, bootstrap.Registration), client.Options{Scheme: types})
	if err != nil {
		t.Fatal(err)
	}

	admin, err := client.New(plane.Admin, client.Options{Scheme: types})
	if err != nil {
		t.Fatal(err)
	}

	recorder := events.NewFakeRecorder(100)
	config := registration.Config{
		Client: own, Cache: uncached{admin}, Recorder: recorder, Policy: policy, Logger: slog.New(slog.DiscardHandler),
	}

	return bench{service: registration.New(config), events: recorder, admin: admin, config: config}
}

// uncached stands for a cache that is never behind: the API itself, which has no index.
type uncached struct{ client.Reader }

func (u uncached) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	asked := (&client.ListOptions{}).ApplyOptions(options)
	servers, ok := list.(*v1alpha2.ServerList)

	if !ok || asked.FieldSelector == nil {
		return u.Reader.List(ctx, list, options...)
	}

	err := u.Reader.List(ctx, list)
	servers.Items = slices.DeleteFunc(servers.Items, func(s v1alpha2.Server) bool {
		id, _ := identity.UUIDOf(s.Name)

		return !asked.FieldSelector.Matches(fields.Set{"uuid": id})
	})

	return err
}

func startPlane(t *testing.T) *apitest.Plane {
	t.Helper()

	plane := apitest.Start(t)

	rights, err := bootstrap.New(bootstrap.Config{Client: plane.Admin, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}

	apitest.Run(t, rights)

	return plane
}

func (b bench) server(t *testing.T) *v1alpha2.Server {
	t.Helper()

	server := &v1alpha2.Server{}
	if err := b.admin.Get(t.Context(), client.ObjectKey{Name: machine}, server); err != nil {
		t.Fatal(err)
	}

	return server
}

func request() *api.CreateServerRequest {
	return &api.CreateServerRequest{
		Hostname: "box-1",
		Hardware: &api.HardwareInformation{
			System:  &api.SystemInformation{Uuid: strings.ToUpper(machine), Manufacturer: "Dell Inc.\x00 ", SerialNumber: "B5QVD2"},
			Compute: &api.ComputeInformation{ProcessorCount: 9, Processors: []*api.Processor{{Manufacturer: "Intel", CoreCount: 8}}},
			Memory:  &api.MemoryInformation{TotalSize: 32768, Modules: []*api.MemoryModule{{Size: 32768, Type: "DDR4"}}},
			Storage: &api.StorageInformation{TotalSize: 512 << 30, Devices: []*api.StorageDevice{{Type: api.StorageType_NVMe, Size: 512 << 30}}},
			Network: &api.NetworkInformation{Interfaces: []*api.NetworkInterface{{Name: "eno1", Mac: "00:25:90:aa:bb:cc", Addresses: []string{"10.0.0.5/24"}}}},
		},
	}
}

func TestRegistration(t *testing.T) {
	plane := startPlane(t)

	t.Run("a new machine becomes a server that is not accepted", func(t *testing.T) { testNewMachine(t, newBench(t, plane, registration.Policy{})) })
	t.Run("one that comes back brings its new hardware", func(t *testing.T) { testRefresh(t, newBench(t, plane, registration.Policy{})) })
	t.Run("what a person has set is kept", func(t *testing.T) { testConflict(t, newBench(t, plane, registration.Policy{})) })
	t.Run("addresses", func(t *testing.T) { testAddresses(t, newBench(t, plane, registration.Policy{})) })
	t.Run("a server that is not accepted cannot say that it is clean", func(t *testing.T) { testUnaccepted(t, newBench(t, plane, registration.Policy{})) })
	t.Run("an accepted server", func(t *testing.T) {
		testAccepted(t, newBench(t, plane, registration.Policy{RebootTimeout: time.Minute, AutoBMCSetup: true}))
	})
	t.Run("accepted by policy", func(t *testing.T) { testAutoAccept(t, newBench(t, plane, registration.Policy{AutoAccept: true})) })
	t.Run("a new machine that registers many times at once", func(t *testing.T) { testAtOnce(t, newBench(t, plane, registration.Policy{})) })
	t.Run("a machine tells more", func(t *testing.T) { testMoreFacts(t, newBench(t, plane, registration.Policy{})) })
	t.Run("one that has not registered tells more", func(t *testing.T) { testMoreOfNobody(t, newBench(t, plane, registration.Policy{})) })
	t.Run("orders", func(t *testing.T) { testOrders(t, newBench(t, plane, registration.Policy{InsecureWipe: true}), plane) })
	t.Run("unknown machine", func(t *testing.T) { testUnknown(t, newBench(t, plane, registration.Policy{})) })
}

func testNewMachine(t *testing.T, b bench) {
	response, err := b.service.CreateServer(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}

	if response.GetWipe() || response.GetSetupBmc() || response.GetRebootTimeout() != 0 {
		t.Errorf("a machine that is not accepted is told %v", response)
	}

	server := b.server(t)
	if server.Spec.Accepted || server.Spec.Hostname != "box-1" {
		t.Errorf("spec is %+v", server.Spec)
	}

	want := &v1alpha2.HardwareInformation{
		System:  &v1alpha2.SystemInformation{UUID: machine, Manufacturer: "Dell Inc.", SerialNumber: "B5QVD2"},
		Compute: &v1alpha2.ComputeInformation{ProcessorCount: 1, Processors: []*v1alpha2.Processor{{Manufacturer: "Intel", CoreCount: 8}}},
		Memory:  &v1alpha2.MemoryInformation{TotalSize: "32 GB", ModuleCount: 1, Modules: []*v1alpha2.MemoryModule{{Size: 32768, Type: "DDR4"}}},
		Storage: &v1alpha2.StorageInformation{TotalSize: "512 GB", DeviceCount: 1, Devices: []*v1alpha2.StorageDevice{{Type: "NVMe", Size: 512 << 30}}},
		Network: &v1alpha2.NetworkInformation{InterfaceCount: 1, Interfaces: []*v1alpha2.NetworkInterface{
			{Name: "eno1", MAC: "00:25:90:aa:bb:cc", Addresses: []string{"10.0.0.5/24"}},
		}},
	}
	if diff := cmp.Diff(want, server.Spec.Hardware); diff != "" {
		t.Errorf("hardware (-want +got):\n%s", diff)
	}

	if event := <-b.events.Events; !strings.Contains(event, "Server Registration") {
		t.Errorf("event is %q", event)
	}
}

func testRefresh(t *testing.T, b bench) {
	again := request()
	again.Hardware.Memory = &api.MemoryInformation{TotalSize: 65536}

	if _, err := b.service.CreateServer(t.Context(), again); err != nil {
		t.Fatal(err)
	}

	memory := b.server(t).Spec.Hardware.Memory
	if memory.TotalSize != "64 GB" || memory.Modules != nil {
		t.Errorf("memory is %+v", memory)
	}

	if len(b.events.Events) != 0 {
		t.Errorf("a machine that came back is told of as new: %q", <-b.events.Events)
	}
}

func testConflict(t *testing.T, b bench) {
	mine := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "metal.sidero.dev/v1alpha2", "kind": "Server", "metadata": map[string]any{"name": machine},
		"spec": map[string]any{
			"hostname": "rack-3-top",
			"hardware": map[string]any{"compute": map[string]any{"processors": []any{map[string]any{"manufacturer": "mine"}}}},
		},
	}}
	if err := b.admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(mine),
		client.FieldOwner("person"), client.ForceOwnership); err != nil {
		t.Fatal(err)
	}

	changed := request()
	changed.Hardware.System.Family = "NEW"

	if _, err := b.service.CreateServer(t.Context(), changed); err != nil {
		t.Fatal(err)
	}

	spec := b.server(t).Spec
	if spec.Hostname != "rack-3-top" || spec.Hardware.Compute.Processors[0].Manufacturer != "mine" {
		t.Errorf("a person's values were overwritten: %q, %+v", spec.Hostname, spec.Hardware.Compute.Processors[0])
	}

	if spec.Hardware.System.Family != "NEW" {
		t.Errorf("a fact beside them was not refreshed: %+v", spec.Hardware.System)
	}
}

func testAddresses(t *testing.T, b bench) {
	server := b.server(t)
	server.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}, {Type: corev1.NodeHostName, Address: "kept"},
	}

	if err := b.admin.Status().Update(t.Context(), server); err != nil {
		t.Fatal(err)
	}

	_, err := b.service.ReconcileServerAddresses(t.Context(), &api.ReconcileServerAddressesRequest{
		Uuid: machine, Address: []*api.Address{{Type: "InternalIP", Address: "10.0.0.9"}, {Type: "InternalIP", Address: "fd00::9"}},
	})
	if err != nil {
		t.Fatal(err)
	}

	want := []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: "kept"},
		{Type: corev1.NodeInternalIP, Address: "10.0.0.9"}, {Type: corev1.NodeInternalIP, Address: "fd00::9"},
	}
	if diff := cmp.Diff(want, b.server(t).Status.Addresses); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}

	for _, bad := range []*api.Address{{Type: "InternalIP", Address: "nowhere"}, {Type: "InternalIP", Address: "fe80::1%\x1b[31m"}, {Type: "Hostname", Address: "a\nb"}, {Type: "Planet", Address: "10.0.0.1"}} {
		_, err := b.service.ReconcileServerAddresses(t.Context(), &api.ReconcileServerAddressesRequest{Uuid: machine, Address: []*api.Address{bad}})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: got %v", bad, err)
		}
	}
}

func testUnaccepted(t *testing.T, b bench) {
	ctx := t.Context()

	if _, err := b.service.Heartbeat(ctx, &api.HeartbeatRequest{Uuid: machine}); err != nil {
		t.Error(err)
	}

	if _, err := b.service.MarkServerAsWiped(ctx, &api.MarkServerAsWipedRequest{Uuid: machine}); err != nil {
		t.Error(err)
	}

	if _, err := b.service.UpdateBMCInfo(ctx, &api.UpdateBMCInfoRequest{Uuid: machine, BmcInfo: &api.BMCInfo{Ip: "10.6.6.6"}}); err != nil {
		t.Error(err)
	}

	server := b.server(t)
	if server.Status.IsClean || server.Spec.BMC != nil {
		t.Errorf("clean=%v bmc=%v", server.Status.IsClean, server.Spec.BMC)
	}

	if c := server.Status.Conditions; len(c) != 0 {
		t.Errorf("conditions are %+v", c)
	}
}

func testAccepted(t *testing.T, b bench) {
	ctx := t.Context()

	if err := b.admin.Patch(ctx, b.server(t), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"accepted":true}}`))); err != nil {
		t.Fatal(err)
	}

	response, err := b.service.CreateServer(ctx, request())
	if err != nil || !response.GetWipe() || !response.GetSetupBmc() || response.GetRebootTimeout() != 60 {
		t.Fatalf("got %v, %v", response, err)
	}

	if !b.server(t).Spec.Accepted {
		t.Error("a registration took the acceptance back")
	}

	if _, err := b.service.Heartbeat(ctx, &api.HeartbeatRequest{Uuid: machine}); err != nil {
		t.Error(err)
	}

	if c := b.server(t).Status.Conditions; len(c) != 1 || c[0].Type != v1alpha2.ConditionPowerCycle || c[0].Status != corev1.ConditionFalse {
		t.Errorf("conditions after a heartbeat are %+v", c)
	}

	if _, err := b.service.MarkServerAsWiped(ctx, &api.MarkServerAsWipedRequest{Uuid: machine}); err != nil || !b.server(t).Status.IsClean {
		t.Errorf("clean=%v, %v", b.server(t).Status.IsClean, err)
	}

	clean := b.server(t)
	_, marked := b.service.MarkServerAsWiped(ctx, &api.MarkServerAsWipedRequest{Uuid: machine})
	_, beat := b.service.Heartbeat(ctx, &api.HeartbeatRequest{Uuid: machine})

	if err := errors.Join(marked, beat); err != nil || b.server(t).ResourceVersion != clean.ResourceVersion {
		t.Errorf("a clean server is written again as %+v, %v", b.server(t).Status, err)
	}

	if response, err := b.service.CreateServer(ctx, request()); err != nil || response.GetWipe() {
		t.Errorf("a clean server is told %v, %v", response, err)
	}

	testAllocated(t, b)
	testBMC(t, b)
	testBMCKept(t, b)
}

// testAllocated: safety invariant 2 of the design, also in the moment before the server's status tells that it is in use.
func testAllocated(t *testing.T, b bench) {
	ctx := t.Context()

	binding := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: machine}}
	binding.Spec.MetalMachineRef = corev1.ObjectReference{Kind: "MetalMachine", Namespace: metav1.NamespaceDefault, Name: "m"}

	server := b.server(t)
	server.Status.IsClean = false

	if err := b.admin.Status().Update(ctx, server); err != nil {
		t.Fatal(err)
	}

	if err := b.admin.Create(ctx, binding); err != nil {
		t.Fatal(err)
	}

	if response, err := b.service.CreateServer(ctx, request()); err != nil || response.GetWipe() {
		t.Errorf("an allocated server is told %v, %v", response, err)
	}

	if _, err := b.service.MarkServerAsWiped(ctx, &api.MarkServerAsWipedRequest{Uuid: machine}); err != nil || b.server(t).Status.IsClean {
		t.Errorf("an allocated server is clean: %t, %v", b.server(t).Status.IsClean, err)
	}

	before := b.server(t).Status.Conditions

	if _, err := b.service.Heartbeat(ctx, &api.HeartbeatRequest{Uuid: machine}); err != nil {
		t.Error(err)
	}

	if got := b.server(t).Status.Conditions; !apiequality.Semantic.DeepEqual(got, before) {
		t.Errorf("a heartbeat on an allocated server makes its conditions %+v", got)
	}

	if err := b.admin.Delete(ctx, binding); err != nil {
		t.Fatal(err)
	}
}

func testBMC(t *testing.T, b bench) {
	ctx := t.Context()

	for _, info := range []*api.BMCInfo{{Ip: "10.0.9.1", Port: 6230}, {User: "sidero", Pass: "secret"}} {
		if _, err := b.service.UpdateBMCInfo(ctx, &api.UpdateBMCInfoRequest{Uuid: machine, BmcInfo: info}); err != nil {
			t.Fatal(err)
		}
	}

	bmc := b.server(t).Spec.BMC
	if bmc.Endpoint != "10.0.9.1" || bmc.Port != 6230 || bmc.PassFrom.SecretKeyRef.Name != machine+"-bmc" {
		t.Errorf("bmc is %+v", bmc)
	}

	secret := &corev1.Secret{}
	if err := b.admin.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: machine + "-bmc"}, secret); err != nil {
		t.Fatal(err)
	}

	if string(secret.Data["pass"]) != "secret" || len(secret.OwnerReferences) != 1 {
		t.Errorf("secret is %+v", secret)
	}
}

func testBMCKept(t *testing.T, b bench) {
	mine := []byte(`{"spec":{"bmc":{"endpoint":"10.0.9.99"}}}`)
	if err := b.admin.Patch(t.Context(), b.server(t), client.RawPatch("application/merge-patch+json", mine), client.FieldOwner("person")); err != nil {
		t.Fatal(err)
	}

	if _, err := b.service.UpdateBMCInfo(t.Context(), &api.UpdateBMCInfoRequest{Uuid: machine, BmcInfo: &api.BMCInfo{Ip: "10.6.6.6"}}); err != nil {
		t.Fatal(err)
	}

	if bmc := b.server(t).Spec.BMC; bmc.Endpoint != "10.0.9.99" || bmc.PassFrom == nil {
		t.Errorf("bmc is %+v", bmc)
	}

	for _, bad := range []*api.BMCInfo{{Ip: "\x1b[31m"}, {Ip: "10.0.0.1", Port: 70000}} {
		_, err := b.service.UpdateBMCInfo(t.Context(), &api.UpdateBMCInfoRequest{Uuid: machine, BmcInfo: bad})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: got %v", bad, err)
		}
	}
}

func testAutoAccept(t *testing.T, b bench) {
	if err := b.admin.Delete(t.Context(), b.server(t)); err != nil {
		t.Fatal(err)
	}

	for range 2 { // the second report must not take the acceptance back
		if _, err := b.service.CreateServer(t.Context(), request()); err != nil {
			t.Fatal(err)
		}

		if !b.server(t).Spec.Accepted {
			t.Fatal("not accepted")
		}
	}
}

// testAtOnce: the machine is new once, and its report owns what it told and nothing else.
func testAtOnce(t *testing.T, b bench) {
	if err := b.admin.Delete(t.Context(), b.server(t)); err != nil {
		t.Fatal(err)
	}

	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			_, err := b.service.CreateServer(t.Context(), request())

			return err
		})
	}

	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}

	if n := len(b.events.Events); n != 1 {
		t.Errorf("there are %d Events", n)
	}

	owners := slices.DeleteFunc(b.server(t).ManagedFields, func(o metav1.ManagedFieldsEntry) bool { return o.Subresource == "status" })
	if len(owners) != 1 || owners[0].Manager != registration.FieldManager {
		t.Fatalf("owners are %+v", owners)
	}

	if fields := owners[0].FieldsV1.String(); !strings.Contains(fields, "f:hardware") || strings.Contains(fields, "f:accepted") {
		t.Errorf("%s owns %s", owners[0].Manager, fields)
	}
}

func testUnknown(t *testing.T, b bench) {
	other := "00000000-0000-4000-8000-000000000001"

	if _, err := b.service.Heartbeat(t.Context(), &api.HeartbeatRequest{Uuid: other}); status.Code(err) != codes.NotFound {
		t.Errorf("got %v", err)
	}

	if err := b.admin.Get(context.Background(), client.ObjectKey{Name: other}, &v1alpha2.Server{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}
