package redfish

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/redfish/emulator"
)

// used are the ways in which requests for systems authenticated, in order, without repeats.
func used(bmc *emulator.Server) []emulator.Authentication {
	var ways []emulator.Authentication
	for _, command := range bmc.Commands() {
		if strings.HasPrefix(command.Path, "/redfish/v1/Systems") {
			ways = append(ways, command.Authentication)
		}
	}
	return slices.Compact(ways)
}

func look(t *testing.T, d *Driver) {
	t.Helper()
	if _, err := d.State(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// lookAtOnce is many calls at the same time.
func lookAtOnce(t *testing.T, d *Driver) {
	t.Helper()
	var calls sync.WaitGroup
	for range 16 {
		calls.Go(func() {
			if _, err := d.State(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
}

func TestOneSession(t *testing.T) {
	bmc := start(t, emulator.Config{})
	d := driver(t, bmc, nil)
	lookAtOnce(t, d)
	if logins := count(bmc, "login"); logins != 1 {
		t.Errorf("%d logins", logins)
	}
	if open := bmc.OpenSessions(); open != 1 {
		t.Errorf("%d sessions", open)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if open := bmc.OpenSessions(); open != 0 {
		t.Errorf("%d sessions after close", open)
	}
	if _, err := d.State(t.Context()); !matches(err, "closed") || bmc.OpenSessions() != 0 {
		t.Errorf("after close: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestSessionOver(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	for name, over := range map[string]func(*emulator.Server){
		"restart": func(bmc *emulator.Server) { bmc.EndSessions(); bmc.Disconnect() },
		"idle":    func(*emulator.Server) { mu.Lock(); defer mu.Unlock(); now = now.Add(31 * time.Minute) },
	} {
		bmc := start(t, emulator.Config{Now: clock})
		d := driver(t, bmc, nil)
		look(t, d)
		over(bmc)
		if err := d.On(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := actions(bmc); !slices.Equal(got, []string{"reset On"}) {
			t.Errorf("%s: actions are %q", name, got)
		}
		if logins := count(bmc, "login"); logins != 2 || bmc.OpenSessions() != 1 {
			t.Errorf("%s: %d logins, %d sessions", name, logins, bmc.OpenSessions())
		}
	}
}

// Calls that find out at the same time that the session is over make one new session.
func TestSessionOverForMany(t *testing.T) {
	bmc := start(t, emulator.Config{})
	d := driver(t, bmc, nil)
	look(t, d)
	bmc.EndSessions()
	lookAtOnce(t, d)
	if open := bmc.OpenSessions(); open != 1 {
		t.Errorf("%d sessions", open)
	}
}

func TestPasswordInPlaceOfSession(t *testing.T) {
	for name, config := range map[string]emulator.Config{
		"limit":         {Sessions: -1},
		"none":          {Lies: emulator.Lies{NoSessions: true}},
		"not honoured":  {Lies: emulator.Lies{DeadSessions: true}},
		"none and slow": {Lies: emulator.Lies{NoSessions: true, Delay: time.Millisecond}},
	} {
		bmc := start(t, config)
		d := driver(t, bmc, nil)
		for range 3 {
			if _, err := d.State(t.Context()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if ways := used(bmc); !slices.Contains(ways, emulator.Basic) {
			t.Errorf("%s: %v", name, ways)
		}
		logins := count(bmc, "login")
		if logins > 2 {
			t.Errorf("%s: %d logins", name, logins)
		}
		// Some minutes later there may be sessions.
		d.now = func() time.Time { return time.Now().Add(sessionRetry) }
		bmc.Lie(emulator.Lies{})
		look(t, d)
		if again := count(bmc, "login"); again != logins+1 {
			t.Errorf("%s: %d logins after a while", name, again-logins)
		}
	}
}

// TestWrongPassword: one call is one try, because BMCs lock accounts.
func TestWrongPassword(t *testing.T) {
	for name, lies := range map[string]emulator.Lies{"session": {}, "basic": {NoSessions: true}} {
		bmc := start(t, emulator.Config{Lies: lies})
		d := driver(t, bmc, func(c *Config) { c.Password = "hunter2" })
		err := d.On(t.Context())
		if power.ClassOf(err) != power.Denied || !errors.Is(err, ErrCredentials) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
		tries := 0
		for _, command := range bmc.Commands() {
			if command.Action == "login" || command.Authentication == emulator.Basic {
				tries++
			}
		}
		if tries != 1 && name == "session" || tries > 2 {
			t.Errorf("%s: %d tries", name, tries)
		}
	}
}
