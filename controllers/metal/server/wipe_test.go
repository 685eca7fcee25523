package server

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

func TestWipeFailure(t *testing.T) {
	ended := &metav1.Time{Time: noon()}
	sda := v1alpha2.WipeDiskStatus{Name: "sda", Description: "/dev/sda, 512 GB, serial S1234", Action: "wipe", State: "failed", Error: "write: input/output error"}
	sdb := v1alpha2.WipeDiskStatus{Name: "sdb", Action: "wipe", State: "done"}
	again := v1alpha2.WipeDiskStatus{Name: "sda", Action: "wipe", State: "planned"}

	for name, c := range map[string]struct {
		wipe *v1alpha2.WipeStatus
		want string
	}{
		"nothing known":   {},
		"goes on":         {wipe: &v1alpha2.WipeStatus{Disks: []v1alpha2.WipeDiskStatus{sda, sdb}}},
		"succeeded":       {wipe: &v1alpha2.WipeStatus{FinishedAt: ended, Disks: []v1alpha2.WipeDiskStatus{sdb}}},
		"is planned anew": {wipe: &v1alpha2.WipeStatus{FinishedAt: ended, Disks: []v1alpha2.WipeDiskStatus{again, sdb}}},
		"a disk failed": {
			wipe: &v1alpha2.WipeStatus{FinishedAt: ended, Disks: []v1alpha2.WipeDiskStatus{sda, sdb}},
			want: "a person: the wipe failed, and is tried again: disk sda (/dev/sda, 512 GB, serial S1234): write: input/output error: " +
				"replace what is broken, or name it in spec.wipe.keep of the server: it is left as it is then",
		},
		"a policy without a disk": {
			wipe: &v1alpha2.WipeStatus{FinishedAt: ended, Problem: "plan wipe: no disk has serial X"},
			want: "a person: the wipe failed, and is tried again: plan wipe: no disk has serial X: " +
				"what is wiped is said by spec.wipe of the server, or of its ServerClass",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := wipeFailure(c.wipe); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}
