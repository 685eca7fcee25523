package environment

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/offline"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

// TestDefaultIsUpstreams holds the arguments to those of Sidero 0.6.13 for Talos 1.13.
func TestDefaultIsUpstreams(t *testing.T) {
	e := Default("http://releases.test/talos/", AMD64)

	want := v1alpha2.EnvironmentSpec{
		Kernel: v1alpha2.Kernel{
			Asset: v1alpha2.Asset{URL: "http://releases.test/talos/" + TalosRelease + "/vmlinuz-amd64"},
			Args: strings.Fields("console=tty0 console=ttyS0 consoleblank=0 earlyprintk=ttyS0 init_on_alloc=1 initrd=initramfs.xz module.sig_enforce=1 " +
				"nvme_core.io_timeout=4294967295 printk.devkmsg=on proc_mem.force_override=never pti=on selinux=1 slab_nomerge= talos.platform=metal"),
		},
		Initrd: v1alpha2.Initrd{Asset: v1alpha2.Asset{URL: "http://releases.test/talos/" + TalosRelease + "/initramfs-amd64.xz"}},
	}
	if diff := cmp.Diff(want, e.Spec); diff != "" || e.Name != "default" {
		t.Errorf("%s: %s", e.Name, diff)
	}

	arm := Default("http://releases.test/talos", ARM64)
	if arm.Name != "default-arm64" || !strings.HasSuffix(arm.Spec.Initrd.URL, "/initramfs-arm64.xz") || !slices.IsSorted(arm.Spec.Kernel.Args) ||
		slices.Contains(arm.Spec.Kernel.Args, "console=ttyS0") {
		t.Errorf("for arm64: %+v", arm)
	}
}

// TestDigestOfASpecStays is for the upgrade: a later appliance must know what this one wrote.
func TestDigestOfASpecStays(t *testing.T) {
	spec := v1alpha2.EnvironmentSpec{
		Kernel: v1alpha2.Kernel{Asset: v1alpha2.Asset{URL: "http://a/k", SHA512: "ab"}, Args: []string{"a=<b>"}},
		Initrd: v1alpha2.Initrd{Asset: v1alpha2.Asset{URL: "http://a/i"}},
	}

	const want = "9efd59d7f715680d76ab6bdccddcf1a9aadae1b61efa6f25a88901bebb7a5485"
	if got := digest(spec); got != want {
		t.Errorf("the digest is %s, want %s: every default Environment would be taken for edited", got, want)
	}
}

