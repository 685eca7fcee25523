package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Bounds of a person's certificate. It cannot be taken back, so it must not live long.
const (
	MinExpiry = time.Minute
	MaxExpiry = 365 * 24 * time.Hour

	// maxName is the longest common name and organization that RFC 5280, appendix A.1, allows (ub-common-name,
	// ub-organization-name).
	maxName = 64
)

// Person is somebody, or a program, who gets a client certificate that this directory does not keep.
type Person struct {
	Name   string
	Groups []string
	// Expires is how long the certificate is valid.
	Expires time.Duration
}

// Validate says everything that is wrong with the person.
func (p Person) Validate() error {
	errs := []error{validateName("user", p.Name), validateExpiry(p.Expires)}

	if strings.HasPrefix(p.Name, "sidero:") {
		errs = append(errs, fmt.Errorf("user %q: names that start with sidero: belong to the appliance's own parts: choose another", p.Name))
	}

	for _, group := range p.Groups {
		errs = append(errs, validateName("group", group))
	}

	return errors.Join(errs...)
}

func validateName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s: the name is empty", what)
	case len(name) > maxName:
		return fmt.Errorf("%s %q: the name is %d bytes long and a certificate takes %d", what, name, len(name), maxName)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.TrimSpace(name) != name:
		return fmt.Errorf("%s %q: a name has no control characters, and no spaces around it", what, name)
	case strings.HasPrefix(name, "system:"):
		// system:masters above all: no role bounds it, and no binding can be removed to take it back.
		return fmt.Errorf("%s %q: names that start with system: belong to Kubernetes: bind a role to another name instead", what, name)
	}

	return nil
}

func validateExpiry(expires time.Duration) error {
	if expires < MinExpiry || expires > MaxExpiry {
		return fmt.Errorf("expires %s: a certificate is valid for %s at least and %s at most", expires, MinExpiry, MaxExpiry)
	}

	return nil
}

// PersonKubeconfig renders the kubeconfig of a person for the API server at a URL, with a certificate made now.
func (a *Authority) PersonKubeconfig(server string, p Person) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}

	template := leafTemplate(pkix.Name{CommonName: p.Name, Organization: p.Groups}, a.now(), x509.ExtKeyUsageClientAuth)
	template.NotAfter = a.now().Add(p.Expires)

	if ends := a.pair.Certificate.NotAfter; template.NotAfter.After(ends) {
		return nil, fmt.Errorf("expires %s: the certificate authority itself ends on %s: choose less", p.Expires, ends.Format(time.DateOnly))
	}

	pair, err := issue(template, a.pair)
	if err != nil {
		return nil, fmt.Errorf("issue client certificate for %s: %w", p.Name, err)
	}

	return a.kubeconfig(server, p.Name, pair)
}
