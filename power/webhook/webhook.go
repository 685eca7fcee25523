package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/internal/pause"
	"github.com/sidero-appliance/sidero-appliance/power/manual"
)

// Timeout bounds each request, also when the caller's context allows for more.
const Timeout = 10 * time.Second

// maxAnswer bounds an answer in bytes.
const maxAnswer = 1 << 20

// Driver controls one machine.
type Driver struct {
	plan     *plan
	auth     Auth
	redacted *strings.Replacer
	http     *http.Client
}

var _ power.Driver = (*Driver)(nil)

// New checks the configuration and reports all that is wrong with it. Nothing is sent until the first call.
func New(config Config) (*Driver, error) {
	plan, err := compile(config)
	if err != nil {
		return nil, fmt.Errorf("configure webhook: %w", err)
	}
	trust, err := tlsConfig(config.TLS)
	if err != nil {
		return nil, fmt.Errorf("configure webhook: %w", err)
	}
	return &Driver{
		plan: plan, auth: config.Auth, redacted: redaction(plan, config.Auth),
		http: &http.Client{
			Transport: &http.Transport{TLSClientConfig: trust, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
			// Nothing is followed: secrets would go along.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// redaction is for peers that say what they were sent: no secret, and no header's value, which may be one.
func redaction(plan *plan, auth Auth) *strings.Replacer {
	var pairs []string
	hide := func(secret string) {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			if form != "" {
				pairs = append(pairs, form, "(redacted)")
			}
		}
	}
	hide(auth.Password)
	hide(auth.Token)
	for _, request := range []*prepared{plan.on, plan.off, plan.cycle, plan.state} {
		if request == nil {
			continue
		}
		for name := range request.header {
			if name != "Content-Type" && name != "Accept" {
				hide(request.header.Get(name))
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// State asks for the state. Without a request for it, it is power.Unknown.
func (d *Driver) State(ctx context.Context) (power.State, error) {
	if d.plan.state == nil {
		return power.Unknown, nil
	}
	answer, err := d.send(ctx, d.plan.state)
	if err != nil {
		return power.Unknown, d.explain("read power state", d.plan.state, err)
	}
	state, err := d.plan.extract.state(answer)
	if err != nil {
		return power.Unknown, d.explain("read power state", d.plan.state, err)
	}
	return state, nil
}

// On turns on.
func (d *Driver) On(ctx context.Context) error { return d.do(ctx, "turn on", d.plan.on) }

// Off turns off.
func (d *Driver) Off(ctx context.Context) error {
	if d.plan.off == nil {
		return manual.Driver{}.Off(ctx)
	}
	return d.do(ctx, "turn off", d.plan.off)
}

// Cycle turns off and on. Where that takes two requests, it does nothing when the context ends before both can be sent,
// because the machine would be left without power.
func (d *Driver) Cycle(ctx context.Context) error {
	switch {
	case d.plan.cycle != nil:
		return d.do(ctx, "power-cycle", d.plan.cycle)
	case d.plan.off == nil:
		return manual.Driver{}.Cycle(ctx)
	}
	if deadline, ends := ctx.Deadline(); ends && time.Until(deadline) <= d.plan.pause {
		err := fmt.Errorf("power-cycle by webhook: the pause alone is %s and the call has to end before: nothing was done: %w", d.plan.pause, context.DeadlineExceeded)
		return power.Classify(err, power.Refused)
	}
	if err := d.Off(ctx); err != nil {
		return fmt.Errorf("power-cycle: %w", err)
	}
	if err := pause.For(ctx, d.plan.pause); err != nil {
		return fmt.Errorf("power-cycle by webhook: the machine is off now: %w", err)
	}
	if err := d.On(ctx); err != nil {
		return fmt.Errorf("power-cycle: the machine is off now: %w", err)
	}
	return nil
}

// BootFromNetwork needs a person: a plug knows nothing of boot devices.
func (d *Driver) BootFromNetwork(ctx context.Context, firmware power.Firmware) error {
	return manual.Driver{}.BootFromNetwork(ctx, firmware)
}

// Close closes idle connections.
func (d *Driver) Close() error {
	d.http.CloseIdleConnections()
	return nil
}

func (d *Driver) do(ctx context.Context, verb string, request *prepared) error {
	if _, err := d.send(ctx, request); err != nil {
		return d.explain(verb, request, err)
	}
	return nil
}

// send returns the answer to a request that succeeded.
func (d *Driver) send(ctx context.Context, what *prepared) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	request, err := d.build(ctx, what)
	if err != nil {
		return nil, err
	}
	response, err := d.http.Do(request)
	if err != nil {
		return nil, err
	}
	if d.auth.Scheme == Digest && response.StatusCode == http.StatusUnauthorized {
		response.Body.Close()
		if request, err = d.build(ctx, what); err != nil {
			return nil, err
		}
		if err := answerChallenge(response, request, d.auth); err != nil {
			return nil, err
		}
		if response, err = d.http.Do(request); err != nil {
			return nil, err
		}
	}
	defer response.Body.Close()
	return judge(what, response)
}

func (d *Driver) build(ctx context.Context, what *prepared) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, what.method, what.url.String(), strings.NewReader(what.body))
	if err != nil {
		return nil, errors.New("the request is not valid")
	}
	request.Header = what.header.Clone()
	switch d.auth.Scheme {
	case Basic:
		request.SetBasicAuth(d.auth.User, d.auth.Password)
	case Bearer:
		request.Header.Set("Authorization", "Bearer "+d.auth.Token)
	}
	return request, nil
}

// judge reads an answer and tells whether it says success.
func judge(what *prepared, response *http.Response) ([]byte, error) {
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	code := response.StatusCode
	switch {
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("read answer: it is longer than %d bytes", maxAnswer)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return nil, power.Classify(fmt.Errorf("it answers %d %s: check auth's scheme, user, password and token", code, http.StatusText(code)), power.Denied)
	case code >= 300 && code < 400:
		return nil, power.Classify(fmt.Errorf("it answers %d %s: redirects are not followed, give the URL it leads to", code, http.StatusText(code)), power.Refused)
	case code == http.StatusBadRequest || code == http.StatusNotFound || code == http.StatusMethodNotAllowed:
		return nil, power.Classify(fmt.Errorf("it answers %d %s: check the URL and the method", code, http.StatusText(code)), power.Refused)
	case code < 200 || code > 299:
		return nil, fmt.Errorf("it answers %d %s: see its log", code, http.StatusText(code))
	case what.failure != nil && what.failure.Match(answer):
		return nil, power.Classify(errors.New("its answer is one of failure: check user and password, and the channel or entity"), power.Denied)
	case what.success != nil && !what.success.Match(answer):
		return nil, errors.New("its answer is not the one of success: check user and password, and the channel or entity")
	}
	return answer, nil
}

// explain leaves out the URL, which http.Client's errors have, and redacts.
func (d *Driver) explain(verb string, request *prepared, err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	switch text := d.redacted.Replace(err.Error()); {
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		err = context.Canceled
	case text != err.Error():
		err = power.Classify(errors.New(text), power.ClassOf(err))
	}
	return fmt.Errorf("%s by webhook at %s: %w", verb, request.host(), err)
}

// tlsConfig is nil for the system's authorities.
func tlsConfig(from TLS) (*tls.Config, error) {
	ways := 0
	for _, given := range []bool{from.Insecure, from.Fingerprint != "", len(from.Authorities) > 0} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return nil, errors.New("tls: authorities, fingerprint and insecure exclude each other")
	case from.Insecure:
		return &tls.Config{InsecureSkipVerify: true}, nil
	case from.Fingerprint != "":
		return pinned(from.Fingerprint)
	case len(from.Authorities) > 0:
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(from.Authorities) {
			return nil, errors.New("tls.authorities: has no PEM certificate")
		}
		return &tls.Config{RootCAs: pool}, nil
	}
	return nil, nil
}

func pinned(fingerprint string) (*tls.Config, error) {
	want, err := hex.DecodeString(strings.ReplaceAll(fingerprint, ":", ""))
	if err != nil || len(want) != sha256.Size {
		return nil, errors.New("tls.fingerprint: is not a SHA-256 in hexadecimal")
	}
	return &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(state tls.ConnectionState) error {
		seen := sha256.Sum256(state.PeerCertificates[0].Raw)
		if string(seen[:]) != string(want) {
			return fmt.Errorf("its certificate has the fingerprint %x: set tls.fingerprint to it if that is right", seen)
		}
		return nil
	}}, nil
}
