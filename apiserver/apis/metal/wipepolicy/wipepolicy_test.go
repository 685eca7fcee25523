package wipepolicy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/wipepolicy"
)

func class(name string, wipe v1alpha2.WipePolicy) v1alpha2.ServerClass {
	return v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha2.ServerClassSpec{Wipe: &wipe}}
}

func install(serial string) v1alpha2.WipePolicy {
	return v1alpha2.WipePolicy{Disks: v1alpha2.WipeInstallDisk, InstallDisk: &v1alpha2.DiskSelector{Serial: serial}}
}

func selected(serials ...string) v1alpha2.WipePolicy {
	policy := v1alpha2.WipePolicy{Disks: v1alpha2.WipeSelected}
	for _, serial := range serials {
		policy.Selected = append(policy.Selected, v1alpha2.DiskSelector{Serial: serial})
	}

	return policy
}

func keeping(serials ...string) v1alpha2.WipePolicy {
	var policy v1alpha2.WipePolicy
	for _, serial := range serials {
		policy.Keep = append(policy.Keep, v1alpha2.DiskSelector{Serial: serial})
	}

	return policy
}

// having is a policy with another's disks that are kept.
func having(policy, keep v1alpha2.WipePolicy) v1alpha2.WipePolicy {
	policy.Keep = keep.Keep

	return policy
}

// by is a policy with a method.
func by(method v1alpha2.WipeMethod, policy v1alpha2.WipePolicy) v1alpha2.WipePolicy {
	policy.Method = method

	return policy
}

