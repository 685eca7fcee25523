package controllers_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/controllers"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/server"
	"github.com/sidero-appliance/sidero-appliance/power"
)

const rebootTimeout = time.Minute

// pool is an appliance whose controllers run, for tests of Servers' lives.
type pool struct {
	client.Client

	t testing.TB
}

func startPool(t testing.TB, poll time.Duration) pool {
	t.Helper()

	plane := apitest.Start(t)
	rights, err := bootstrap.New(bootstrap.Config{Client: plane.Admin, Logger: slog.New(slog.NewTextHandler(libraries, nil))})
	must(t, err)
	apitest.Run(t, rights)

	options := power.DefaultOptions()
	options.Timeout, options.Tries = time.Second, 1

	c, err := controllers.New(controllers.Config{
		Client:       plane.Client(t, bootstrap.Controllers),
		Environments: noReleases(t),
		Servers:      server.Config{RebootTimeout: rebootTimeout, Firmware: power.UEFI, Power: options, Poll: poll},
		Logger:       funcr.New(func(_, text string) { libraries.Write([]byte(text + "\n")) }, funcr.Options{}),
	})
	must(t, err)
	apitest.Run(t, c)

	scheme := runtime.NewScheme()
	must(t, v1alpha2.AddToScheme(scheme))
	must(t, v1alpha3.AddToScheme(scheme))
	must(t, corev1.AddToScheme(scheme))

	admin, err := client.New(plane.Admin, client.Options{Scheme: scheme})
	must(t, err)

	return pool{admin, t}
}

// machine is one with a power API, which is the witness of what was done to it.
type machine struct {
	endpoint string

	mu  sync.Mutex
	on  bool
	log []string
}

func startMachine(t *testing.T, on bool) *machine {
	t.Helper()

	m := &machine{on: on}
	web := httptest.NewServer(m)
	t.Cleanup(web.Close)
	m.endpoint = web.Listener.Addr().String()

	return m
}

func (m *machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if r.Method == http.MethodPost {
		m.log = append(m.log, r.URL.Path)
	}

	switch r.URL.Path {
	case "/poweron", "/reboot":
		m.on = true
	case "/poweroff":
		m.on = false
	case "/status":
		_ = json.NewEncoder(w).Encode(map[string]bool{"PoweredOn": m.on})
	}
}

// did returns what was done since the last time.
func (m *machine) did() []string {
	m.mu.Lock()
	defer m.mu.Unlock()

	log := m.log
	m.log = nil

	return log
}

func (p pool) make(name string, spec v1alpha2.ServerSpec) *v1alpha2.Server {
	p.t.Helper()

	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	must(p.t, p.Create(p.t.Context(), s))

	return s
}

// change edits a server as a person does.
func (p pool) change(s *v1alpha2.Server, edit func(*v1alpha2.Server)) {
	p.t.Helper()

	must(p.t, p.Get(p.t.Context(), client.ObjectKeyFromObject(s), s))

	before := s.DeepCopy()
	edit(s)
	must(p.t, p.Patch(p.t.Context(), s, client.MergeFrom(before)))
}

// report changes a server's status as its agent does.
func (p pool) report(s *v1alpha2.Server, edit func(*v1alpha2.ServerStatus)) {
	p.t.Helper()

	must(p.t, p.Get(p.t.Context(), client.ObjectKeyFromObject(s), s))

	before := s.DeepCopy()
	edit(&s.Status)
	must(p.t, p.Status().Patch(p.t.Context(), s, client.MergeFrom(before)))
}

// becomes waits until a server is as wanted.
func (p pool) becomes(s *v1alpha2.Server, what string, wanted func(*v1alpha2.Server) bool) {
	p.t.Helper()

	eventually(p.t, s.Name+" becomes "+what, func(ctx context.Context) (bool, error) {
		err := p.Get(ctx, client.ObjectKeyFromObject(s), s)

		return err == nil && wanted(s), err
	})
}

func phase(want server.Phase) func(*v1alpha2.Server) bool {
	return func(s *v1alpha2.Server) bool { return s.Status.Phase == string(want) }
}

func (p pool) bind(s *v1alpha2.Server) *v1alpha3.ServerBinding {
	p.t.Helper()

	b := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: s.Name}}
	b.Spec.MetalMachineRef = corev1.ObjectReference{Kind: "MetalMachine", Namespace: metav1.NamespaceDefault, Name: "m"}
	b.Spec.ServerClassRef = &corev1.ObjectReference{Kind: "ServerClass", Name: v1alpha2.ServerClassAny}
	must(p.t, p.Create(p.t.Context(), b))

	return b
}

