package v1alpha2_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

func TestConditions(t *testing.T) {
	before := v1alpha2.Conditions{{Type: "B", Status: corev1.ConditionTrue}, {Type: "D", Status: corev1.ConditionFalse}}
	kept := slices.Clone(before)

	for name, c := range map[string]struct {
		got, want v1alpha2.Conditions
	}{
		"with another": {before.With(v1alpha2.Condition{Type: "C"}), v1alpha2.Conditions{kept[0], {Type: "C"}, kept[1]}},
		"with it":      {before.With(v1alpha2.Condition{Type: "B", Reason: "New"}), v1alpha2.Conditions{{Type: "B", Reason: "New"}, kept[1]}},
		"without it":   {before.Without("B"), kept[1:]},
		"without none": {before.Without("C"), kept},
		"of none":      {v1alpha2.Conditions(nil).With(v1alpha2.Condition{Type: "A"}), v1alpha2.Conditions{{Type: "A"}}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, c.got, c.want)
		}
	}

	if !slices.Equal(before, kept) {
		t.Errorf("the conditions themselves have become %+v", before)
	}

	if c, ok := before.Find("D"); !ok || c != kept[1] {
		t.Errorf("found %+v, %v", c, ok)
	}

	if _, ok := before.Find("C"); ok || before.Is("C", "") || before.Is("B", corev1.ConditionFalse) || !before.Is("B", corev1.ConditionTrue) {
		t.Errorf("of %+v the wrong ones are there", before)
	}
}
