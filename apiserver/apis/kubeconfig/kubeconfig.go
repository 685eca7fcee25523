// Package kubeconfig says which kubeconfigs of workload clusters, kept in Secrets, may be used: those that stand by
// themselves. Whoever may write a Secret could otherwise have this process run programs, or log in with the keys of the
// appliance, which lie in files.
package kubeconfig

import (
	"errors"
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Reasons to refuse a kubeconfig.
var (
	ErrRunsPrograms = errors.New("it gets credentials from a program, which is not run here")
	ErrReadsFiles   = errors.New("it names files, which are not read here: put their content into it")
)

// Parse reads a kubeconfig that stands by itself.
func Parse(content []byte) (*api.Config, error) {
	parsed, err := clientcmd.Load(content)
	if err != nil {
		return nil, fmt.Errorf("parse it: %w", err)
	}

	for name, user := range parsed.AuthInfos {
		if user.Exec != nil || user.AuthProvider != nil {
			return nil, fmt.Errorf("user %s: %w", name, ErrRunsPrograms)
		}

		if user.TokenFile != "" || user.ClientCertificate != "" || user.ClientKey != "" {
			return nil, fmt.Errorf("user %s: %w", name, ErrReadsFiles)
		}
	}

	for name, cluster := range parsed.Clusters {
		if cluster.CertificateAuthority != "" {
			return nil, fmt.Errorf("cluster %s: %w", name, ErrReadsFiles)
		}
	}

	return parsed, nil
}
