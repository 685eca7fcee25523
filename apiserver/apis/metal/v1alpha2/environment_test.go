package v1alpha2_test

import (
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// TestEnvironmentReady holds readiness to upstream's rules, and to the digest.
func TestEnvironmentReady(t *testing.T) {
	var (
		kernel = v1alpha2.Asset{URL: "http://a/vmlinuz"}
		initrd = v1alpha2.Asset{URL: "http://a/initramfs.xz"}
		digest = v1alpha2.Asset{URL: "http://a/vmlinuz", SHA512: "ab"}
	)

	is := func(asset v1alpha2.Asset, kind, status string) v1alpha2.AssetCondition {
		return v1alpha2.AssetCondition{Asset: asset, Type: kind, Status: status}
	}

	for name, test := range map[string]struct {
		kernel, initrd v1alpha2.Asset
		conditions     []v1alpha2.AssetCondition
		want           bool
	}{
		"no URLs":          {want: true},
		"no status":        {kernel: kernel, initrd: initrd},
		"one of two":       {kernel, initrd, []v1alpha2.AssetCondition{is(kernel, "Ready", "True")}, false},
		"both":             {kernel, initrd, []v1alpha2.AssetCondition{is(initrd, "Ready", "True"), is(kernel, "Ready", "True")}, true},
		"one false":        {kernel, initrd, []v1alpha2.AssetCondition{is(initrd, "Ready", "False"), is(kernel, "Ready", "True")}, false},
		"another type":     {kernel, v1alpha2.Asset{}, []v1alpha2.AssetCondition{is(kernel, "Fine", "True")}, false},
		"only a kernel":    {kernel, v1alpha2.Asset{}, []v1alpha2.AssetCondition{is(kernel, "Ready", "True")}, true},
		"the same for two": {kernel, kernel, []v1alpha2.AssetCondition{is(kernel, "Ready", "True")}, true},
		"of another URL":   {kernel, v1alpha2.Asset{}, []v1alpha2.AssetCondition{is(initrd, "Ready", "True")}, false},
		"digest added":     {digest, v1alpha2.Asset{}, []v1alpha2.AssetCondition{is(kernel, "Ready", "True")}, false},
		"digest checked":   {digest, v1alpha2.Asset{}, []v1alpha2.AssetCondition{is(digest, "Ready", "True")}, true},
	} {
		e := v1alpha2.Environment{
			Spec:   v1alpha2.EnvironmentSpec{Kernel: v1alpha2.Kernel{Asset: test.kernel}, Initrd: v1alpha2.Initrd{Asset: test.initrd}},
			Status: v1alpha2.EnvironmentStatus{Conditions: test.conditions},
		}
		if got := e.Ready(); got != test.want {
			t.Errorf("%s: ready %t", name, got)
		}
	}
}
