package appliance

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/boottoken"
	"github.com/sidero-appliance/sidero-appliance/metadata"
	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
	"github.com/sidero-appliance/sidero-appliance/registration"
)

// indexing has a client under construction know objects by an index, as a cache does.
type indexing struct{ builder *fake.ClientBuilder }

func (i indexing) IndexField(_ context.Context, o client.Object, field string, value client.IndexerFunc) error {
	i.builder.WithIndex(o, field, value)
	return nil
}

// cacheOf is a cache of objects. Reads of a kind can be made to fail.
func cacheOf(t *testing.T, fails client.Object, objects ...client.Object) client.Reader {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha2.AddToScheme(scheme), v1alpha3.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if fails != nil && reflect.TypeOf(o) == reflect.TypeOf(fails) {
				return errors.New("no cache")
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
	if err := registration.Index(t.Context(), indexing{builder}); err != nil {
		t.Fatal(err)
	}
	return builder.Build()
}

// TestAllocations: what a machine boots is told by its own Server, binding, class and Environment.
func TestAllocations(t *testing.T) {
	const uuid, mac = "4c4c4544-0042-3510-8051-b4c04f564432", "00:25:90:00:00:0a"
	key := boottoken.NewKey()
	token := func(generation int64) string { return key.Mint("uid-1", generation).Text() }
	type world struct {
		server  *v1alpha2.Server
		binding *v1alpha3.ServerBinding
		class   *v1alpha2.ServerClass
		env     *v1alpha2.Environment
	}
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	ready := bootplan.Environment{Exists: true, Ready: true, Args: []string{"console=tty0"}}
	for name, test := range map[string]struct {
		edit func(*world)
		open bool
		want *bootplan.Allocation
	}{
		"in use":      {func(*world) {}, false, &bootplan.Allocation{Environment: ready, Token: token(1)}},
		"not in use":  {func(w *world) { w.binding.Name = "another" }, false, nil},
		"for anybody": {func(*world) {}, true, &bootplan.Allocation{Environment: ready}},
		"installed": {func(w *world) {
			w.server.Status.Conditions = v1alpha2.Conditions{{Type: v1alpha2.ConditionPXEBooted, Status: corev1.ConditionTrue}}
			w.server.Spec.PXEBootAlways = true
		}, true, &bootplan.Allocation{Environment: ready, Installed: true, PXEBootAlways: true}},
		"a person has opened its window": {func(w *world) {
			w.binding.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Hour))
			w.server.Annotations = map[string]string{v1alpha2.BootWindowAnnotation: "x"}
		}, false, &bootplan.Allocation{Environment: ready, Token: token(2)}},
		"class": {func(w *world) {
			w.binding.Spec.ServerClassRef = &corev1.ObjectReference{Name: "class", Namespace: "default"}
			w.class.Spec.EnvironmentRef, w.class.Spec.BootFromDiskMethod = &corev1.ObjectReference{Name: "default"}, v1alpha2.Boot404
		}, true, &bootplan.Allocation{Environment: ready, Class: bootplan.Choices{Environment: "default", FromDisk: bootplan.HTTP404}}},
		"class that is gone": {func(w *world) { w.binding.Spec.ServerClassRef = &corev1.ObjectReference{Name: "gone"} }, true,
			&bootplan.Allocation{Environment: ready, MissingClass: "gone"}},
		"server before class": {func(w *world) {
			w.binding.Spec.ServerClassRef = &corev1.ObjectReference{Name: "class"}
			w.class.Spec.EnvironmentRef = &corev1.ObjectReference{Name: "gone"}
			w.env.Name = "own"
			w.server.Spec.EnvironmentRef, w.server.Spec.BootFromDiskMethod = &corev1.ObjectReference{Name: "own"}, v1alpha2.BootSANDisk
		}, true, &bootplan.Allocation{
			Environment: ready, Class: bootplan.Choices{Environment: "gone"}, Server: bootplan.Choices{Environment: "own", FromDisk: bootplan.IPXESANBoot},
		}},
		"no Environment": {func(w *world) { w.env.Name = "another" }, true, &bootplan.Allocation{}},
		"files missing": {func(w *world) { w.env.Spec.Kernel.URL = "http://x/vmlinuz" }, true,
			&bootplan.Allocation{Environment: bootplan.Environment{Exists: true, Args: ready.Args}}},
		"initial RAM disk": {func(w *world) {
			w.env.Spec.Initrd.URL = "http://x/initrd"
			w.env.Status.Conditions = []v1alpha2.AssetCondition{{Asset: v1alpha2.Asset{URL: "http://x/initrd"}, Type: "Ready", Status: "True"}}
		}, true, &bootplan.Allocation{Environment: bootplan.Environment{Exists: true, Ready: true, Initrd: true, Args: ready.Args}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := world{
				&v1alpha2.Server{ObjectMeta: named(uuid)}, &v1alpha3.ServerBinding{ObjectMeta: named(uuid)},
				&v1alpha2.ServerClass{ObjectMeta: named("class")}, &v1alpha2.Environment{ObjectMeta: named("default")},
			}
			w.server.Status.Identity = &v1alpha2.MachineIdentity{MACs: []string{mac}, BootMAC: mac, ToldAt: metav1.NewTime(time.Now().Add(-time.Hour))}
			w.binding.UID, w.binding.CreationTimestamp = "uid-1", metav1.Now()
			w.env.Spec.Kernel.Args = ready.Args
			test.edit(&w)
			a := allocations{machines{cacheOf(t, nil, w.server, w.binding, w.class, w.env)}, metadata.AccessToken, key, &returns{}}
			if test.open {
				a.access = metadata.AccessOpen
			}
			got, err := a.Server(t.Context(), bootplan.Request{UUID: uuid, MAC: mac})
			if err != nil || got.Name != uuid || !got.Registered || got.Disputed {
				t.Fatalf("%+v, %v", got, err)
			}
			if diff := cmp.Diff(test.want, got.Allocation); diff != "" {
				t.Error(diff)
			}
			if other, err := a.Server(t.Context(), bootplan.Request{UUID: uuid, MAC: "00:25:90:00:00:0b"}); err != nil || other.Allocation != nil {
				t.Errorf("another machine with its UUID: %+v, %v", other, err)
			}
		})
	}
}

