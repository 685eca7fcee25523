package webhook

import (
	"strings"
	"testing"
	"time"
)

// TestValidateReportsAll: one look is enough to repair a configuration.
func TestValidateReportsAll(t *testing.T) {
	const secret = "hunter2"
	config := Config{
		Off:   &Request{Method: "get", URL: "ftp://10.0.0.9/" + secret, Success: "(", Failure: "["},
		Cycle: &Request{URL: "http://u:" + secret + "@10.0.0.9/${nosuch}", Body: "${open", Headers: map[string]string{"A B": "x", "host": "x", "X-Key": "a\nb", "Authorization": secret}},
		State: &StateRequest{Request: Request{URL: "http://" + secret + "%zz/"}, JSONPath: "a[", Regexp: "*", On: []string{"yes"}, Off: []string{"YES"}},
		Pause: -time.Second, Values: map[string]string{"user": "x", "a-b": "x"},
		Auth: Auth{Scheme: Bearer, Token: "\n"},
		TLS:  TLS{Insecure: true, Fingerprint: "x"},
	}
	err := config.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"on: is required",
		`off.method: "get" is none of GET,`,
		"off.url: does not begin with http",
		"off.success: error parsing regexp",
		"off.failure: error parsing regexp",
		"cycle.url: has a user in it",
		"cycle.url: there is no value for ${nosuch}",
		"cycle.body: ${ has no }",
		`cycle.headers: "A B" is not a header's name`,
		"cycle.headers.host: cannot be set",
		"cycle.headers.X-Key: has characters",
		"cycle.headers.Authorization: is what auth sets",
		"state.url: is not a URL",
		"state: needs one of jsonPath and regexp",
		"state.jsonPath: parse path: brackets",
		"state.regexp: error parsing regexp",
		`state.on: "yes" means off too`,
		"pause: -1s is negative",
		"values.user: is the name of a secret",
		`values["a-b"]: is not a name`,
		"auth.token: has characters",
		"tls: authorities, fingerprint and insecure exclude",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(err.Error(), secret) {
		t.Error("has a secret in it")
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestValidate(t *testing.T) {
	on := &Request{URL: "http://10.0.0.9"}
	for want, config := range map[string]Config{
		"":                 {On: on},
		"auth.user: is":    {On: on, Auth: Auth{Scheme: Basic, Password: "p"}},
		"auth.user: must":  {On: on, Auth: Auth{Scheme: Basic, User: "a:b", Password: "p"}},
		"auth.password":    {On: on, Auth: Auth{Scheme: Digest, User: "u"}},
		"auth.token: is":   {On: on, Auth: Auth{Scheme: Bearer}},
		"auth.scheme":      {On: on, Auth: Auth{Scheme: "ntlm"}},
		"tls.authorities":  {On: on, TLS: TLS{Authorities: []byte("x")}},
		"tls.fingerprint":  {On: on, TLS: TLS{Fingerprint: "abc"}},
		"on.url: is requi": {On: &Request{}},
		"on.url: has no h": {On: &Request{URL: "http:///x"}},
		"twice":            {On: &Request{URL: "http://x", Headers: map[string]string{"A": "1", "a": "2"}}},
		"state: needs one": {On: on, State: &StateRequest{Request: *on}},
		"around a name of": {On: &Request{URL: "http://x/${a b}"}},
	} {
		if err := config.Validate(); !matches(err, want) {
			t.Errorf("%s: %v", want, err)
		}
		if _, err := New(config); !matches(err, want) {
			t.Errorf("new: %s: %v", want, err)
		}
	}
}
