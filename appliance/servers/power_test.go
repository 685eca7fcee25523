package servers_test

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
)

// takeUp is the appliance: it removes what will be asked for, and writes what came of it.
func (r *room) takeUp(name string, report func(*v1alpha2.ServerStatus)) {
	r.t.Helper()

	watching, err := client.NewWithWatch(r.plane.Admin, client.Options{Scheme: r.Client.Scheme(), Mapper: r.Client.RESTMapper()})
	must(r.t, err)

	changes, err := watching.Watch(r.t.Context(), &v1alpha2.ServerList{})
	must(r.t, err)

	go func() {
		defer changes.Stop()

		for change := range changes.ResultChan() {
			s, ok := change.Object.(*v1alpha2.Server)
			if !ok || s.Name != name || s.Annotations[v1alpha2.PowerRequestAnnotation] == "" {
				continue
			}

			delete(s.Annotations, v1alpha2.PowerRequestAnnotation)

			if err := r.Client.Update(r.t.Context(), s); err != nil {
				r.t.Error(err)
			}

			report(&s.Status)

			if err := r.Client.Status().Update(r.t.Context(), s); err != nil {
				r.t.Error(err)
			}

			return
		}
	}()
}

func power(state string) func(*v1alpha2.ServerStatus) {
	return func(s *v1alpha2.ServerStatus) { s.Power = state }
}

func broken(message string, since time.Time) func(*v1alpha2.ServerStatus) {
	return func(s *v1alpha2.ServerStatus) {
		s.Conditions = v1alpha2.Conditions{{
			Type: v1alpha2.ConditionPowerControl, Status: "False", Reason: "NotReachable", Message: message, LastTransitionTime: metav1.Time{Time: since},
		}}
	}
}

// hurry makes each look at the clock a second.
func (r *room) hurry() {
	now := time.Now()
	r.Now = func() time.Time { now = now.Add(time.Second); return now }
}

func testPower(r *room) {
	r.fill()
	r.hurry()
	r.Verbose = true

	note := spare + " (spare): it is clean and not in use, and is turned off again unless it is paused\n"
	command := func(order string) string {
		return "kubectl annotate server " + spare + " --overwrite metal.sidero.dev/power=" + order + "\n"
	}

	r.takeUp(spare, power("on"))
	r.expect(r.Power(r.t.Context(), []string{"spare"}, servers.On, time.Hour), spare+" (spare): power is on\n", note+command("on"), "")

	r.takeUp(spare, func(*v1alpha2.ServerStatus) {})
	r.expect(r.Power(r.t.Context(), []string{"spare"}, servers.Cycle, time.Hour),
		spare+" (spare): power cycle asked for, and nothing went wrong: power is on\n", note+command("cycle"), "")

	r.takeUp(spare, broken("the BMC hangs", time.Now().Add(-time.Hour)))
	r.expect(r.Power(r.t.Context(), []string{"spare"}, servers.Off, time.Hour), "", command("off"),
		spare+" (spare): its power control does not work (NotReachable): the BMC hangs")

	// It fails again in the same way: that is told when the time is over.
	r.takeUp(spare, func(*v1alpha2.ServerStatus) {})
	r.expect(r.Power(r.t.Context(), []string{"spare"}, servers.Off, time.Minute), "", command("off"),
		spare+" (spare): its power control does not work (NotReachable): the BMC hangs")

	// The appliance says itself what became of it, once for each request.
	requested := func(status corev1.ConditionStatus, reason, message string) func(*v1alpha2.ServerStatus) {
		return func(s *v1alpha2.ServerStatus) {
			s.Conditions = append(s.Conditions[:1:1], v1alpha2.Condition{
				Type: v1alpha2.ConditionPowerRequested, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.Now(),
			})
		}
	}
	r.takeUp(spare, requested("False", "Refused", "power off: a wipe is under way"))
	r.expect(r.Power(r.t.Context(), []string{"spare"}, servers.Off, time.Hour), "", command("off"),
		spare+" (spare): it was not done (Refused): power off: a wipe is under way")

	// It works again.
	r.takeUp(spare, func(s *v1alpha2.ServerStatus) { power("off")(s); requested("True", "Done", "power off")(s) })
	r.expect(r.Power(r.t.Context(), []string{"spare"}, servers.Off, time.Hour), spare+" (spare): power is off\n", command("off"), "")

	r.expect(r.PowerStatus(r.t.Context(), []string{"spare", used}), `NAME                                   HOSTNAME   POWER   DRIVER   BMC             PROBLEM
`+spare+`   spare      off     ipmi     10.0.0.9:6230   the BMC hangs
`+used+"              on      api\n",
		"kubectl get servers "+spare+" "+used+` -o custom-columns='NAME:.metadata.name,POWER:.status.power,PROBLEM:.status.conditions[?(@.type=="PowerControl")].message'`+"\n", "")

	r.Verbose = false
	r.takeUp(used, func(*v1alpha2.ServerStatus) {})
	r.expect(r.Power(r.t.Context(), []string{used}, servers.Off, time.Minute), "", used+": it is in use, and is turned on again unless it is paused\n",
		used+`: it is asked for power off, but its power is on: "kubectl describe server `+used+`" tells what was done`)

	paused := r.get(used)
	paused.Annotations = map[string]string{"cluster.x-k8s.io/paused": "true"}
	must(r.t, r.Client.Update(r.t.Context(), paused))
	r.expect(r.Power(r.t.Context(), []string{used}, servers.Off, 0), used+": asked for power off\n", "", "")
	r.expect(r.Power(r.t.Context(), []string{used}, servers.Off, time.Minute), "", "",
		used+": nobody has taken up that it is asked for power off: see whether the appliance runs, and its metal controllers with it")

	ctx, interrupt := context.WithCancel(r.t.Context())
	r.Now = func() time.Time { interrupt(); return time.Now() }
	r.expect(r.Power(ctx, []string{used}, servers.Off, time.Minute), "", "", "interrupted: what was asked for is done nevertheless")
}

