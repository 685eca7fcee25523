package servers_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
)

// The servers of these tests, whose names begin alike.
const (
	box   = "1c28b946-2f0a-59fb-a371-49bf64bc66a8"
	spare = "1c28c0de-d0e6-5312-8718-54931cbb5ae5"
	used  = "7fc2af1c-16fb-549a-b1af-f8bb719ea817"
)

func TestMain(m *testing.M) {
	apitest.CaptureLog()
	m.Run()
}

// room is an appliance's API and a terminal.
type room struct {
	*servers.Pool

	t        testing.TB
	plane    *apitest.Plane
	in       *strings.Reader
	out, err bytes.Buffer
}

func newRoom(t testing.TB, plane *apitest.Plane) *room {
	t.Helper()

	c, err := servers.NewClient(plane.Admin)
	must(t, err)

	r := &room{t: t, plane: plane}
	r.Pool = &servers.Pool{
		Client: c, URL: plane.Admin.Host, In: strings.NewReader(""), Out: &r.out, Err: &r.err, Kubectl: "kubectl",
		Now: time.Now, Poll: 10 * time.Millisecond,
	}

	return r
}

func (r *room) types(line string) { r.In = strings.NewReader(line) }

// make stores a server with its status.
func (r *room) make(name string, edit func(*v1alpha2.Server)) {
	r.t.Helper()

	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: name}}
	edit(s)

	status := s.Status
	must(r.t, r.Client.Create(r.t.Context(), s))

	s.Status = status
	must(r.t, r.Client.Status().Update(r.t.Context(), s))
}

func (r *room) get(name string) *v1alpha2.Server {
	r.t.Helper()

	s := &v1alpha2.Server{}
	must(r.t, r.Client.Get(r.t.Context(), client.ObjectKey{Name: name}, s))

	return s
}

func (r *room) bind(server string, ref corev1.ObjectReference) {
	r.t.Helper()

	b := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: server}}
	ref.Kind, ref.Namespace = "MetalMachine", metav1.NamespaceDefault
	b.Spec.MetalMachineRef = ref
	must(r.t, r.Client.Create(r.t.Context(), b))
}

// expect compares what was printed since the last time, and how it ended.
func (r *room) expect(err error, out, complaints, failure string) {
	r.t.Helper()

	// The last column is empty more often than not.
	if got := regexp.MustCompile(" +\n").ReplaceAllString(r.out.String(), "\n"); got != out {
		r.t.Errorf("printed\n%s\nwant\n%s", got, out)
	}

	if got := r.err.String(); got != complaints {
		r.t.Errorf("said\n%s\nwant\n%s", got, complaints)
	}

	got := ""
	if err != nil {
		got = err.Error()
	}

	if got != failure {
		r.t.Errorf("error is\n%s\nwant\n%s", got, failure)
	}

	r.out.Reset()
	r.err.Reset()
}

func (r *room) clear() {
	r.t.Helper()

	must(r.t, r.Client.DeleteAllOf(r.t.Context(), &v1alpha3.ServerBinding{}))
	must(r.t, r.Client.DeleteAllOf(r.t.Context(), &v1alpha2.Server{}))
	must(r.t, r.Client.DeleteAllOf(r.t.Context(), &v1alpha3.MetalMachine{}, client.InNamespace(metav1.NamespaceDefault)))
}

func plain(*v1alpha2.Server) {}

