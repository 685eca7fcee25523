package webhook

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config says what to send. On is required; whatever is missing a person has to do.
type Config struct {
	On, Off *Request
	// Cycle turns off and on again at once. Better than none where the device has it: the machine gets its power back even
	// if the appliance or the network is gone. Without it Off and On are sent, with Pause between them.
	Cycle *Request
	// State asks whether there is power.
	State *StateRequest
	// Pause between off and on: 10 s. Power supplies keep a machine running for some seconds.
	Pause time.Duration
	// Values of placeholders. They are not secret.
	Values map[string]string
	Auth   Auth
	TLS    TLS
}

// Request is an HTTP request. URL, the headers' values and Body may have placeholders, ${name}, of Config.Values and of
// the secrets ${user}, ${password} and ${token}. A value is escaped for where it is put: in the path and query of the
// URL, in a body that is JSON or a form by its Content-Type.
type Request struct {
	// Method is GET when empty.
	Method string
	// URL is http or https.
	URL     string
	Headers map[string]string
	Body    string
	// Success and Failure are regular expressions (RE2) of answers that did what was asked and that did not, for devices
	// that answer 200 to everything. Any other status than 2xx is a failure. Optional.
	Success, Failure string
}

// StateRequest is a Request whose answer tells whether there is power: by the value at JSONPath, or by what Regexp's
// first group (or all of it, if it has none) matches. One of the two is needed.
type StateRequest struct {
	Request
	// JSONPath is names and indexes, such as result.relays[0].on or ["switch:0"].output.
	JSONPath string
	Regexp   string
	// On and Off are the values that mean it, in any case. By default: on, true and 1; off, false and 0.
	On, Off []string
}

// Auth is how to authenticate. User, Password and Token are placeholders in any case.
type Auth struct {
	Scheme                Scheme
	User, Password, Token string
}

// Scheme is an HTTP authentication scheme.
type Scheme string

// The schemes.
const (
	NoScheme Scheme = ""
	// Basic is RFC 7617.
	Basic Scheme = "basic"
	// Digest is RFC 7616, with SHA-256 or MD5.
	Digest Scheme = "digest"
	// Bearer is RFC 6750, with Token.
	Bearer Scheme = "bearer"
)

// TLS is whom to trust: the system's authorities, or one of these.
type TLS struct {
	// Authorities are PEM certificates.
	Authorities []byte
	// Fingerprint is the SHA-256 of the server's certificate, in hexadecimal.
	Fingerprint string
	// Insecure trusts anyone.
	Insecure bool
}

// Validate reports all mistakes, each with its path in the configuration.
func (c Config) Validate() error {
	_, err := compile(c)
	return err
}

// plan is a valid configuration, ready for use.
type plan struct {
	on, off, cycle, state *prepared
	extract               *extractor
	pause                 time.Duration
}

func compile(config Config) (*plan, error) {
	check := &checker{authenticated: config.Auth.Scheme != NoScheme}
	check.placeholders(config)
	prepare := func(path string, request *Request) *prepared {
		if request == nil {
			return nil
		}
		return check.prepare(path, *request)
	}
	compiled := &plan{
		on: prepare("on", config.On), off: prepare("off", config.Off), cycle: prepare("cycle", config.Cycle),
		pause: cmp.Or(config.Pause, 10*time.Second),
	}
	if config.On == nil {
		check.add("on", "is required")
	}
	if config.State != nil {
		compiled.state = prepare("state", &config.State.Request)
		compiled.extract = check.extractor(config.State)
	}
	if config.Pause < 0 {
		check.add("pause", "%s is negative", config.Pause)
	}
	check.auth(config.Auth)
	if _, err := tlsConfig(config.TLS); err != nil {
		check.wrong = append(check.wrong, err)
	}
	return compiled, errors.Join(check.wrong...)
}

// placeholders are the secrets and the configuration's values.
func (c *checker) placeholders(config Config) {
	c.values = map[string]string{"user": config.Auth.User, "password": config.Auth.Password, "token": config.Auth.Token}
	for _, name := range slices.Sorted(maps.Keys(config.Values)) {
		_, taken := c.values[name]
		switch {
		case taken:
			c.add("values."+name, "is the name of a secret")
		case !placeholderName.MatchString(name):
			c.add(fmt.Sprintf("values[%q]", name), "is not a name of letters, digits and underscores")
		default:
			c.values[name] = config.Values[name]
		}
	}
}

func (c *checker) auth(auth Auth) {
	switch auth.Scheme {
	case NoScheme:
	case Basic, Digest:
		if auth.User == "" {
			c.add("auth.user", "is required for %s", auth.Scheme)
		}
		if auth.Password == "" {
			c.add("auth.password", "is required for %s", auth.Scheme)
		}
		if strings.Contains(auth.User, ":") {
			c.add("auth.user", "must not have a colon")
		}
	case Bearer:
		if auth.Token == "" {
			c.add("auth.token", "is required for %s", auth.Scheme)
		}
		if !validHeader(auth.Token) {
			c.add("auth.token", "has characters that no header may have: check that it ends without a line break")
		}
	default:
		c.add("auth.scheme", "%q is none of basic, digest and bearer", auth.Scheme)
	}
}

func (c *checker) method(path, method string) string {
	known := []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	switch {
	case method == "":
		return http.MethodGet
	case !slices.Contains(known, method):
		c.add(path+".method", "%q is none of %s", method, strings.Join(known, ", "))
	}
	return method
}

// regexp is nil for an empty expression.
func (c *checker) regexp(path, expression string) *regexp.Regexp {
	if expression == "" {
		return nil
	}
	compiled, err := regexp.Compile(expression)
	if err != nil {
		c.add(path, "%w", err)
		return nil
	}
	return compiled
}
