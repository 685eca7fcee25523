package apiserver

import (
	"fmt"
	"net/url"
)

// noServices refuses every Service that a webhook or an API refers to: none run here. The words reach the user.
type noServices struct{}

func (noServices) ResolveEndpoint(namespace, name string, port int32) (*url.URL, error) {
	return nil, fmt.Errorf("service %s/%s:%d: this appliance runs no services; let the webhook be reached by a URL instead",
		namespace, name, port)
}