func TestDecide(t *testing.T) {
	all := v1alpha2.WipePolicy{Disks: v1alpha2.WipeAll}
	none := v1alpha2.WipePolicy{Disks: v1alpha2.WipeNone}

	const fast, zero, secure = v1alpha2.WipeFast, v1alpha2.WipeZero, v1alpha2.WipeSecure

	ofBigMachines := class("big", install("A"))
	ofBigMachines.Spec.Selector.MatchLabels = map[string]string{"hardware.sidero.dev/cores": "64"}

	ofSmallMachines := class("small", none)
	ofSmallMachines.Spec.Selector.MatchLabels = map[string]string{"hardware.sidero.dev/cores": "2"}

	for name, c := range map[string]struct {
		server  *v1alpha2.WipePolicy
		last    string
		classes []v1alpha2.ServerClass
		want    v1alpha2.WipePolicy
		from    string
		unclear string
	}{
		"nobody says": {
			classes: []v1alpha2.ServerClass{{ObjectMeta: metav1.ObjectMeta{Name: "any"}}, ofSmallMachines},
			want:    by(zero, all), from: "disks: the appliance's default; method: the appliance's default",
		},
		"the server": {
			server: new(by(fast, install("S"))), last: "a", classes: []v1alpha2.ServerClass{class("a", by(secure, none)), class("b", all)},
			want: by(fast, install("S")), from: "disks: the Server; method: the Server",
		},
		"the server, but not how": {
			server: &none, classes: []v1alpha2.ServerClass{class("a", by(fast, all))},
			want: by(fast, none), from: "disks: the Server; method: ServerClass a",
		},
		"the server says how only": {
			server: new(by(fast, v1alpha2.WipePolicy{})), classes: []v1alpha2.ServerClass{class("a", install("A"))},
			want: by(fast, install("A")), from: "disks: ServerClass a; method: the Server",
		},
		"the last class": {
			last: "a", classes: []v1alpha2.ServerClass{class("b", none), class("a", by(fast, all))},
			want: by(fast, all), from: "disks: ServerClass a, which it was taken from; method: ServerClass a, which it was taken from",
		},
		"the last class is gone": {
			last: "x", classes: []v1alpha2.ServerClass{class("a", install("A"))},
			want: by(zero, install("A")), from: "disks: ServerClass a; method: the appliance's default",
		},
		"the last class says nothing of disks": {
			last: "a", classes: []v1alpha2.ServerClass{class("a", by(fast, v1alpha2.WipePolicy{})), class("b", install("B"))},
			want: by(fast, install("B")), from: "disks: ServerClass b; method: ServerClass a, which it was taken from",
		},
		"the last class need not fit any more": {
			last: "small", classes: []v1alpha2.ServerClass{ofSmallMachines, class("a", all)},
			want: by(zero, none), from: "disks: ServerClass small, which it was taken from; method: the appliance's default",
		},
		"by labels that the server does not carry yet": {
			classes: []v1alpha2.ServerClass{ofBigMachines},
			want:    by(zero, install("A")), from: "disks: ServerClass big; method: the appliance's default",
		},
		"classes agree": {
			classes: []v1alpha2.ServerClass{class("b", install("A")), class("a", install("A"))},
			want:    by(zero, install("A")), from: "disks: ServerClass a, ServerClass b; method: the appliance's default",
		},
		"less counts": {
			classes: []v1alpha2.ServerClass{class("a", all), class("b", selected("A", "B")), class("c", all)},
			want:    by(zero, selected("A", "B")), from: "disks: ServerClass b (less than ServerClass a, ServerClass c); method: the appliance's default",
		},
		"none counts": {
			classes: []v1alpha2.ServerClass{class("a", install("A")), class("b", none), class("c", install("C"))},
			want:    by(zero, none), from: "disks: ServerClass b (less than ServerClass a, ServerClass c); method: the appliance's default",
		},
		"the more thorough counts": {
			classes: []v1alpha2.ServerClass{class("a", by(zero, all)), class("b", by(secure, all)), class("c", by(fast, all))},
			want:    by(secure, all), from: "disks: ServerClass a, ServerClass b, ServerClass c; method: ServerClass b",
		},
		"two install disks": {
			classes: []v1alpha2.ServerClass{class("a", install("A")), class("b", install("B")), class("c", all)},
			want:    by(zero, none), from: "disks: nobody; method: the appliance's default",
			unclear: "ServerClass a and ServerClass b choose different disks to wipe: set spec.wipe of the server, or make them agree",
		},
		"an install disk and a choice": {
			classes: []v1alpha2.ServerClass{class("a", all), class("b", selected("A")), class("c", install("A"))},
			want:    by(zero, none), from: "disks: nobody; method: the appliance's default",
			unclear: "ServerClass c and ServerClass b choose different disks to wipe: set spec.wipe of the server, or make them agree",
		},
		"the server decides what classes cannot": {
			server: &all, classes: []v1alpha2.ServerClass{class("a", install("A")), class("b", install("B"))},
			want: by(zero, all), from: "disks: the Server; method: the appliance's default",
		},
		"kept by any is kept": {
			server: new(having(all, keeping("1"))), last: "a",
			classes: []v1alpha2.ServerClass{class("a", keeping("2", "1")), class("b", keeping("3")), class("c", all)},
			want:    by(zero, having(all, keeping("1", "2", "3"))),
			from: "disks: the Server; method: the appliance's default; " +
				"kept disks: the Server, ServerClass a, which it was taken from, ServerClass b",
		},
		"kept where all is wiped by default": {
			classes: []v1alpha2.ServerClass{class("any", keeping("1"))},
			want:    by(zero, having(all, keeping("1"))), from: "disks: the appliance's default; method: the appliance's default; kept disks: ServerClass any",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := &v1alpha2.Server{Status: v1alpha2.ServerStatus{AllocatedFrom: c.last}, Spec: v1alpha2.ServerSpec{
				Wipe: c.server, Hardware: &v1alpha2.HardwareInformation{Compute: &v1alpha2.ComputeInformation{TotalCoreCount: 64}},
			}}

			got := wipepolicy.Decide(server, c.classes, zero)
			if diff := cmp.Diff(wipepolicy.Decision{Policy: c.want, From: c.from, Unclear: c.unclear}, got); diff != "" {
				t.Error(diff)
			}

			if want := c.want.Disks == v1alpha2.WipeAll && c.want.Keep == nil; got.Everything() != want {
				t.Errorf("wipes everything: %t", got.Everything())
			}

			if server.Labels != nil {
				t.Error("labels the server")
			}
		})
	}
}

