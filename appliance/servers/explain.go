package servers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// explain adds to an error of the API what to do about it.
func (p *Pool) explain(err error) error {
	var (
		network     *url.Error
		certificate *tls.CertificateVerificationError
	)

	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &certificate):
		return fmt.Errorf("what answers at %s is not the appliance that this kubeconfig is for: %w: "+
			"get a new one with \"sidero-appliance kubeconfig\" on the appliance's machine", p.URL, certificate)
	case errors.As(err, &network):
		return fmt.Errorf("the appliance at %s does not answer: start it with \"sidero-appliance run\", or use the kubeconfig of another: %w",
			p.URL, network.Err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the appliance at %s does not accept this kubeconfig, whose certificate may have ended: "+
			"get a new one with \"sidero-appliance kubeconfig\" on the appliance's machine: %w", p.URL, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("this kubeconfig does not allow that: docs/access.md tells who may do what: %w", err)
	}

	return err
}
