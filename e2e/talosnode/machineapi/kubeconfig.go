package machineapi

import (
	"fmt"

	"github.com/siderolabs/talos/pkg/machinery/config/config"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
)

// Kubeconfig is that of an administrator of a cluster, whose Kubernetes has an authority.
func Kubeconfig(cluster config.ClusterConfig, authority *pki.Authority) ([]byte, error) {
	pair, err := authority.Issue(pki.Subject{
		Name: cluster.AdminKubeconfig().CommonName(), Organizations: []string{cluster.AdminKubeconfig().CertOrganization()},
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what it is
	}

	user := "admin@" + cluster.Name()

	written := clientcmdapi.NewConfig()
	written.CurrentContext = user
	written.Clusters[cluster.Name()] = &clientcmdapi.Cluster{Server: cluster.Endpoint().String(), CertificateAuthorityData: authority.PEM}
	written.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Certificate, ClientKeyData: pair.Key}
	written.Contexts[user] = &clientcmdapi.Context{Cluster: cluster.Name(), AuthInfo: user, Namespace: "default"}

	text, err := clientcmd.Write(*written)
	if err != nil {
		return nil, fmt.Errorf("write kubeconfig: %w", err)
	}

	return text, nil
}
