package pki

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const contextName = "sidero-appliance"

// Admin is the user of the admin kubeconfig, who may do everything.
var Admin = user.DefaultInfo{Name: "admin", Groups: []string{user.SystemPrivilegedGroup}}

// Owner is the process itself: what makes the objects that everything else stands on, and Kubernetes's own controllers.
var Owner = user.DefaultInfo{Name: "system:sidero-appliance", Groups: []string{user.SystemPrivilegedGroup}}

// Kubeconfig renders a kubeconfig that holds everything a client needs to reach the API server at an address as a user.
func (a *Authority) Kubeconfig(server netip.AddrPort, u user.DefaultInfo) ([]byte, error) {
	pair, err := a.EnsureClient(u)
	if err != nil {
		return nil, err
	}

	return a.kubeconfig("https://"+server.String(), u.Name, pair)
}

func (a *Authority) kubeconfig(server, name string, pair *Pair) ([]byte, error) {
	key, err := pair.KeyPEM()
	if err != nil {
		return nil, err
	}

	config := clientcmdapi.NewConfig()
	config.Clusters[contextName] = &clientcmdapi.Cluster{
		Server:                   server,
		CertificateAuthorityData: a.PEM(),
	}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.CertificatePEM(), ClientKeyData: key}
	config.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: name}
	config.CurrentContext = contextName

	return clientcmd.Write(*config)
}

// ClientConfig is a client configuration for a component in this process. Its certificate is read from the files, so that
// a renewed one is taken up without a restart.
func (a *Authority) ClientConfig(server netip.AddrPort, u user.DefaultInfo) (*rest.Config, error) {
	if _, err := a.EnsureClient(u); err != nil {
		return nil, err
	}

	return &rest.Config{
		Host:      "https://" + server.String(),
		UserAgent: contextName + "/" + u.Name,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   a.PEM(),
			CertFile: a.clientBase(u) + ".crt",
			KeyFile:  a.clientBase(u) + ".key",
		},
		DisableCompression: true, // the bytes do not leave the machine
		QPS:                -1,   // the API server's priority and fairness does it better
	}, nil
}

// WriteAdminKubeconfig writes the admin's kubeconfig, readable by its owner only, unless the file has that content
// already.
func (a *Authority) WriteAdminKubeconfig(path string, server netip.AddrPort) error {
	content, err := a.Kubeconfig(server, Admin)
	if err != nil {
		return fmt.Errorf("make kubeconfig: %w", err)
	}

	have, err := os.ReadFile(path)
	if err == nil && bytes.Equal(have, content) {
		return os.Chmod(path, 0o600)
	}

	if err == nil && holdsOthers(have) {
		return fmt.Errorf("write kubeconfig %s: it holds other clusters, which would be lost: name another file with --kubeconfig, "+
			"and use both with: export KUBECONFIG=%s:OTHER-FILE", path, path)
	}

	return WriteFile(path, content)
}

// holdsOthers tells whether a file is a kubeconfig with clusters that are not this appliance's.
func holdsOthers(content []byte) bool {
	config, err := clientcmd.Load(content)
	if err != nil {
		return false
	}

	_, ours := config.Clusters[contextName]

	return len(config.Clusters) > 1 || len(config.Clusters) == 1 && !ours
}
