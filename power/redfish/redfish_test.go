package redfish

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stmcginnis/gofish/redfish"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/redfish/emulator"
)

func start(t *testing.T, config emulator.Config) *emulator.Server {
	t.Helper()
	bmc, err := emulator.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bmc.Close() })
	return bmc
}

func driver(t *testing.T, bmc *emulator.Server, change func(*Config)) *Driver {
	t.Helper()
	config := Config{Endpoint: bmc.URL(), User: "admin", Password: "password", Settle: time.Nanosecond}
	if change != nil {
		change(&config)
	}
	driver, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = driver.Close() })
	return driver
}

// actions without those of sessions.
func actions(bmc *emulator.Server) []string {
	return slices.DeleteFunc(bmc.Actions(), func(action string) bool { return action == "login" || action == "logout" })
}

func count(bmc *emulator.Server, action string) int {
	return len(slices.DeleteFunc(bmc.Actions(), func(other string) bool { return other != action }))
}

func matches(err error, want string) bool {
	if want == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), want)
}

func TestPower(t *testing.T) {
	on, off, cycle := (*Driver).On, (*Driver).Off, (*Driver).Cycle
	for name, test := range map[string]struct {
		system  emulator.System
		lies    emulator.Lies
		call    func(*Driver, context.Context) error
		actions []string
		err     string
	}{
		"on":                          {call: on, actions: []string{"reset On"}},
		"on when on":                  {emulator.System{On: true}, emulator.Lies{}, on, nil, ""},
		"on by ForceOn":               {emulator.System{ResetTypes: []redfish.ResetType{"ForceOn", "PushPowerButton"}}, emulator.Lies{}, on, []string{"reset ForceOn"}, ""},
		"on by button":                {emulator.System{ResetTypes: []redfish.ResetType{"PushPowerButton"}}, emulator.Lies{}, on, []string{"reset PushPowerButton"}, ""},
		"no button when running":      {emulator.System{On: true, ResetTypes: []redfish.ResetType{"PushPowerButton"}}, emulator.Lies{PowerState: "PoweringOff"}, on, nil, "the BMC offers [PushPowerButton]"},
		"on not offered":              {emulator.System{ResetTypes: []redfish.ResetType{"Nmi"}}, emulator.Lies{}, on, nil, "the BMC offers [Nmi]"},
		"off":                         {emulator.System{On: true}, emulator.Lies{}, off, []string{"reset ForceOff"}, ""},
		"off when off":                {call: off},
		"off never asks the system":   {emulator.System{On: true, ResetTypes: []redfish.ResetType{"GracefulShutdown", "PushPowerButton"}}, emulator.Lies{}, off, nil, "needed is one of [ForceOff]"},
		"cycle":                       {emulator.System{On: true}, emulator.Lies{}, cycle, []string{"reset ForceRestart"}, ""},
		"cycle when off":              {call: cycle, actions: []string{"reset On"}},
		"cycle by PowerCycle":         {emulator.System{On: true, ResetTypes: []redfish.ResetType{"On", "ForceOff", "PowerCycle"}}, emulator.Lies{}, cycle, []string{"reset PowerCycle"}, ""},
		"cycle by off and on":         {emulator.System{On: true, ResetTypes: []redfish.ResetType{"On", "ForceOff", "GracefulRestart"}}, emulator.Lies{}, cycle, []string{"reset ForceOff", "reset On"}, ""},
		"allowed resets elsewhere":    {emulator.System{On: true, ResetTypes: []redfish.ResetType{"On", "PowerCycle"}}, emulator.Lies{ActionInfo: true}, cycle, []string{"reset PowerCycle"}, ""},
		"allowed resets not listed":   {emulator.System{On: true}, emulator.Lies{NoAllowed: true}, cycle, []string{"reset ForceRestart"}, ""},
		"refused":                     {emulator.System{On: true, ResetTypes: []redfish.ResetType{"On"}}, emulator.Lies{NoAllowed: true}, off, []string{"reset ForceOff"}, "reset ForceOff: the BMC answers 400: ResetType cannot be ForceOff."},
		"properties of a wrong type":  {emulator.System{On: true}, emulator.Lies{WrongTypes: true}, cycle, []string{"reset ForceRestart"}, ""},
		"success without effect":      {lies: emulator.Lies{IgnoreReset: true}, call: on, actions: []string{"reset On"}},
		"slow":                        {lies: emulator.Lies{Delay: 5 * time.Millisecond}, call: on, actions: []string{"reset On"}},
		"error in control characters": {lies: emulator.Lies{Garbage: "\x1b[31m\n\x00red"}, call: on, err: "but [31m red"},
		"garbage":                     {lies: emulator.Lies{Garbage: "<html>login</html>"}, call: on, err: "is not a Redfish resource but <html>login</html>"},
		"garbage that is JSON":        {lies: emulator.Lies{Garbage: "null"}, call: on, err: "is not a Redfish resource but null"},
		"garbage that starts as JSON": {lies: emulator.Lies{Garbage: "{"}, call: on, err: "unexpected"},
		"empty":                       {lies: emulator.Lies{Garbage: " "}, call: on, err: "is not a Redfish resource but (nothing)"},
		"no system in it":             {lies: emulator.Lies{Garbage: "{}"}, call: on, err: "the service has no system"},
	} {
		t.Run(name, func(t *testing.T) {
			test.system.ID = "1"
			bmc := start(t, emulator.Config{Plain: true, Systems: []emulator.System{test.system}, Lies: test.lies})
			err := test.call(driver(t, bmc, nil), t.Context())
			if !matches(err, test.err) {
				t.Errorf("error is %v", err)
			}
			if got := actions(bmc); !slices.Equal(got, test.actions) {
				t.Errorf("actions are %q", got)
			}
		})
	}
}

