package servers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// noSuchKind tells whether it is a kind that the API does not know, not an object. For an object it says which.
func noSuchKind(err error) bool {
	var status apierrors.APIStatus

	return apierrors.IsNotFound(err) && errors.As(err, &status) && (status.Status().Details == nil || status.Status().Details.Name == "")
}

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
	case noSuchKind(err):
		return fmt.Errorf("what answers at %s knows no servers of Sidero (metal.sidero.dev), so it is no appliance: name the appliance's kubeconfig "+
			"with --kubeconfig or KUBECONFIG; \"sidero-appliance kubeconfig\" on the appliance's machine prints it: %w", p.URL, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("this kubeconfig does not allow that: docs/access.md tells who may do what: %w", err)
	}

	return err
}
