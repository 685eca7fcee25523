package ipmi_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/simulator"
)

const wait = 20 * time.Millisecond

func start(t *testing.T, config simulator.Config) *simulator.Server {
	t.Helper()
	server, err := simulator.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

func connect(t *testing.T, server *simulator.Server, change func(*ipmi.Config)) *ipmi.Driver {
	t.Helper()
	config := ipmi.Config{Endpoint: "127.0.0.1", Port: server.Port(), User: "admin", Password: "password", Wait: wait}
	if change != nil {
		change(&config)
	}
	driver, err := ipmi.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { driver.Close() })
	return driver
}

func TestNew(t *testing.T) {
	for _, test := range []struct {
		config ipmi.Config
		want   []string
	}{
		{ipmi.Config{Endpoint: "bmc", User: "u", Password: "secret"}, nil},
		{ipmi.Config{Endpoint: "[fd00::1]", User: strings.Repeat("u", 16), Password: strings.Repeat("s", 20), Port: 6230, Interface: "lanplus", Suite: 12}, nil},
		{ipmi.Config{Endpoint: "bmc", User: "u", Password: strings.Repeat("s", 16), Interface: "lan"}, nil},
		{ipmi.Config{Interface: "open"}, nil},
		{ipmi.Config{}, []string{"endpoint", "user, password"}},
		{ipmi.Config{Endpoint: "bmc", User: strings.Repeat("u", 17), Password: strings.Repeat("s", 21)}, []string{"user: has 17 bytes", "password: has 21 bytes, IPMI has 20"}},
		{ipmi.Config{Endpoint: "bmc", User: "u", Password: strings.Repeat("s", 17), Interface: "lan"}, []string{"password: has 17 bytes, IPMI has 16 at most with interface lan"}},
		{ipmi.Config{Endpoint: "bmc", User: "u", Password: "secret", Port: 70000, Interface: "imb", Suite: 1}, []string{"port", `interface: "imb" is not lanplus, lan or open`, "suite"}},
	} {
		_, err := ipmi.New(test.config)
		if (err == nil) != (test.want == nil) {
			t.Errorf("%+v: %v", test.config, err)
		}
		for _, want := range test.want {
			if err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
				t.Errorf("%+v: %v does not say %q, or says too much", test.config, err, want)
			}
		}
	}
}

