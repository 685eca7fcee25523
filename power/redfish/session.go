package redfish

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/stmcginnis/gofish"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// ErrCredentials is in the error when the BMC refuses user and password. Trying again locks the account on some BMCs.
var ErrCredentials = errors.New("user or password refused")

// Timeout bounds each call, also when the caller's context allows for more. A BMC that takes some seconds for each request
// gets by with it.
const Timeout = 2 * time.Minute

// sessionRetry is how long passwords are sent with each request before another session is tried for.
const sessionRetry = 5 * time.Minute

// login is how requests authenticate. The zero value is not logged in.
type login struct {
	session *gofish.Session
	// basic is until when user and password are sent with each request, because the BMC gave no session.
	basic time.Time
}

// do runs a call as a logged-in client. A session that is over (BMCs end them after some idle minutes, and all of them
// when they restart) is replaced by a new one, and a BMC that does not honour that one either gets the password itself.
func (d *Driver) do(ctx context.Context, verb string, call func(context.Context, *gofish.APIClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	err := d.attempt(ctx, call, false)
	if errors.Is(err, errSessionOver) {
		err = d.attempt(ctx, call, true)
	}
	if errors.Is(err, errSessionOver) {
		err = d.attempt(ctx, call, false)
	}
	if err != nil {
		return power.Classify(fmt.Errorf("%s by Redfish at %s: %w", verb, d.endpoint.Host, explain(err)), class(err))
	}
	return nil
}

var errSessionOver = errors.New("session refused")

// attempt runs a call once. A session that is refused is forgotten; the last one makes the next attempt use the password.
func (d *Driver) attempt(ctx context.Context, call func(context.Context, *gofish.APIClient) error, last bool) error {
	client, used, err := d.connect(ctx)
	if err != nil {
		return err
	}
	if err = call(ctx, client); status(err) != http.StatusUnauthorized {
		return err
	}
	if used.session == nil {
		return ErrCredentials
	}
	if err := d.acquire(ctx); err != nil {
		return err
	}
	defer d.release()
	if d.login.session == used.session { // else another call replaced it already
		d.login = login{}
		if last {
			d.login.basic = d.now().Add(sessionRetry)
		}
	}
	return errSessionOver
}

// connect returns a client for the context, logged in.
func (d *Driver) connect(ctx context.Context) (*gofish.APIClient, login, error) {
	if err := d.acquire(ctx); err != nil {
		return nil, login{}, err
	}
	defer d.release()
	if d.closed {
		return nil, login{}, errors.New("the driver is closed")
	}
	config := gofish.ClientConfig{Endpoint: d.endpoint.String(), HTTPClient: d.http}
	if d.login.session == nil && !d.now().Before(d.login.basic) {
		client, err := gofish.ConnectContext(ctx, config)
		if err != nil {
			return nil, login{}, err
		}
		if d.login, err = d.logIn(client); err != nil {
			return nil, login{}, err
		}
	}
	config.Session = d.login.session
	config.Username, config.Password, config.BasicAuth = d.config.User, d.config.Password, d.login.session == nil
	client, err := gofish.ConnectContext(ctx, config)
	return client, d.login, err
}

func (d *Driver) acquire(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Driver) release() { <-d.turn }

// logIn makes a session. When there are no sessions, or no room for another one, the password is used instead.
func (d *Driver) logIn(client *gofish.APIClient) (login, error) {
	uri, err := sessions(client)
	if err != nil {
		return login{}, err
	}
	response, err := client.Post(uri, struct{ UserName, Password string }{d.config.User, d.config.Password})
	switch code := status(err); {
	case code == http.StatusUnauthorized:
		return login{}, ErrCredentials
	case code != 0:
		return login{basic: d.now().Add(sessionRetry)}, nil
	case err != nil:
		return login{}, err
	}
	defer response.Body.Close()
	session := &gofish.Session{ID: location(response), Token: response.Header.Get("X-Auth-Token")}
	if session.Token == "" {
		return login{basic: d.now().Add(sessionRetry)}, nil
	}
	return login{session: session}, nil
}

// sessions is the URI of the collection of sessions.
func sessions(client *gofish.APIClient) (string, error) {
	root, err := readRoot(client)
	if err != nil {
		return "", err
	}
	return cmp.Or(root.Links.Sessions.URI, "/redfish/v1/SessionService/Sessions"), nil
}

// location is the URI of a new session: a path, or a URL of which the path counts, in the header, or in the body only.
func location(response *http.Response) string {
	if parsed, err := url.Parse(response.Header.Get("Location")); err == nil && parsed.Path != "" {
		return parsed.Path
	}
	var made link
	_ = json.NewDecoder(response.Body).Decode(&made) // without one the session ends by itself
	return made.URI
}

// logOut ends the session, so that the BMC has room for others.
func (d *Driver) logOut(ctx context.Context) error {
	if err := d.acquire(ctx); err != nil {
		return fmt.Errorf("log out of Redfish at %s: %w", d.endpoint.Host, explain(err))
	}
	defer d.release()
	session := d.login.session
	d.login, d.closed = login{}, true
	if session == nil || session.ID == "" {
		return nil
	}
	client, err := gofish.ConnectContext(ctx, gofish.ClientConfig{Endpoint: d.endpoint.String(), HTTPClient: d.http, Session: session})
	if err == nil {
		_, err = client.Delete(session.ID)
	}
	if code := status(err); code == http.StatusUnauthorized || code == http.StatusNotFound {
		return nil // it was over
	}
	if err != nil {
		return fmt.Errorf("log out of Redfish at %s: %w", d.endpoint.Host, explain(err))
	}
	return nil
}