// TestAllocationsOfDoubtfulMachines: one of which nobody knows whose it is, and one that cannot be looked up, boot nothing of a
// server in use.
func TestAllocationsOfDoubtfulMachines(t *testing.T) {
	const uuid, mac = "4c4c4544-0042-3510-8051-b4c04f564432", "00:25:90:00:00:0a"
	server := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: uuid}}
	server.Status.Identity = &v1alpha2.MachineIdentity{MACs: []string{mac}, ToldAt: metav1.NewTime(time.Now().Add(-time.Hour))}
	binding := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: uuid, UID: "uid-1"}}
	binding.Spec.ServerClassRef = &corev1.ObjectReference{Name: "class"}
	objects := []client.Object{server, binding, &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "class"}}}
	for _, fails := range []client.Object{&v1alpha3.ServerBinding{}, &v1alpha2.Server{}, &v1alpha2.ServerClass{}, &v1alpha2.Environment{}} {
		a := allocations{machines{cacheOf(t, fails, objects...)}, metadata.AccessToken, boottoken.NewKey(), &returns{}}
		if _, err := a.Server(t.Context(), bootplan.Request{UUID: uuid, MAC: mac}); err == nil || !strings.Contains(err.Error(), "no cache") {
			t.Errorf("%T: %v", fails, err)
		}
	}
	server.Status.Conditions = v1alpha2.Conditions{{Type: v1alpha2.ConditionDuplicateIdentity, Status: corev1.ConditionTrue}}
	a := allocations{machines{cacheOf(t, nil, objects...)}, metadata.AccessToken, boottoken.NewKey(), &returns{}}
	if got, err := a.Server(t.Context(), bootplan.Request{UUID: uuid, MAC: mac}); err != nil || !got.Disputed || got.Allocation != nil {
		t.Errorf("one that another claims to be: %+v, %v", got, err)
	}
}