func TestSuites(t *testing.T) {
	for _, test := range []struct {
		name   string
		suites []uint8
		lies   simulator.Lies
		known  lan.Suite
		want   lan.Suite
	}{
		{"all", nil, simulator.Lies{}, 0, 17},
		{"3 before those with MD5", []uint8{12, 8, 3}, simulator.Lies{}, 0, 3},
		{"8", []uint8{12, 8}, simulator.Lies{}, 0, 8},
		{"12", []uint8{12}, simulator.Lies{}, 0, 12},
		{"silent about others", []uint8{12}, simulator.Lies{SilentSuites: true}, 0, 12},
		{"what worked before", nil, simulator.Lies{}, 8, 8},
		{"what worked before and does not any more", []uint8{17, 3}, simulator.Lies{}, 8, 17},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := start(t, simulator.Config{Suites: test.suites, Lies: test.lies})
			driver := connect(t, server, func(c *ipmi.Config) { c.Suite = test.known })
			if driver.Suite() != test.known {
				t.Errorf("suite is %d before the first call", driver.Suite())
			}
			begin := time.Now()
			if _, err := driver.State(t.Context()); err != nil || driver.Suite() != test.want {
				t.Fatalf("%v, suite %d, want %d", err, driver.Suite(), test.want)
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestPower(t *testing.T) {
	var mu sync.Mutex
	var changes []bool
	server := start(t, simulator.Config{Power: func(on bool, _ simulator.Boot) {
		mu.Lock()
		defer mu.Unlock()
		changes = append(changes, on)
	}})
	take := func() []bool {
		mu.Lock()
		defer mu.Unlock()
		taken := changes
		changes = nil
		return taken
	}
	driver := connect(t, server, nil)
	ctx := t.Context()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
		lies simulator.Lies
		want []bool
	}{
		{"off when off", driver.Off, simulator.Lies{}, nil},
		{"on", driver.On, simulator.Lies{}, []bool{true}},
		{"on when on", driver.On, simulator.Lies{}, nil},
		{"cycle", driver.Cycle, simulator.Lies{}, []bool{false, true}},
		{"cycle without cycle", driver.Cycle, simulator.Lies{NoCycle: true}, []bool{false, true}},
		{"off", driver.Off, simulator.Lies{}, []bool{false}},
		{"cycle when off", driver.Cycle, simulator.Lies{}, []bool{true}},
		{"off without effect", driver.Off, simulator.Lies{IgnorePower: true}, nil},
	} {
		server.Lie(step.lies)
		err := step.do(ctx)
		if got := take(); err != nil || !slices.Equal(got, step.want) {
			t.Errorf("%s: %v, power went %v, want %v", step.name, err, got, step.want)
		}
		want := power.Off
		if server.Powered() {
			want = power.On
		}
		if got, err := driver.State(ctx); got != want || err != nil {
			t.Errorf("after %s: state is %s, %v, want %s", step.name, got, err, want)
		}
	}
	if server.Logins() != 1 {
		t.Errorf("%d logins for one driver", server.Logins())
	}
	if driver.Close(); server.Sessions() != 0 {
		t.Errorf("%d sessions after Close", server.Sessions())
	}
	if _, err := driver.State(ctx); err == nil {
		t.Error("a closed driver answers")
	}
}

func TestBoot(t *testing.T) {
	network, uefi := simulator.Boot{Network: true}, simulator.Boot{Network: true, UEFI: true}
	for _, test := range []struct {
		name     string
		lies     simulator.Lies
		firmware power.Firmware
		want     simulator.Boot
		err      error
	}{
		{"BIOS", simulator.Lies{}, power.BIOS, network, nil},
		{"UEFI", simulator.Lies{}, power.UEFI, uefi, nil},
		{"ignored", simulator.Lies{IgnoreBoot: true}, power.UEFI, simulator.Boot{}, ipmi.ErrBootNotKept},
		{"ignored without valid flags", simulator.Lies{IgnoreBoot: true, HideValid: true}, power.UEFI, simulator.Boot{}, ipmi.ErrBootNotKept},
		{"EFI ignored", simulator.Lies{IgnoreEFI: true}, power.UEFI, network, ipmi.ErrBootNotKept},
		{"EFI not needed", simulator.Lies{IgnoreEFI: true}, power.BIOS, network, nil},
		{"valid flags not shown", simulator.Lies{HideValid: true}, power.UEFI, uefi, nil},
		{"not shown at all", simulator.Lies{MuteBoot: true}, power.UEFI, uefi, nil},
		{"nothing but flags", simulator.Lies{OnlyFlags: true}, power.UEFI, uefi, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := start(t, simulator.Config{Lies: test.lies})
			driver := connect(t, server, nil)
			// The second time what is shown may be left from the first.
			for round := range 2 {
				err := driver.BootFromNetwork(t.Context(), test.firmware)
				if !errors.Is(err, test.err) || server.NextBoot() != test.want {
					t.Errorf("round %d: %v, boots %+v", round, err, server.NextBoot())
				}
				if err != nil && (power.ClassOf(err) != power.Refused || !strings.Contains(err.Error(), "boot order")) {
					t.Errorf("%v is not a refusal that says what to do", err)
				}
			}
		})
	}
}

// TestBootLeftOver: the flags of an earlier boot, which a BMC goes on to show, are no proof that it kept the new ones.
func TestBootLeftOver(t *testing.T) {
	server := start(t, simulator.Config{})
	driver := connect(t, server, nil)
	ctx := t.Context()
	for _, call := range []error{driver.BootFromNetwork(ctx, power.BIOS), driver.On(ctx)} {
		if call != nil {
			t.Fatal(call)
		}
	}
	server.Lie(simulator.Lies{IgnoreBoot: true})
	if err := driver.BootFromNetwork(ctx, power.BIOS); !errors.Is(err, ipmi.ErrBootNotKept) {
		t.Error(err)
	}
}

// TestBootBytes: what is sent is what Sidero sends, whose machines boot.
func TestBootBytes(t *testing.T) {
	for firmware, flags := range map[power.Firmware]byte{power.BIOS: 0x80, power.UEFI: 0xa0} {
		server := start(t, simulator.Config{})
		if err := connect(t, server, nil).BootFromNetwork(t.Context(), firmware); err != nil {
			t.Fatal(err)
		}
		var sent [][]byte
		for _, entry := range server.Log() {
			if entry.Command == types.CommandSetSystemBootOptions.Name {
				sent = append(sent, entry.Data)
			}
		}
		want := [][]byte{{0, 1}, {4, 1, 1}, {5, flags, 4, 0, 0, 0}, {0, 2}, {0, 0}}
		if !slices.EqualFunc(sent, want, slices.Equal[[]byte]) {
			t.Errorf("%s: sent %x, want %x", firmware, sent, want)
		}
	}
}

func TestDevice(t *testing.T) {
	device, err := connect(t, start(t, simulator.Config{}), nil).Device(t.Context())
	if want := (ipmi.Device{Manufacturer: 7154, Product: 1, Firmware: "2.34", IPMI: "2.0"}); device != want || err != nil {
		t.Errorf("%+v, %v", device, err)
	}
}

// silent is an address where nothing answers and nothing says so.
func silent(t *testing.T) int {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().(*net.UDPAddr).Port
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		bmc    simulator.Config
		change func(*ipmi.Config)
		want   error
		class  power.Class
		advice string
	}{
		{"password", simulator.Config{}, func(c *ipmi.Config) { c.Password = "secret" }, lan.ErrPassword, power.Denied, "BMCs lock accounts"},
		{"user, as if it were the password", simulator.Config{}, func(c *ipmi.Config) { c.User = "nobody" }, lan.ErrPassword, power.Denied, "check user"},
		{"user", simulator.Config{Lies: simulator.Lies{TellUnknownUser: true}}, func(c *ipmi.Config) { c.User = "nobody" }, lan.ErrUser, power.Denied, "enabled"},
		{"role", simulator.Config{Users: []simulator.User{{Name: "admin", Password: "password", Privilege: types.PrivilegeLevelUser}}}, nil, lan.ErrPrivilege, power.Denied, "operator"},
		{"suites", simulator.Config{Suites: []uint8{0, 1, 2}}, nil, lan.ErrSuites, power.Transient, "cipher suite 17 or 3"},
		{"suites, silently", simulator.Config{Suites: []uint8{}, Lies: simulator.Lies{SilentSuites: true}}, nil, lan.ErrSuites, power.Transient, "the cipher suites 17, 3, 8, 12: open session: no answer"},
		{"a suite that is another", simulator.Config{Lies: simulator.Lies{OtherSuite: true}}, nil, lan.ErrSuites, power.Transient, "other algorithms"},
		{"key", simulator.Config{Key: "key"}, nil, lan.ErrKey, power.Denied, "clear it"},
		{"version", simulator.Config{}, func(c *ipmi.Config) { c.Interface = ipmi.Lan }, lan.ErrVersion, power.Transient, "interface"},
		{"silence", simulator.Config{}, func(c *ipmi.Config) { c.Port = silent(t) }, lan.ErrUnreachable, power.Transient, "IPMI over LAN"},
		{"nobody there", simulator.Config{}, func(c *ipmi.Config) { c.Port = freePort(t) }, lan.ErrUnreachable, power.Transient, "nothing listens"},
		{"no such name", simulator.Config{}, func(c *ipmi.Config) { c.Endpoint = "not a name" }, lan.ErrUnreachable, power.Transient, "not a name"},
		{"busy", simulator.Config{Lies: simulator.Lies{Busy: true}}, nil, nil, power.Transient, "Node busy"},
		{"no device", simulator.Config{}, func(c *ipmi.Config) { c.Interface = ipmi.Open }, ipmi.ErrNoDevice, power.Transient, "ipmi_devintf"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := start(t, test.bmc)
			driver := connect(t, server, test.change)
			state, err := driver.State(t.Context())
			if err == nil || !errors.Is(err, test.want) && test.want != nil {
				t.Fatalf("%s, %v, want %v", state, err, test.want)
			}
			if state != power.Unknown || power.ClassOf(err) != test.class || !strings.Contains(err.Error(), test.advice) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s, class %d: %v", state, power.ClassOf(err), err)
			}
			t.Log(err)
			// What failed leaves no session behind: the BMC has few.
			driver.Close()
			deadline := time.Now().Add(time.Second)
			for server.Sessions() != 0 && test.name != "a suite that is another" && test.name != "key" {
				if time.Now().After(deadline) {
					t.Fatalf("%d sessions are left", server.Sessions())
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}

func TestOperator(t *testing.T) {
	server := start(t, simulator.Config{Users: []simulator.User{{Name: "admin", Password: "password", Privilege: types.PrivilegeLevelOperator}}})
	driver := connect(t, server, nil)
	if err := errors.Join(driver.BootFromNetwork(t.Context(), power.UEFI), driver.On(t.Context())); err != nil || !server.Powered() {
		t.Errorf("%v, powered %t", err, server.Powered())
	}
}

func TestSessionLimit(t *testing.T) {
	server := start(t, simulator.Config{Sessions: 1})
	first, second := connect(t, server, nil), connect(t, server, nil)
	if _, err := first.State(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := second.State(t.Context()); !errors.Is(err, lan.ErrSessions) || power.ClassOf(err) != power.Transient {
		t.Errorf("class %d: %v", power.ClassOf(err), err)
	}
	first.Close()
	if _, err := second.State(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSessionsEnd: a BMC forgets sessions, also between two calls.
func TestSessionsEnd(t *testing.T) {
	server := start(t, simulator.Config{})
	driver := connect(t, server, nil)
	for round := range 3 {
		if err := driver.Cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		server.CloseSessions()
		if server.Logins() != round+1 {
			t.Errorf("round %d: %d logins", round, server.Logins())
		}
	}
}

// TestHangs: no call takes longer than its context, whatever the BMC does.
func TestHangs(t *testing.T) {
	for name, lies := range map[string]simulator.Lies{
		"silent":         {Silent: true},
		"late":           {Delay: time.Minute},
		"garbage":        {Garbage: true},
		"garbage inside": {GarbageInside: true},
	} {
		for _, session := range []bool{false, true} {
			server := start(t, simulator.Config{On: true})
			driver := connect(t, server, func(c *ipmi.Config) { c.Wait = time.Minute })
			if session {
				if _, err := driver.State(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			server.Lie(lies)
			for _, call := range []func(context.Context) error{
				func(ctx context.Context) error { _, err := driver.State(ctx); return err },
				driver.On, driver.Off, driver.Cycle,
				func(ctx context.Context) error { return driver.BootFromNetwork(ctx, power.UEFI) },
				func(ctx context.Context) error { _, err := driver.Device(ctx); return err },
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				begin := time.Now()
				err := call(ctx)
				cancel()
				if took := time.Since(begin); took > time.Second || err == nil && name != "garbage inside" {
					t.Errorf("%s, with a session %t: %v after %s", name, session, err, took)
				}
			}
			// It recovers when the BMC does.
			server.Lie(simulator.Lies{})
			if _, err := driver.State(t.Context()); err != nil {
				t.Errorf("%s, with a session %t: afterwards %v", name, session, err)
			}
		}
	}
}

// TestCancel: a call also ends when its context is cancelled, not only at its deadline.
func TestCancel(t *testing.T) {
	driver := connect(t, start(t, simulator.Config{Lies: simulator.Lies{Silent: true}}), func(c *ipmi.Config) { c.Wait = time.Minute })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	begin := time.Now()
	if _, err := driver.State(ctx); !errors.Is(err, context.Canceled) || time.Since(begin) > time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
}

// TestLostAnswers: datagrams are sent again when their answer is late.
func TestLostAnswers(t *testing.T) {
	server := start(t, simulator.Config{Lies: simulator.Lies{Delay: wait * 3 / 2}})
	driver := connect(t, server, nil)
	if err := driver.On(t.Context()); err != nil || !server.Powered() {
		t.Errorf("%v, powered %t", err, server.Powered())
	}
	before := server.Count(types.CommandChassisControl.Name)
	if err := driver.Cycle(t.Context()); err != nil || server.Count(types.CommandChassisControl.Name) != before+1 {
		t.Errorf("%v, %d commands for one power cycle", err, server.Count(types.CommandChassisControl.Name)-before)
	}
}

func TestConcurrentCalls(t *testing.T) {
	server := start(t, simulator.Config{})
	driver := connect(t, server, nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := driver.State(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if server.Logins() != 1 {
		t.Errorf("%d logins", server.Logins())
	}
}