func expect(t *testing.T, m *machine, want ...string) {
	t.Helper()

	if got := m.did(); !slices.Equal(got, want) {
		t.Errorf("done to the machine: %q, want %q", got, want)
	}
}

func TestServers(t *testing.T) {
	p := startPool(t, 200*time.Millisecond)

	for name, run := range map[string]func(*testing.T, pool){
		"the whole life":              testLife,
		"known before it is started":  testKnownBeforeStart,
		"a class accepts it":          testClassAccepts,
		"nothing controls it":         testByHand,
		"its Secret is missing":       testMissingSecret,
		"its power API is dead":       testDeadPower,
		"a person may change isClean": testDeclaredClean,
		"a person asks for power":     testRequests,
		"a request fails":             testRequestFails,
		"its wipe fails":              testFailedWipe,
		"its classes disagree":        testContradiction,
		"deleted, its BMC is dead":    testDeletedDead,
		"its certificate is pinned":   testPin,
	} {
		t.Run(name, func(t *testing.T) { run(t, pool{p.Client, t}) })
	}
}

func testLife(t *testing.T, p pool) {
	m := startMachine(t, true)
	s := p.make("life", v1alpha2.ServerSpec{ManagementAPI: &v1alpha2.ManagementAPI{Endpoint: m.endpoint}})

	p.becomes(s, "registered, with its power known", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.Registered) && s.Status.Power == v1alpha2.PowerOn
	})
	expect(t, m) // nobody has accepted it

	p.change(s, func(s *v1alpha2.Server) { s.Spec.Accepted = true })
	p.becomes(s, "restarted for its wipe", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.Waiting) && len(s.Status.Conditions) > 0 && conditionIs(s, v1alpha2.ConditionPowerCycle, corev1.ConditionFalse)
	})
	expect(t, m, "/pxeboot", "/reboot")

	p.report(s, func(status *v1alpha2.ServerStatus) { status.IsClean = true })
	p.becomes(s, "clean, ready and off", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.Clean) && s.Status.Ready && s.Status.Power == v1alpha2.PowerOff
	})
	expect(t, m, "/poweroff")
	p.listed(s.Name, true, false)

	binding := p.bind(s)
	p.becomes(s, "in use and on", func(s *v1alpha2.Server) bool {
		return s.Status.InUse && !s.Status.IsClean && s.Status.Power == v1alpha2.PowerOn && s.Status.Ready && s.Status.AllocatedFrom == v1alpha2.ServerClassAny
	})
	expect(t, m, "/pxeboot", "/poweron")
	p.listed(s.Name, false, true)

	binding.Status.Conditions = v1alpha2.Conditions{{
		Type: v1alpha3.ConditionTalosInstalled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(),
	}}
	must(t, p.Status().Update(t.Context(), binding))
	p.becomes(s, "installed", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.InUse) && conditionIs(s, v1alpha2.ConditionPXEBooted, corev1.ConditionTrue)
	})

	must(t, p.Delete(t.Context(), s))
	p.becomes(s, "deleting", phase(server.Deleting))
	expect(t, m)

	must(t, p.Delete(t.Context(), binding))
	p.gone(s)
	expect(t, m)
}

// listed waits until the class of all servers tells a server's place.
func (p pool) listed(name string, available, inUse bool) {
	p.t.Helper()

	c := class()
	eventually(p.t, name+" in its class", func(ctx context.Context) (bool, error) {
		err := p.Get(ctx, client.ObjectKeyFromObject(c), c)

		return slices.Contains(c.Status.ServersAvailable, name) == available && slices.Contains(c.Status.ServersInUse, name) == inUse, err
	})
}

func conditionIs(s *v1alpha2.Server, kind v1alpha2.ConditionType, status corev1.ConditionStatus) bool {
	return s.Status.Conditions.Is(kind, status)
}

// testClassAccepts: what a person takes back is not accepted again.
func testClassAccepts(t *testing.T, p pool) {
	accepting := &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "accepting"}}
	accepting.Spec.Accept = true
	accepting.Spec.Expression = `server.spec.hostname.startsWith("lab-")`
	must(t, p.Create(t.Context(), accepting))

	t.Cleanup(func() { must(t, p.Delete(context.Background(), accepting)) })

	other := p.make("other-host", v1alpha2.ServerSpec{Hostname: "office-1"})
	s := p.make("lab-host", v1alpha2.ServerSpec{Hostname: "lab-1"})
	p.becomes(s, "accepted", func(s *v1alpha2.Server) bool { return s.Spec.Accepted && s.Status.AcceptedAt != nil })

	p.change(s, func(s *v1alpha2.Server) { s.Spec.Accepted = false })
	p.becomes(s, "registered", phase(server.Registered))
	p.change(s, func(s *v1alpha2.Server) { s.Spec.Hostname = "lab-2" }) // has the class look at it again

	last := p.make("lab-host-last", v1alpha2.ServerSpec{Hostname: "lab-3"})
	p.becomes(last, "accepted", func(s *v1alpha2.Server) bool { return s.Spec.Accepted })

	for _, s := range []*v1alpha2.Server{s, other} {
		must(t, p.Get(t.Context(), client.ObjectKeyFromObject(s), s))

		if s.Spec.Accepted {
			t.Errorf("%s is accepted", s.Name)
		}
	}
}

