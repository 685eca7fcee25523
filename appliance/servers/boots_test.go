package servers_test

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
)

// testBoots: one server by itself tells how it booted, several do not.
func testBoots(r *room) {
	now := time.Now()
	r.Now = func() time.Time { return now }
	step := func(ago time.Duration, name, address, detail string) v1alpha2.BootStep {
		return v1alpha2.BootStep{Time: metav1.NewTime(now.Add(-ago)), Step: name, Address: address, Detail: detail}
	}
	stuck := step(3*time.Hour-4*time.Second, "tftp", "10.0.0.31", "snponly.efi: timed out")
	stuck.Repeated = 3

	r.make(box, func(s *v1alpha2.Server) {
		s.Status.Boots = []v1alpha2.Boot{
			{StartedAt: metav1.NewTime(now.Add(-5 * time.Minute)), Steps: []v1alpha2.BootStep{
				step(5*time.Minute, "dhcp", "", "told to load snponly.efi"), step(282*time.Second, "agent", "10.0.0.31", ""),
			}},
			{StartedAt: metav1.NewTime(now.Add(-3 * time.Hour)), Steps: []v1alpha2.BootStep{stuck}},
			{StartedAt: metav1.NewTime(now.Add(-72 * time.Hour))},
		}
	})
	r.make(spare, plain)

	const line = "NAME                                   HOSTNAME   PHASE   POWER   BMC   HARDWARE   LAST SEEN   AGE   WAITING FOR\n" +
		"1c28b946-2f0a-59fb-a371-49bf64bc66a8                                                           0s\n"

	r.expect(r.List(r.t.Context(), []string{box}, servers.Table), line+strings.TrimPrefix(`

BOOTED   REACHED   WITHIN   ADDRESS     WHAT WAS SEEN
5m ago   agent     18s      10.0.0.31   it runs the registration agent
3h ago   tftp      4s       10.0.0.31   it loaded a boot file: snponly.efi: timed out (3 times more)
3d ago             0s
`, "\n"), "", "")
	r.expect(r.List(r.t.Context(), nil, servers.Table), line+
		"1c28c0de-d0e6-5312-8718-54931cbb5ae5                                                           0s\n", "", "")
}