func testPowerless(r *room) {
	r.fill()
	r.hurry()
	r.make("manual", func(s *v1alpha2.Server) { s.Spec.Accepted = true })
	r.make("half", func(s *v1alpha2.Server) {
		s.Spec.Accepted, s.Spec.BMC = true, &v1alpha2.BMC{Endpoint: "10.0.0.9", User: "admin"}
	})
	r.make("double", func(s *v1alpha2.Server) { doubtful(s); s.Spec.Accepted = true })
	r.make("wol", func(s *v1alpha2.Server) {
		s.Spec.Accepted, s.Spec.Power = true, &v1alpha2.PowerControl{Driver: v1alpha2.PowerWakeOnLAN}
	})
	r.takeUp("wol", func(s *v1alpha2.ServerStatus) {
		s.Power = "unknown"
		s.Conditions = v1alpha2.Conditions{{Type: v1alpha2.ConditionPowerControl, Status: "True", LastTransitionTime: metav1.Now()}}
	})
	r.expect(r.Power(r.t.Context(), []string{box, "manual", "half", "double", "wol"}, servers.On, time.Hour),
		"wol: power on asked for, and nothing went wrong: its power control cannot tell whether it is on\n", "",
		box+` (box?[2J): it is not accepted, so nothing is done to it: accept it first with "sidero-appliance accept `+box+`"`+"\n"+
			"manual: nothing controls its power, so somebody has to go there: spec.bmc or spec.power of the server changes that\n"+
			"half: its BMC's user and password are not known yet: its agent sets them up, or you write them into spec.bmc\n"+
			"double: another machine claims the same identity, so nobody knows which one this is: the server's condition DuplicateIdentity tells how to decide")

	r.takeUp("manual", func(s *v1alpha2.ServerStatus) {
		s.Conditions = v1alpha2.Conditions{{Type: v1alpha2.ConditionPowerRequested, Status: "True", Reason: v1alpha2.ReasonAgentObeys, LastTransitionTime: metav1.Now()}}
	})
	r.expect(r.Power(r.t.Context(), []string{"manual"}, servers.Off, time.Hour), "manual: its agent turns it off\n", "", "")

	if len(r.get(box).Annotations) != 0 {
		r.t.Error("a server that is not accepted is asked for its power")
	}
}