func TestState(t *testing.T) {
	bmc := start(t, emulator.Config{})
	d := driver(t, bmc, nil)
	for _, want := range []power.State{power.Off, power.On, power.Off} {
		bmc.SetPower("1", want == power.On)
		if state, err := d.State(t.Context()); state != want || err != nil {
			t.Errorf("state is %s, %v", state, err)
		}
	}
	// After the first, a look at the power is one request.
	before := len(bmc.Commands())
	if _, err := d.State(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := len(bmc.Commands()); after != before+1 {
		t.Errorf("%d requests", after-before)
	}
}

// TestOneConnection: a handshake costs a BMC more than the answer.
func TestOneConnection(t *testing.T) {
	bmc := start(t, emulator.Config{})
	d := driver(t, bmc, nil)
	for range 3 {
		look(t, d)
	}
	remotes := map[string]bool{}
	for _, command := range bmc.Commands() {
		remotes[command.Remote] = true
	}
	if len(remotes) != 1 {
		t.Errorf("%d connections", len(remotes))
	}
}

// button is somebody at the machine who is faster than a request.
type button struct {
	http.RoundTripper
	press func()
}

func (b button) RoundTrip(request *http.Request) (*http.Response, error) {
	if strings.HasSuffix(request.URL.Path, "ComputerSystem.Reset") {
		b.press()
	}
	return b.RoundTripper.RoundTrip(request)
}

// TestAlreadyThere: what was to be reached was reached by somebody else, and the BMC refuses.
func TestAlreadyThere(t *testing.T) {
	bmc := start(t, emulator.Config{})
	for _, on := range []bool{true, false} {
		d := driver(t, bmc, nil)
		d.http.Transport = button{d.transport, func() { bmc.SetPower("1", on) }}
		call := d.Off
		if on {
			call = d.On
		}
		if err := call(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, command := range bmc.Commands() {
		if command.Action != "" && command.System != "" && command.Status != http.StatusConflict {
			t.Errorf("%s was not refused", command.Action)
		}
	}
}

func TestPowerStates(t *testing.T) {
	for from, want := range map[redfish.PowerState]power.State{
		"On": power.On, "PoweringOn": power.On, "PoweringOff": power.On, "Paused": power.On, "Off": power.Off, "Reset": power.Unknown,
	} {
		if state, err := (&system{PowerState: from}).state(); state != want || err != nil {
			t.Errorf("%s is %s, %v", from, state, err)
		}
	}
	if _, err := (&system{}).state(); err == nil {
		t.Error("no state is no error")
	}
}

func TestSeveralSystems(t *testing.T) {
	bmc := start(t, emulator.Config{Plain: true, Systems: []emulator.System{{ID: "blade1"}, {ID: "blade2"}, {ID: "blade3"}}})
	if err := driver(t, bmc, nil).On(t.Context()); !matches(err, "set the system's id to one of blade1, blade2, blade3") {
		t.Error(err)
	}
	if err := driver(t, bmc, func(c *Config) { c.System = "blade4" }).On(t.Context()); !matches(err, `there is no "blade4": set the system's id to one of blade1, blade2, blade3`) {
		t.Error(err)
	}
	for _, id := range []string{"blade2", "/redfish/v1/Systems/blade3"} {
		if err := driver(t, bmc, func(c *Config) { c.System = id }).On(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if bmc.Powered("blade1") || !bmc.Powered("blade2") || !bmc.Powered("blade3") {
		t.Error("wrong blade")
	}
}

// TestHang is what keeps one dead BMC from holding up a worker.
func TestHang(t *testing.T) {
	bmc := start(t, emulator.Config{})
	d := driver(t, bmc, nil)
	if _, err := d.State(t.Context()); err != nil {
		t.Fatal(err)
	}
	bmc.Lie(emulator.Lies{Hang: true})
	for name, call := range map[string]func(context.Context) error{
		"state": func(ctx context.Context) error { _, err := d.State(ctx); return err },
		"on":    d.On, "off": d.Off, "cycle": d.Cycle,
		"boot": func(ctx context.Context) error { return d.BootFromNetwork(ctx, power.UEFI) },
		"http": func(ctx context.Context) error { return d.BootFromHTTP(ctx, "http://10.0.0.1/x") },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) || !matches(err, "no answer in time") {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	bmc.Lie(emulator.Lies{})
	if state, err := d.State(t.Context()); state != power.Off || err != nil {
		t.Errorf("after that: %s, %v", state, err)
	}
}

// TestHangWhileLoggingIn: a call must not wait for another one's session longer than its own context.
func TestHangWhileLoggingIn(t *testing.T) {
	bmc := start(t, emulator.Config{Lies: emulator.Lies{Hang: true}})
	d := driver(t, bmc, nil)
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if err := d.On(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	calls.Wait()
}

// TestSilentPort is a BMC whose network stack outlived its software: it accepts connections and says nothing.
func TestSilentPort(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	d, err := New(Config{Endpoint: listener.Addr().String(), User: "admin", Password: "password"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.State(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestAbsent(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	d, err := New(Config{Endpoint: address, User: "admin", Password: "password"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.On(t.Context()); !matches(err, "turn on by Redfish at "+address+": dial tcp") {
		t.Error(err)
	}
}

func TestPlainHTTPByMistake(t *testing.T) {
	bmc := start(t, emulator.Config{Plain: true})
	d, err := New(Config{Endpoint: bmc.Address(), User: "admin", Password: "password"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.On(t.Context()); !matches(err, "needs http:// before it") {
		t.Error(err)
	}
}

// TestAnswersLeadNowhereElse: what a BMC answers must not make the appliance send a password or a token elsewhere.
func TestAnswersLeadNowhereElse(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a stranger was asked") }))
	defer stranger.Close()
	host := strings.TrimPrefix(stranger.URL, "http://")
	bmc := start(t, emulator.Config{Plain: true, Lies: emulator.Lies{Redirect: stranger.URL + "/redfish/v1/"}})
	if err := driver(t, bmc, nil).On(t.Context()); !matches(err, "redirects to "+stranger.URL) {
		t.Error(err)
	}
	for _, uri := range []string{"@" + host + "/x", ":80@" + host + "/x"} {
		bmc.Lie(emulator.Lies{Garbage: `{"Systems":{"@odata.id":"` + uri + `"},"Links":{"Sessions":{"@odata.id":"` + uri + `"}}}`})
		if err := driver(t, bmc, nil).On(t.Context()); !matches(err, "away from it") {
			t.Error(err)
		}
	}
}

func TestHugeAnswer(t *testing.T) {
	bmc := start(t, emulator.Config{Plain: true, Lies: emulator.Lies{Garbage: `{"x":"` + strings.Repeat("x", maxBody) + `"}`}})
	if err := driver(t, bmc, nil).On(t.Context()); !matches(err, "longer than") {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	good := Config{Endpoint: "10.0.0.5", User: "admin", Password: "password"}
	for want, change := range map[string]func(*Config){
		"":             func(*Config) {},
		"endpoint":     func(c *Config) { c.Endpoint = "" },
		"scheme":       func(c *Config) { c.Endpoint = "ipmi://10.0.0.5" },
		"user name":    func(c *Config) { c.Endpoint = "https://root:calvin@10.0.0.5" },
		"/redfish/v1":  func(c *Config) { c.Endpoint = "10.0.0.5/login.html" },
		"HOST, HOST":   func(c *Config) { c.Endpoint = "https://root:calvin@[::1" },
		"user, passw":  func(c *Config) { c.User = "" },
		"fingerprint:": func(c *Config) { c.Fingerprint = "abc" },
	} {
		config := good
		change(&config)
		_, err := New(config)
		if !matches(err, want) || err != nil && strings.Contains(err.Error(), "calvin") {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := New(Config{Fingerprint: "x"}); !matches(err, "endpoint") || !matches(err, "user") || !matches(err, "fingerprint") {
		t.Errorf("not all mistakes: %v", err)
	}
	for _, endpoint := range []string{"bmc.example:8443", "https://10.0.0.5/redfish/v1/", "https://[fd00::5]:443/", "http://10.0.0.5"} {
		config := good
		config.Endpoint = endpoint
		if _, err := New(config); err != nil {
			t.Error(err)
		}
	}
}