// fill makes one server of each kind: new, clean and in use.
func (r *room) fill() {
	r.make(box, func(s *v1alpha2.Server) {
		s.Spec.Hostname = "box\x1b[2J"
		s.Status.Phase, s.Status.WaitingFor = "Registered", "a person to accept it"
	})
	r.make(spare, func(s *v1alpha2.Server) {
		s.Spec.Hostname, s.Spec.Accepted = "spare", true
		s.Spec.BMC = &v1alpha2.BMC{Endpoint: "10.0.0.9", Port: 6230, User: "admin", Pass: "x"}
		s.Spec.Hardware = &v1alpha2.HardwareInformation{
			System:  &v1alpha2.SystemInformation{Manufacturer: "ACME", ProductName: "R1"},
			Compute: &v1alpha2.ComputeInformation{TotalCoreCount: 16},
			Memory:  &v1alpha2.MemoryInformation{TotalSize: "64 GB"},
			Storage: &v1alpha2.StorageInformation{DeviceCount: 1, TotalSize: "512 GB"},
		}
		s.Status.Phase, s.Status.Power, s.Status.IsClean = "Clean", "off", true
		s.Status.LastSeen = &metav1.Time{Time: time.Now().Add(-3*time.Minute - time.Second)}
		s.Status.Addresses = []corev1.NodeAddress{{Type: "Hostname", Address: "spare"}, {Type: "InternalIP", Address: "10.0.0.8"}}
	})
	r.make(used, func(s *v1alpha2.Server) {
		s.Spec.Accepted, s.Spec.Cordoned = true, true
		s.Spec.ManagementAPI = &v1alpha2.ManagementAPI{Endpoint: "10.0.0.7:4000"}
		s.Status.Phase, s.Status.Power, s.Status.InUse = "InUse", "on", true
	})
	r.bind(used, corev1.ObjectReference{Name: "m"})
}

func TestPool(t *testing.T) {
	plane := apitest.Start(t)

	for _, test := range []struct {
		name string
		run  func(*room)
	}{
		{"nothing there", testEmpty},
		{"tables", testTables},
		{"kubectl's formats", testFormats},
		{"names", testNames},
		{"accept and cordon", testState},
		{"accept all", testAcceptAll},
		{"plan of a wipe", testPlan},
		{"wipe", testWipe},
		{"release", testRelease},
		{"power", testPower},
		{"power refused", testPowerless},
		{"completion", testCompletion},
		{"the same by kubectl", testKubectl},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRoom(t, plane)
			defer r.clear()
			test.run(r)
		})
	}
}

func testEmpty(r *room) {
	r.expect(r.List(r.t.Context(), nil, servers.Table), "",
		"There are no servers yet: switch machines on that boot from the network, and they turn up here.\n", "")
	r.expect(r.List(r.t.Context(), nil, servers.Name), "", "", "")
	r.expect(r.AcceptAll(r.t.Context()), "", "No server waits to be accepted.\n", "")
}

func testTables(r *room) {
	r.fill()

	now := time.Now().Add(2 * time.Hour)
	r.Now = func() time.Time { return now }

	r.expect(r.List(r.t.Context(), nil, servers.Table), strings.TrimPrefix(`
NAME                                   HOSTNAME   PHASE        POWER   BMC             HARDWARE                            LAST SEEN   AGE    WAITING FOR
1c28b946-2f0a-59fb-a371-49bf64bc66a8   box?[2J    Registered                                                                           120m   a person to accept it
1c28c0de-d0e6-5312-8718-54931cbb5ae5   spare      Clean        off     10.0.0.9:6230   16 cores, 64 GB, 1 disk of 512 GB   123m        120m
7fc2af1c-16fb-549a-b1af-f8bb719ea817              InUse        on                                                                      120m
`, "\n"), "", "")
	r.expect(r.List(r.t.Context(), []string{used, "spare"}, servers.Wide), strings.TrimPrefix(`
NAME                                   HOSTNAME   PHASE   ACCEPTED   CORDONED   ALLOCATED   CLEAN   POWER   DRIVER   BMC             HARDWARE                            MODEL     ADDRESSES   MACHINE     LAST SEEN   AGE    WAITING FOR
7fc2af1c-16fb-549a-b1af-f8bb719ea817              InUse   true       true       true        false   on      api                                                                                default/m               120m
1c28c0de-d0e6-5312-8718-54931cbb5ae5   spare      Clean   true       false      false       true    off     ipmi     10.0.0.9:6230   16 cores, 64 GB, 1 disk of 512 GB   ACME R1   10.0.0.8                123m        120m
`, "\n"), "", "")
}