func testByHand(t *testing.T, p pool) {
	s := p.make("hand", v1alpha2.ServerSpec{Accepted: true})
	p.becomes(s, "waiting for a person", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.Waiting) && s.Status.WaitingFor != "" && s.Status.Power == v1alpha2.PowerOn
	})

	p.report(s, func(status *v1alpha2.ServerStatus) { status.IsClean = true })
	p.becomes(s, "clean", phase(server.Clean))
	p.listed(s.Name, true, false)

	p.change(s, func(s *v1alpha2.Server) { s.Spec.Cordoned = true })
	p.listed(s.Name, false, false)
	p.change(s, func(s *v1alpha2.Server) { s.Spec.Cordoned = false })
	p.listed(s.Name, true, false)

	p.change(s, func(s *v1alpha2.Server) { s.Spec.Accepted = false })
	p.becomes(s, "registered, and no more clean", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.Registered) && !s.Status.IsClean
	})
	p.listed(s.Name, false, false)
}

func testMissingSecret(t *testing.T, p pool) {
	from := func(key string) *v1alpha2.CredentialSource {
		return &v1alpha2.CredentialSource{SecretKeyRef: &v1alpha2.SecretKeyRef{Namespace: metav1.NamespaceDefault, Name: "not-there", Key: key}}
	}
	s := p.make("secret", v1alpha2.ServerSpec{
		Accepted: true, BMC: &v1alpha2.BMC{Endpoint: "127.0.0.1", UserFrom: from("user"), PassFrom: from("pass")},
	})

	p.becomes(s, "in trouble", func(s *v1alpha2.Server) bool {
		return slices.ContainsFunc(s.Status.Conditions, func(c v1alpha2.Condition) bool {
			return c.Type == v1alpha2.ConditionPowerControl && c.Status == corev1.ConditionFalse && c.Reason == "SecretMissing" && c.Message != ""
		}) && s.Status.Power == v1alpha2.PowerUnknown
	})

	must(t, p.Delete(t.Context(), s))
	p.gone(s)
}

func testDeadPower(t *testing.T, p pool) {
	m := startMachine(t, true)
	dead := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(dead.Close)

	s := p.make("dead", v1alpha2.ServerSpec{Accepted: true, ManagementAPI: &v1alpha2.ManagementAPI{Endpoint: dead.Listener.Addr().String()}})
	other := p.make("alive", v1alpha2.ServerSpec{Accepted: true, ManagementAPI: &v1alpha2.ManagementAPI{Endpoint: m.endpoint}})

	p.becomes(other, "restarted for its wipe", func(s *v1alpha2.Server) bool {
		return conditionIs(s, v1alpha2.ConditionPowerCycle, corev1.ConditionFalse)
	})
	p.becomes(s, "in trouble", func(s *v1alpha2.Server) bool {
		return conditionIs(s, v1alpha2.ConditionPowerControl, corev1.ConditionFalse) && s.Status.Power == v1alpha2.PowerUnknown
	})

	p.bind(s) // which the power does not hinder
	p.becomes(s, "in use", func(s *v1alpha2.Server) bool { return s.Status.InUse })
}

// testDeclaredClean: as upstream, a client that says that a server is clean is believed, if it is accepted and not in use.
func testDeclaredClean(t *testing.T, p pool) {
	s := p.make("declared", v1alpha2.ServerSpec{Accepted: true})
	p.report(s, func(status *v1alpha2.ServerStatus) { status.IsClean = true })
	p.becomes(s, "clean", phase(server.Clean))

	unaccepted := p.make("undeclared", v1alpha2.ServerSpec{})
	p.report(unaccepted, func(status *v1alpha2.ServerStatus) { status.IsClean = true })
	p.becomes(unaccepted, "not clean", func(s *v1alpha2.Server) bool {
		return s.Status.Phase == string(server.Registered) && !s.Status.IsClean
	})
}