func TestUntouched(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*v1alpha2.Environment)
		want bool
	}{
		"as it was made": {func(*v1alpha2.Environment) {}, true},
		"labels and status": {func(e *v1alpha2.Environment) {
			e.Labels, e.Status.Conditions = map[string]string{"a": "b"}, []v1alpha2.AssetCondition{{}}
		}, true},
		"an argument more":    {func(e *v1alpha2.Environment) { e.Spec.Kernel.Args = append(e.Spec.Kernel.Args, "quiet") }, false},
		"another URL":         {func(e *v1alpha2.Environment) { e.Spec.Initrd.URL += "x" }, false},
		"a digest":            {func(e *v1alpha2.Environment) { e.Spec.Initrd.SHA512 = "ab" }, false},
		"without annotations": {func(e *v1alpha2.Environment) { e.Annotations = nil }, false},
		"an empty annotation": {func(e *v1alpha2.Environment) { e.Annotations[v1alpha2.AnnotationDefaultDigest] = "" }, false},
	} {
		e := Default("http://releases.test", AMD64)
		test.edit(e)

		if got := untouched(e); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestRefs(t *testing.T) {
	e := &v1alpha2.Environment{ObjectMeta: metav1.ObjectMeta{Name: "x"}}
	e.Spec.Kernel.Asset = v1alpha2.Asset{URL: "http://a/k", SHA512: strings.Repeat("ABCD", 32)}

	if refs := Refs(e); !slices.Equal(refs, []store.Ref{{URL: "http://a/k", SHA512: strings.Repeat("abcd", 32)}}) {
		t.Errorf("refs are %v", refs)
	}

	for name, want := range map[string]bool{"agent-amd64": true, "agent-arm64": true, "agent-riscv64": false, "agent": false, "agent-": false, "my-agent-amd64": false} {
		e.Name, e.Annotations = name, nil
		if _, ok := Ref(e, KernelFile); Reserved(e) != want || ok == want {
			t.Errorf("%s: reserved %t", name, Reserved(e))
		}

		e.Annotations = map[string]string{v1alpha2.AnnotationReplaceAgent: "true"}
		if Reserved(e) {
			t.Errorf("%s: still reserved", name)
		}
	}

	for _, file := range []string{"", "vmlinuz/", "initramfs.xz", "../vmlinuz"} {
		if _, ok := Ref(e, file); ok {
			t.Errorf("serves %q", file)
		}
	}
}

func TestConditions(t *testing.T) {
	kernel, initrd := v1alpha2.Asset{URL: "http://a/k"}, v1alpha2.Asset{URL: "http://a/i", SHA512: strings.Repeat("AB", 64)}
	there := download.State{Blob: &store.Blob{Digest: "ab", Size: 5}}
	next := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))

	for name, test := range map[string]struct {
		kernel, initrd download.State
		want           []v1alpha2.AssetCondition
	}{
		"all there": {there, there, []v1alpha2.AssetCondition{
			{Asset: kernel, Type: "Ready", Status: "True", Reason: "Downloaded", Size: 5, Digest: "ab"},
			{Asset: initrd, Type: "Ready", Status: "True", Reason: "Verified", Size: 5, Digest: "ab"},
		}},
		"the missing one is first": {there, download.State{Reason: download.Queued}, []v1alpha2.AssetCondition{
			{Asset: initrd, Type: "Ready", Status: "False", Reason: "Queued", Message: "waits for other downloads"},
			{Asset: kernel, Type: "Ready", Status: "True", Reason: "Downloaded", Size: 5, Digest: "ab"},
		}},
		"under way": {download.State{Reason: download.Downloading, Received: 3 << 20, Total: 80 << 20}, download.State{Reason: download.Downloading, Received: 7},
			[]v1alpha2.AssetCondition{
				{Asset: kernel, Type: "Ready", Status: "False", Reason: "Downloading", Message: "3 of 80 MiB", Size: 80 << 20, Received: 3 << 20},
				{Asset: initrd, Type: "Ready", Status: "False", Reason: "Downloading", Received: 7},
			}},
		"failed": {
			download.State{Reason: download.Truncated, Err: errors.New("cut"), Next: next, Received: 3, Total: 5},
			download.State{Reason: download.Unreachable, Err: errors.New("no route")},
			[]v1alpha2.AssetCondition{
				{Asset: kernel, Type: "Ready", Status: "False", Reason: "Truncated", Message: "cut; next try by 2026-01-02T02:04:05Z", Size: 5, Received: 3},
				{Asset: initrd, Type: "Ready", Status: "False", Reason: "Unreachable", Message: "no route; or bring the file yourself and put it at /import/http://a/i"},
			},
		},
	} {
		e := &v1alpha2.Environment{ObjectMeta: metav1.ObjectMeta{Name: "x"}}
		e.Spec.Kernel.Asset, e.Spec.Initrd.Asset = kernel, initrd

		teller := teller{
			state: func(ref store.Ref) download.State {
				if ref.URL == kernel.URL {
					return test.kernel
				}

				return test.initrd
			},
			place: func(url string) (string, error) { return "/import/" + url, nil },
		}
		if diff := cmp.Diff(test.want, teller.conditions(e)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestUnusedFilesGo, but none that an Environment names, even before anybody has asked for it since the start.
func TestUnusedFilesGo(t *testing.T) {
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}

	for _, url := range []string{"http://a/k", "http://a/upgrade", "http://a/unused"} {
		partial, err := kept.Partial(url)
		if err != nil {
			t.Fatal(err)
		}

		if _, err := partial.Write([]byte(url)); err != nil {
			t.Fatal(err)
		}

		if _, err := partial.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}

		if err := partial.Keep(); err != nil {
			t.Fatal(err)
		}
	}

	folder, err := offline.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}

	scheme := runtime.NewScheme()
	if err := v1alpha2.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}

	e := &v1alpha2.Environment{ObjectMeta: metav1.ObjectMeta{Name: "x"}}
	e.Spec.Kernel.URL = "http://a/k"

	log := slog.New(slog.DiscardHandler)
	c := collector{
		client:    fake.NewClientBuilder().WithScheme(scheme).WithObjects(e).Build(),
		downloads: download.New(download.Config{Store: kept, Offline: folder, Log: log}), store: kept, log: log,
	}
	c.downloads.Want(upgradeOwner+"default", store.Ref{URL: "http://a/upgrade"})

	now := time.Now()
	for _, at := range []time.Time{now, now.Add(store.Grace)} {
		if err := c.collect(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}

	for url, want := range map[string]bool{"http://a/k": true, "http://a/upgrade": true, "http://a/unused": false} {
		if _, err := kept.Find(store.Ref{URL: url}); (err == nil) != want {
			t.Errorf("%s: %v", url, err)
		}
	}
}