// TestUndecidedExpressions has classes of which nobody can tell whether they are about a server: what they would spare is not wiped.
func TestUndecidedExpressions(t *testing.T) {
	of := func(expression string) func(wipe v1alpha2.WipePolicy) v1alpha2.ServerClass {
		return func(wipe v1alpha2.WipePolicy) v1alpha2.ServerClass {
			c := class("storage", wipe)
			c.Spec.Expression = expression

			return c
		}
	}
	fails, senseless := of("server.spec.hardware.memory.totalSize != ''"), of("(")

	selects := class("storage", keeping("1"))
	selects.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Maybe"}}

	ofOthers := senseless(keeping("1"))
	ofOthers.Spec.Selector.MatchLabels = map[string]string{"rack": "2"}

	all, none := v1alpha2.WipePolicy{Disks: v1alpha2.WipeAll}, v1alpha2.WipePolicy{Disks: v1alpha2.WipeNone}

	for name, c := range map[string]struct {
		server  *v1alpha2.WipePolicy
		last    string
		class   v1alpha2.ServerClass
		unclear string
	}{
		"keeps":                          {class: fails(keeping("1")), unclear: "no such key"},
		"keeps, and the server says all": {server: &all, class: fails(keeping("1")), unclear: "no such key"},
		"wipes none":                     {class: fails(none), unclear: "no such key"},
		"wipes few":                      {class: fails(selected("1")), unclear: "no such key"},
		"the server decides":             {server: &all, class: fails(none)},
		"wipes all":                      {class: fails(by(v1alpha2.WipeFast, all))},
		"the last class need not fit":    {last: "storage", class: fails(keeping("1"))},

		"not compiled, keeps":                          {class: senseless(keeping("1")), unclear: "compile expression"},
		"not compiled, keeps, and the server says all": {server: &all, class: senseless(keeping("1")), unclear: "compile expression"},
		"not compiled, wipes none":                     {class: senseless(none), unclear: "compile expression"},
		"not compiled, the server decides":             {server: &all, class: senseless(none)},
		"not compiled, wipes all":                      {class: senseless(by(v1alpha2.WipeFast, all))},
		"not compiled, of other servers":               {class: ofOthers},
		"not compiled, the last class":                 {last: "storage", class: senseless(keeping("1"))},
		"no selector, keeps":                           {class: selects, unclear: "Maybe"},
	} {
		t.Run(name, func(t *testing.T) {
			server := &v1alpha2.Server{Status: v1alpha2.ServerStatus{AllocatedFrom: c.last}, Spec: v1alpha2.ServerSpec{Wipe: c.server}}
			got := wipepolicy.Decide(server, []v1alpha2.ServerClass{c.class, class("any", v1alpha2.WipePolicy{})}, v1alpha2.WipeZero)

			if unclear := c.unclear != ""; (got.Unclear != "") != unclear || (got.Policy.Disks == v1alpha2.WipeNone) != unclear {
				t.Errorf("unclear: %q, wipes %s", got.Unclear, got.Policy.Disks)
			}

			if c.unclear != "" && (!strings.Contains(got.Unclear, "ServerClass storage") || !strings.Contains(got.Unclear, c.unclear)) {
				t.Errorf("does not tell which class, and why: %q", got.Unclear)
			}
		})
	}
}

// TestMissing: nothing is wiped while a disk is not there that the server itself is to keep: its number may be mistyped.
func TestMissing(t *testing.T) {
	disks := []*v1alpha2.StorageDevice{{Serial: "S1", WWID: "naa.5000c500a1b2c3d4"}, {Serial: "S2"}, nil}
	silent := []*v1alpha2.StorageDevice{{}, {}}

	for name, c := range map[string]struct {
		keep  v1alpha2.DiskSelector
		disks []*v1alpha2.StorageDevice
		why   string
	}{
		"there":               {v1alpha2.DiskSelector{Serial: " S2 "}, disks, ""},
		"mistyped":            {v1alpha2.DiskSelector{Serial: "S3"}, disks, `spec.wipe.keep[0].serial of the server is "S3", and none of its disks has that: correct it, or remove it if the disk is gone; they have S1, S2`},
		"a pattern":           {v1alpha2.DiskSelector{Serial: "X*"}, disks, ""},
		"wwid of lsblk":       {v1alpha2.DiskSelector{WWID: "0x5000C500A1B2C3D4"}, disks, ""},
		"another wwid":        {v1alpha2.DiskSelector{WWID: "0x5000"}, disks, `spec.wipe.keep[0].wwid`},
		"by model":            {v1alpha2.DiskSelector{Model: "none"}, disks, ""},
		"disks tell nothing":  {v1alpha2.DiskSelector{Serial: "S3"}, silent, ""},
		"not registered ever": {v1alpha2.DiskSelector{Serial: "S3"}, nil, ""},
	} {
		s := &v1alpha2.Server{}
		s.Spec.Wipe = &v1alpha2.WipePolicy{Disks: v1alpha2.WipeAll, Keep: []v1alpha2.DiskSelector{c.keep}}

		if c.disks != nil {
			s.Spec.Hardware = &v1alpha2.HardwareInformation{Storage: &v1alpha2.StorageInformation{Devices: c.disks}}
		}

		d := wipepolicy.Decide(s, nil, v1alpha2.WipeFast)
		if !strings.HasPrefix(d.Unclear, c.why) || (d.Unclear == "") != (c.why == "") || (d.Policy.Disks == v1alpha2.WipeNone) != (c.why != "") {
			t.Errorf("%s: %q, disks %s", name, d.Unclear, d.Policy.Disks)
		}
	}
}