func testFormats(r *room) {
	r.fill()

	kubectl := r.plane.Kubectl(r.t)

	for _, format := range []servers.Format{servers.JSON, servers.YAML, servers.Name} {
		for _, names := range [][]string{nil, {box}, {box, used}} {
			want := kubectl.Do(r.t, append([]string{"get", "servers", "-o", string(format)}, names...)...)
			r.expect(r.List(r.t.Context(), names, format), want, "", "")
		}
	}
}

func testNames(r *room) {
	r.fill()
	r.make("7fc2", plain)

	for word, want := range map[string]string{
		box: box, "1C28B": box, "SPARE": spare, "7fc2": "7fc2", "7fc2a": used, "7fc": "", "1c28": "", "": "", "nobody": "",
	} {
		err := r.List(r.t.Context(), []string{word}, servers.Name)
		if got := strings.TrimSpace(r.out.String()); got != strings.TrimSuffix("server.metal.sidero.dev/"+want, "server.metal.sidero.dev/") || (err == nil) != (want != "") {
			r.t.Errorf("%q means %q (%v), want %q", word, got, err, want)
		}

		r.out.Reset()
	}

	r.expect(r.List(r.t.Context(), []string{"1c28", "spare", "x", spare}, servers.Name), "server.metal.sidero.dev/"+spare+"\n", "",
		`"1c28" may mean `+box+" (box?[2J), or "+spare+" (spare): say more of the name\n"+
			`there is no server whose name starts with "x", and none of this hostname: "sidero-appliance servers" shows all`)
}

func testState(r *room) {
	r.fill()
	r.Verbose = true

	r.expect(r.Accept(r.t.Context(), []string{"spare", "nobody", box}), spare+" (spare): is accepted already\n"+box+" (box?[2J): accepted\n",
		"kubectl patch server "+box+` --type merge -p '{"spec":{"accepted":true}}'`+"\n",
		`there is no server whose name starts with "nobody", and none of this hostname: "sidero-appliance servers" shows all`)
	r.expect(r.Cordon(r.t.Context(), []string{used, "spare"}, true), used+": is cordoned already\n"+spare+" (spare): cordoned\n",
		"kubectl patch server "+spare+` --type merge -p '{"spec":{"cordoned":true}}'`+"\n", "")
	r.expect(r.Cordon(r.t.Context(), []string{used}, false), used+": uncordoned\n",
		"kubectl patch server "+used+` --type merge -p '{"spec":{"cordoned":false}}'`+"\n", "")

	if !r.get(box).Spec.Accepted || !r.get(spare).Spec.Cordoned || r.get(used).Spec.Cordoned {
		r.t.Error("not done")
	}
}

func doubtful(s *v1alpha2.Server) {
	s.Status.Conditions = v1alpha2.Conditions{{Type: v1alpha2.ConditionDuplicateIdentity, Status: "True", LastTransitionTime: metav1.Now()}}
}

func testAcceptAll(r *room) {
	r.fill()
	r.make("double", doubtful)

	r.expect(r.AcceptAll(r.t.Context()), box+" (box?[2J): accepted\n", "", "")
	r.expect(r.Accept(r.t.Context(), []string{"double"}), "", "",
		"double: another machine claims the same identity, so nobody knows which one this is: tell them apart first, and delete the server of one")

	if r.get("double").Spec.Accepted {
		r.t.Error("a server whose identity is in doubt is accepted")
	}
}

func planned(s *v1alpha2.Server) {
	s.Spec.Accepted, s.Spec.Hostname, s.Status.IsClean = true, "planned", true
	s.Status.Wipe = &v1alpha2.WipeStatus{
		PlannedAt: &metav1.Time{Time: time.Now().Add(-time.Hour)},
		Disks: []v1alpha2.WipeDiskStatus{
			{Name: "sda", Action: "wipe", Method: "fast", State: "running", Done: 1, Total: 4, Description: "ACME 1 TB", Reason: "all disks"},
			{Name: "sdb", Action: "keep", Reason: "read-only"},
			{Name: "sdc", Action: "wipe", Method: "zero", State: "failed", Reason: "all disks", Error: "i/o error"},
		},
	}
}

