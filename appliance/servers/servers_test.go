package servers_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
		{"boots", testBoots},
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

	r.expect(r.Accept(r.t.Context(), []string{"spare", "nobody", box}), spare+" (spare): is accepted already\n"+box+" (box?[2J): accepted; it is wiped before its first use\n",
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

	r.expect(r.AcceptAll(r.t.Context()), box+" (box?[2J): accepted; it is wiped before its first use\n", "", "")
	r.expect(r.Accept(r.t.Context(), []string{"double"}), "", "",
		"double: another machine claims the same identity, so nobody knows which one this is: the server's condition DuplicateIdentity tells how to decide")

	if r.get("double").Spec.Accepted {
		r.t.Error("a server whose identity is in doubt is accepted")
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

func TestTroubleWithTheAPI(t *testing.T) {
	plane := apitest.Start(t)

	stranger := rest.CopyConfig(plane.Admin)
	stranger.CertData, stranger.KeyData, stranger.CertFile, stranger.KeyFile = nil, nil, "", ""

	elsewhere := rest.CopyConfig(plane.Admin)
	elsewhere.Host = "https://127.0.0.1:1"

	another := rest.CopyConfig(plane.Admin)
	another.CAData, another.CAFile = nil, ""

	empty := rest.CopyConfig(plane.Admin)
	empty.Host += "/no/such/place" // which answers as a cluster does that does not know the kind

	for name, test := range map[string]struct {
		config *rest.Config
		want   string
	}{
		"no appliance": {empty, `^what answers at https://127.0.0.1:\d+/no/such/place knows no servers of Sidero \(metal.sidero.dev\), so it is no appliance: name the appliance's kubeconfig with --kubeconfig or KUBECONFIG; `},
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
