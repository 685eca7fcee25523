// Package managementapi is the power driver of Sidero's managementApi: the HTTP API without authentication by which a
// simulated machine's power is controlled.
//
//	GET  /status    answers JSON whose field PoweredOn says whether the machine has power
//	POST /poweron, /poweroff, /reboot, /pxeboot
//
// Sidero Metal 0.6 speaks it (spec.managementApi), and its test suite's virtual machines answer it. A POST succeeds with
// status 200 only; the status code of /status is not looked at. Sidero's simulated failures are power.Simulate's.
package managementapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// Timeout bounds each call, as it does Sidero's, also when the caller's context allows for more.
const Timeout = 10 * time.Second

// maxStatus bounds the answer to /status in bytes.
const maxStatus = 64 << 10

// Config says which machine.
type Config struct {
	// Endpoint is the API's HOST:PORT.
	Endpoint string
}

// Driver controls one machine.
type Driver struct {
	base   string
	client *http.Client
}

var _ power.Driver = (*Driver)(nil)

// New checks the configuration. Nothing is sent until the first call.
func New(config Config) (*Driver, error) {
	base := "http://" + config.Endpoint
	parsed, err := url.Parse(base)
	if err != nil || parsed.Host != config.Endpoint || parsed.Hostname() == "" {
		return nil, fmt.Errorf("configure management API: endpoint %q is not HOST:PORT", config.Endpoint)
	}
	// Nothing is followed: an answer of this API is no redirect, and a POST would become a GET.
	client := &http.Client{
		Transport:     &http.Transport{MaxIdleConns: 1, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Driver{base: base, client: client}, nil
}

// State asks whether the machine has power.
func (d *Driver) State(ctx context.Context) (power.State, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	response, err := d.send(ctx, http.MethodGet, "/status")
	if err != nil {
		return power.Unknown, fmt.Errorf("read power state: %w", err)
	}
	defer response.Body.Close()
	on, err := parseStatus(io.LimitReader(response.Body, maxStatus))
	if err != nil {
		return power.Unknown, fmt.Errorf("read power state of %s: %w", d.base, err)
	}
	return state(on), nil
}

// On gives the machine power.
func (d *Driver) On(ctx context.Context) error { return d.post(ctx, "turn on", "/poweron") }

// Off takes the machine's power.
func (d *Driver) Off(ctx context.Context) error { return d.post(ctx, "turn off", "/poweroff") }

// Cycle takes the machine's power and gives it again.
func (d *Driver) Cycle(ctx context.Context) error { return d.post(ctx, "power-cycle", "/reboot") }

// BootFromNetwork makes the next boot one from the network. The API has one way for every firmware.
func (d *Driver) BootFromNetwork(ctx context.Context, _ power.Firmware) error {
	return d.post(ctx, "set network boot", "/pxeboot")
}

// Close closes idle connections.
func (d *Driver) Close() error {
	d.client.CloseIdleConnections()
	return nil
}

func (d *Driver) post(ctx context.Context, verb, path string) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	response, err := d.send(ctx, http.MethodPost, path)
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s%s answered %q instead of 200: see the log of the power API there", verb, d.base, path, response.Status)
	}
	return nil
}

func (d *Driver) send(ctx context.Context, method, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, d.base+path, nil)
	if err != nil {
		return nil, err
	}
	return d.client.Do(request)
}

// parseStatus reads an answer to /status. An answer without the field says off, as it does to Sidero.
func parseStatus(answer io.Reader) (bool, error) {
	var status struct{ PoweredOn bool }
	if err := json.NewDecoder(answer).Decode(&status); err != nil {
		return false, fmt.Errorf("parse status: %w", err)
	}
	return status.PoweredOn, nil
}

func state(on bool) power.State {
	if on {
		return power.On
	}
	return power.Off
}
