package redfish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/redfish"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/internal/pause"
)

// Config says which machine.
type Config struct {
	// Endpoint is the BMC: HOST, HOST:PORT or a URL. Without a scheme it is HTTPS; http:// is for emulators, the
	// password goes over the network in the clear.
	Endpoint       string
	User, Password string
	// System is the id of the machine where a service has several. Optional.
	System string
	// Fingerprint is the pinned certificate's SHA-256 in hexadecimal, with colons or without. When it is empty the first
	// certificate seen is trusted and pinned for as long as the driver lives.
	Fingerprint string
	// Pin is told the fingerprint to keep when Fingerprint is empty, once, during the call that connects first. It must not
	// call the driver. Optional.
	Pin func(fingerprint string)
	// HTTPBoot is the URI that UEFI boots from in place of PXE, where the BMC takes one. Optional.
	HTTPBoot string
	// Settle is how long a BMC may take to show the boot override that it accepted, for each of up to four ways to set it: 2 s.
	Settle time.Duration
}

// Driver controls one machine.
type Driver struct {
	config    Config
	endpoint  *url.URL
	transport *transport
	http      *http.Client
	now       func() time.Time

	// turn is held while logging in, so that calls at the same time share one session.
	turn   chan struct{}
	login  login
	closed bool

	mu     sync.Mutex
	system string // its URI, once found
}

var _ power.Driver = (*Driver)(nil)

// New checks the configuration and reports all that is wrong with it. Nothing is sent until the first call.
func New(config Config) (*Driver, error) {
	config.Settle = cmp.Or(config.Settle, 2*time.Second)
	endpoint, mistakes := parseEndpoint(config.Endpoint)
	fingerprint, err := parseFingerprint(config.Fingerprint)
	mistakes = errors.Join(mistakes, err)
	if config.User == "" || config.Password == "" {
		mistakes = errors.Join(mistakes, errors.New("user, password: both are needed"))
	}
	if mistakes != nil {
		return nil, fmt.Errorf("configure Redfish: %w", mistakes)
	}
	d := &Driver{config: config, endpoint: endpoint, now: time.Now, turn: make(chan struct{}, 1)}
	d.transport = newTransport(endpoint, &pin{fingerprint: fingerprint, tell: config.Pin})
	d.http = &http.Client{Transport: d.transport, CheckRedirect: d.transport.checkRedirect}
	return d, nil
}

// parseEndpoint tells no part of what it refuses that may be a password.
func parseEndpoint(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	endpoint, err := url.Parse(text)
	switch {
	case err != nil || endpoint.Hostname() == "":
		return nil, errors.New("endpoint: is not HOST, HOST:PORT or a URL")
	case endpoint.Scheme != "https" && endpoint.Scheme != "http":
		return nil, fmt.Errorf("endpoint: scheme %q is not https", endpoint.Scheme)
	case endpoint.User != nil:
		return nil, errors.New("endpoint: has a user name in it; that and the password have fields of their own")
	case strings.Trim(endpoint.Path, "/") != "" && !strings.HasPrefix(endpoint.Path, "/redfish"):
		return nil, fmt.Errorf("endpoint: path %q: Redfish is at /redfish/v1 always", endpoint.Path)
	}
	return &url.URL{Scheme: endpoint.Scheme, Host: endpoint.Host}, nil
}

// Fingerprint is that of the pinned certificate; empty before the first call of a driver that was given none.
func (d *Driver) Fingerprint() string { return d.transport.pin.get() }

// State asks whether the machine has power.
func (d *Driver) State(ctx context.Context) (power.State, error) {
	state := power.Unknown
	err := d.do(ctx, "read power state", func(_ context.Context, client *gofish.APIClient) error {
		machine, err := d.get(client)
		if err == nil {
			state, err = machine.state()
		}
		return err
	})
	return state, err
}

// On gives the machine power.
func (d *Driver) On(ctx context.Context) error {
	return d.do(ctx, "turn on", func(_ context.Context, client *gofish.APIClient) error {
		machine, err := d.get(client)
		if err != nil {
			return err
		}
		return d.turnOn(client, machine)
	})
}

func (d *Driver) turnOn(client *gofish.APIClient, machine *system) error {
	if machine.PowerState == redfish.OnPowerState {
		return nil
	}
	wanted := []redfish.ResetType{redfish.OnResetType, redfish.ForceOnResetType}
	// The button turns a running machine off: only where it is known that it does not run.
	if machine.PowerState == redfish.OffPowerState {
		wanted = append(wanted, redfish.PushPowerButtonResetType)
	}
	return d.reset(client, machine, redfish.OnPowerState, wanted...)
}

// Off takes the machine's power.
func (d *Driver) Off(ctx context.Context) error {
	return d.do(ctx, "turn off", func(_ context.Context, client *gofish.APIClient) error {
		machine, err := d.get(client)
		if err != nil || machine.PowerState == redfish.OffPowerState {
			return err
		}
		return d.reset(client, machine, redfish.OffPowerState, redfish.ForceOffResetType)
	})
}

// Cycle takes the machine's power and gives it again; a machine without power gets it.
//
// ForceRestart comes before PowerCycle because OpenBMC asks the operating system first for the latter and waits for it.
func (d *Driver) Cycle(ctx context.Context) error {
	return d.do(ctx, "power-cycle", func(ctx context.Context, client *gofish.APIClient) error {
		machine, err := d.get(client)
		if err != nil {
			return err
		}
		if machine.PowerState == redfish.OffPowerState {
			return d.turnOn(client, machine)
		}
		err = d.reset(client, machine, "", redfish.ForceRestartResetType, redfish.PowerCycleResetType)
		if errors.Is(err, errNotAllowed) {
			return d.offAndOn(ctx, client, machine)
		}
		return err
	})
}

// offAndOn is for BMCs that have no restart.
func (d *Driver) offAndOn(ctx context.Context, client *gofish.APIClient, machine *system) error {
	if err := d.reset(client, machine, redfish.OffPowerState, redfish.ForceOffResetType); err != nil {
		return err
	}
	for {
		machine, err := d.get(client)
		if err != nil {
			return fmt.Errorf("wait for power to go: %w", err)
		}
		if machine.PowerState == redfish.OffPowerState {
			return d.turnOn(client, machine)
		}
		if err := pause.For(ctx, pollInterval); err != nil {
			return fmt.Errorf("wait for power to go, so the machine may be off now: %w", err)
		}
	}
}

// Close logs out.
func (d *Driver) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	defer d.transport.CloseIdleConnections()
	return d.logOut(ctx)
}