const plan = `p (planned)
planned 120m ago
DISK   ACTION   METHOD   STATE         WHAT        WHY
sda    wipe     fast     running 25%   ACME 1 TB   all disks
sdb    keep                                        read-only
sdc    wipe     zero     failed                    all disks; failed: i/o error
`

func testPlan(r *room) {
	r.fill()
	r.make("p", planned)

	now := time.Now().Add(time.Hour)
	r.Now, r.Verbose = func() time.Time { return now }, true

	r.expect(r.WipePlan(r.t.Context(), "planned"), plan, "kubectl get server p -o jsonpath='{.status.wipe}'\n", "")
	r.expect(r.WipePlan(r.t.Context(), "spare"), "", "kubectl get server "+spare+" -o jsonpath='{.status.wipe}'\n",
		spare+" (spare): its agent has not told yet what a wipe would do: start the machine from the network, and look again")
}

func testWipe(r *room) {
	r.fill()
	r.make("p", planned)
	r.make("dirty", func(s *v1alpha2.Server) { s.Spec.Accepted, s.Status.WaitingFor = true, "the wipe to end" })
	r.make("double", func(s *v1alpha2.Server) { doubtful(s); s.Spec.Accepted = true })

	now := time.Now().Add(time.Hour)
	r.Now, r.Verbose = func() time.Time { return now }, true

	r.expect(r.Wipe(r.t.Context(), box, true), "", "",
		box+` (box?[2J): it is not accepted, so it is not wiped: "sidero-appliance accept `+box+`" accepts it, and it is wiped then`)
	r.expect(r.Wipe(r.t.Context(), used, true), "", "",
		used+`: it is in use, so it is not wiped: "sidero-appliance release `+used+`" tells how to take it back, and it is wiped then`)
	r.expect(r.Wipe(r.t.Context(), "double", true), "", "",
		"double: another machine claims the same identity, so nobody knows which one this is: tell them apart first, and delete the server of one")
	r.expect(r.Wipe(r.t.Context(), "dirty", false), "dirty: is to be wiped already; it waits for the wipe to end\n", "", "")

	const question = "What is on the disks that are wiped is lost for ever.\nType wipe to go on: "

	for input, newline := range map[string]string{"": "\n", "yes\n": "", "wipe it\n": ""} {
		r.types(input)
		r.expect(r.Wipe(r.t.Context(), "p", false), "", plan+question+newline, "p (planned): not confirmed: nothing was done")
	}

	if !r.get("p").Status.IsClean {
		r.t.Error("it is wiped without a confirmation")
	}

	const change = ` --subresource status --type merge -p '{"status":{"isClean":false}}'` + "\n"

	r.types("wipe\n")
	r.expect(r.Wipe(r.t.Context(), "p", false), "p (planned): is wiped next\n", plan+question+"kubectl patch server p"+change, "")
	r.expect(r.Wipe(r.t.Context(), "spare", true), spare+" (spare): is wiped next\n", "kubectl patch server "+spare+change, "")

	if r.get("p").Status.IsClean || r.get(spare).Status.IsClean {
		r.t.Error("it is not wiped")
	}
}

func (r *room) machine(name string, edit func(*v1alpha3.MetalMachine)) types.UID {
	r.t.Helper()

	m := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault}}
	edit(m)
	must(r.t, r.Client.Create(r.t.Context(), m))

	return m.UID
}

