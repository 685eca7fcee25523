package appliance

import (
	"github.com/sidero-appliance/sidero-appliance/apiserver"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
)

// clusterKinds makes what installs Cluster API's kinds and answers their
// webhooks, and returns how the API server reaches those.
func (p *controlPlane) clusterKinds(s site) ([]apiserver.LocalService, error) {
	owner, err := p.authority.ClientConfig(p.local, pki.Owner)
	if err != nil {
		return nil, err
	}
	own, err := p.authority.ClientConfig(p.local, bootstrap.ClusterAPI)
	if err != nil {
		return nil, err
	}
	listener := clusterapi.NewListener()
	p.kinds, err = clusterapi.New(clusterapi.Config{
		Owner:       owner,
		Client:      own,
		Listener:    listener,
		Certificate: p.authority.ServiceCertificate(clusterapi.Names()...),
		Features:    s.ClusterAPIFeatures,
		Logger:      s.Log,
	})
	return listener.Services(), err
}