func testRelease(r *room) {
	r.fill()
	r.Verbose = true

	r.expect(r.Release(r.t.Context(), "spare", true), "", "", spare+" (spare): it is not in use: there is nothing to take back")

	r.machine("m", func(*v1alpha3.MetalMachine) {})
	r.expect(r.Release(r.t.Context(), used, true), "", "",
		used+`: it belongs to MetalMachine m in namespace default: delete that one, with "kubectl delete metalmachine m -n default", and the server is taken back and wiped`)

	r.make("owned", plain)
	r.bind("owned", corev1.ObjectReference{Name: "worker"})
	r.machine("worker", func(m *v1alpha3.MetalMachine) {
		m.OwnerReferences = []metav1.OwnerReference{{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "Machine", Name: "rack-1-a", UID: "u"}}
	})
	r.expect(r.Release(r.t.Context(), "owned", true), "", "",
		`owned: it belongs to Machine rack-1-a in namespace default: delete that one, with "kubectl delete machine rack-1-a -n default", and the server is taken back and wiped`)

	r.make("stale", plain)
	r.bind("stale", corev1.ObjectReference{Name: "m", UID: "of-an-older-m"})
	r.types("no\n")

	const question = "\nMetalMachine m in namespace default, which it is in use for, is gone. The server is taken back and wiped: " +
		"what is on its disks is lost for ever.\nType release to go on: "

	r.expect(r.Release(r.t.Context(), "stale", false), "", "stale"+question, "stale: not confirmed: nothing was done")
	r.types("release\n")
	r.expect(r.Release(r.t.Context(), "stale", false), "stale: taken back; it is wiped next\n", "stale"+question+"kubectl delete serverbinding stale\n", "")

	r.make("leaving", plain)
	r.bind("leaving", corev1.ObjectReference{Name: "leaving"})
	r.machine("leaving", func(m *v1alpha3.MetalMachine) { m.Finalizers = []string{"test.example/keep"} })
	leaving := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: "leaving", Namespace: metav1.NamespaceDefault}}
	must(r.t, r.Client.Delete(r.t.Context(), leaving))
	r.expect(r.Release(r.t.Context(), "leaving", true), "leaving: taken back; it is wiped next\n", "kubectl delete serverbinding leaving\n", "")
	must(r.t, r.Client.Patch(r.t.Context(), leaving, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))

	left := &v1alpha3.ServerBindingList{}
	must(r.t, r.Client.List(r.t.Context(), left))

	if len(left.Items) != 2 { // that of used, and that of owned
		r.t.Errorf("%d are in use", len(left.Items))
	}
}

// takeUp is the appliance: it removes what was asked for, and writes what came of it.
func (r *room) takeUp(name string, report func(*v1alpha2.ServerStatus)) {
	r.t.Helper()

	go func() {
		for r.t.Context().Err() == nil {
			s := &v1alpha2.Server{}
			if err := r.Client.Get(r.t.Context(), client.ObjectKey{Name: name}, s); err == nil && s.Annotations[v1alpha2.PowerRequestAnnotation] != "" {
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

			time.Sleep(5 * time.Millisecond)
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

	// It works again.
	r.takeUp(spare, power("off"))
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
			"double: another machine claims the same identity, so nobody knows which one this is: tell them apart first, and delete the server of one")

	if len(r.get(box).Annotations) != 0 {
		r.t.Error("a server that is not accepted is asked for its power")
	}
}

func testCompletion(r *room) {
	r.fill()

	for _, test := range []struct {
		before []string
		begun  string
		want   string
	}{
		{nil, "", box + "\tbox?[2J Registered|" + spare + "\tspare Clean|" + used + "\tInUse"},
		{[]string{used, "spare"}, "", box + "\tbox?[2J Registered"},
		{nil, "sp", "spare\t" + spare},
		{nil, "7", used + "\tInUse"},
		{nil, "x", ""},
	} {
		if got := strings.Join(r.Complete(r.t.Context(), test.before, test.begun), "|"); got != test.want {
			r.t.Errorf("%v %q is completed to %q, want %q", test.before, test.begun, got, test.want)
		}
	}
}

// testKubectl has a shell do what Verbose prints, and compares what that does with what the pool does.
func testKubectl(r *room) {
	r.plane.Kubectl(r.t) // or it says how to build one
	r.Verbose = true

	document, err := os.ReadFile(filepath.Join(apitest.Root(r.t), "docs", "servers.md"))
	must(r.t, err)

	for _, test := range []struct {
		name       string
		documented bool
		do         func() error
	}{
		{"accept", true, func() error { return r.Accept(r.t.Context(), []string{"s"}) }},
		{"cordon", true, func() error { return r.Cordon(r.t.Context(), []string{"s"}, true) }},
		{"wipe", true, func() error { return r.Wipe(r.t.Context(), "s", true) }},
		{"power", true, func() error { return r.Power(r.t.Context(), []string{"s"}, servers.Off, 0) }},
		{"release", true, func() error { return r.Release(r.t.Context(), "s", true) }},
		{"list", false, func() error { return r.List(r.t.Context(), []string{"s"}, servers.Wide) }},
		{"plan", true, func() error { return r.WipePlan(r.t.Context(), "s") }},
		{"status", false, func() error { return r.PowerStatus(r.t.Context(), []string{"s"}) }},
	} {
		prepare := func() {
			r.clear()
			r.make("s", func(s *v1alpha2.Server) {
				planned(s)
				s.Spec.ManagementAPI = &v1alpha2.ManagementAPI{Endpoint: "10.0.0.7:4000"}
				s.Spec.Accepted = test.name != "accept"
			})

			if test.name == "release" {
				r.bind("s", corev1.ObjectReference{Name: "gone"})
			}
		}

		prepare()
		must(r.t, test.do())

		did, command := r.facts(), lastLine(r.err.String())
		r.out.Reset()
		r.err.Reset()
		prepare()

		shell := exec.CommandContext(r.t.Context(), "sh", "-c", command)
		shell.Env = append(os.Environ(),
			"PATH="+filepath.Join(apitest.Root(r.t), "bin")+":"+os.Getenv("PATH"), "KUBECONFIG="+r.plane.Kubeconfig, "HOME="+r.t.TempDir())

		if told := strings.NewReplacer(" s ", " NAME ", "=off", "=on").Replace(command + " "); test.documented && !strings.Contains(string(document), "`"+strings.TrimSpace(told)+"`") {
			r.t.Errorf("docs/servers.md does not tell %s", told)
		}

		if out, err := shell.CombinedOutput(); err != nil || len(out) == 0 {
			r.t.Errorf("%s: %s: %v: %s", test.name, command, err, out)
		}

		if got := r.facts(); got != did {
			r.t.Errorf("%s: %s does %s, want %s", test.name, command, got, did)
		}
	}
}

// facts are what the commands can change.
func (r *room) facts() string {
	r.t.Helper()

	s := r.get("s")
	bindings := &v1alpha3.ServerBindingList{}
	must(r.t, r.Client.List(r.t.Context(), bindings))

	return strings.Join([]string{
		text(s.Spec.Accepted), text(s.Spec.Cordoned), text(s.Status.IsClean), s.Annotations[v1alpha2.PowerRequestAnnotation], text(len(bindings.Items) > 0),
	}, " ")
}

func text(b bool) string {
	if b {
		return "yes"
	}

	return "no"
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")

	return lines[len(lines)-1]
}

func TestTroubleWithTheAPI(t *testing.T) {
	plane := apitest.Start(t)

	stranger := rest.CopyConfig(plane.Admin)
	stranger.CertData, stranger.KeyData, stranger.CertFile, stranger.KeyFile = nil, nil, "", ""

	elsewhere := rest.CopyConfig(plane.Admin)
	elsewhere.Host = "https://127.0.0.1:1"

	another := rest.CopyConfig(plane.Admin)
	another.CAData, another.CAFile = nil, ""

	for name, test := range map[string]struct {
		config *rest.Config
		want   string
	}{
		"nobody there": {elsewhere, `^the appliance at https://127.0.0.1:1 does not answer: start it with "sidero-appliance run", or use the kubeconfig of another: dial tcp`},
		"another's CA": {another, `^what answers at https://127.0.0.1:\d+ is not the appliance that this kubeconfig is for: tls: failed to verify certificate: .*: get a new one with "sidero-appliance kubeconfig"`},
		"nobody known": {stranger, `^the appliance at https://127.0.0.1:\d+ does not accept this kubeconfig, whose certificate may have ended: `},
	} {
		c, err := servers.NewClient(test.config)
		must(t, err)

		r := newRoom(t, plane)
		r.Client, r.URL = c, test.config.Host

		if err := r.List(t.Context(), nil, servers.Table); err == nil || !regexp.MustCompile(test.want).MatchString(err.Error()) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}

		if got := r.Complete(t.Context(), nil, ""); got != nil {
			t.Errorf("%s: completed to %q", name, got)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
