package machineconfig

import (
	"errors"
	"fmt"
	"time"

	"github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"go.yaml.in/yaml/v4"
)

// Keys of the Secret that holds a cluster's secrets. The legacy ones are those that the bootstrap provider wrote before version 0.6.
const (
	bundleKey       = "bundle"
	legacyCertsKey  = "certs"
	legacyKubeKey   = "kubeSecrets"
	legacyTrustdKey = "trustdInfo"
)

// Secrets are what all nodes of a cluster share: certificate authorities, tokens and encryption keys.
type Secrets struct{ bundle *secrets.Bundle }

// NewSecrets makes the secrets of a new cluster, as nodes with a version of Talos expect them. Empty is the newest version known.
func NewSecrets(talosVersion string, now time.Time) (*Secrets, error) {
	contract, err := contractOf(talosVersion)
	if err != nil {
		return nil, err
	}

	bundle, err := secrets.NewBundle(secrets.NewFixedClock(now.Add(-skew)), contract)
	if err != nil {
		return nil, fmt.Errorf("make secrets of a cluster: %w", err)
	}

	return &Secrets{bundle}, nil
}

// SecretsSuffix is what the name of the Secret with a cluster's secrets ends in, behind the cluster's name, as upstream has it.
const SecretsSuffix = "-talos"

// ReadSecrets finds a cluster's secrets in the data of its Secret.
func ReadSecrets(data map[string][]byte) (*Secrets, error) {
	bundle, read := &secrets.Bundle{}, map[string]any{}

	if _, ok := data[bundleKey]; ok {
		read[bundleKey] = bundle
	} else {
		bundle.Cluster = &secrets.Cluster{} // had no identity then
		read[legacyCertsKey], read[legacyKubeKey], read[legacyTrustdKey] = &bundle.Certs, &bundle.Secrets, &bundle.TrustdInfo
	}

	for key, into := range read {
		if len(data[key]) == 0 {
			return nil, fmt.Errorf("read secrets of a cluster: the Secret has no %s", key)
		}

		if err := yaml.Unmarshal(data[key], into); err != nil {
			return nil, fmt.Errorf("read secrets of a cluster: %s: %w", key, discreet(err))
		}
	}

	if err := complete(bundle); err != nil {
		return nil, fmt.Errorf("read secrets of a cluster: %w", err)
	}

	return &Secrets{bundle}, nil
}

// FromConfiguration are the secrets that a whole configuration of a control plane node holds. There are none when that of a worker
// is given, which has no keys.
func FromConfiguration(configuration []byte) *Secrets {
	loaded, err := configloader.NewFromBytes(configuration)
	if err != nil || loaded.RawV1Alpha1() == nil || loaded.Machine() == nil || loaded.Cluster() == nil {
		return nil
	}

	bundle := secrets.NewBundleFromConfig(secrets.NewClock(), loaded)
	if complete(bundle) != nil {
		return nil
	}

	return &Secrets{bundle}
}

// complete refuses secrets without a part that every configuration is made of.
func complete(b *secrets.Bundle) error {
	if b.Cluster == nil || b.Secrets == nil || b.TrustdInfo == nil || b.Certs == nil {
		return errors.New("one of cluster, secrets, trustdinfo and certs is missing")
	}

	for name, pair := range map[string]*x509.PEMEncodedCertificateAndKey{
		"os": b.Certs.OS, "k8s": b.Certs.K8s, "etcd": b.Certs.Etcd, "k8saggregator": b.Certs.K8sAggregator,
	} {
		if pair == nil || len(pair.Crt) == 0 || len(pair.Key) == 0 {
			return fmt.Errorf("certs.%s is missing", name)
		}
	}

	if b.Certs.K8sServiceAccount == nil || len(b.Certs.K8sServiceAccount.Key) == 0 {
		return errors.New("certs.k8sserviceaccount is missing")
	}

	return nil
}

// Data is what the Secret of the cluster holds.
func (s *Secrets) Data() (map[string][]byte, error) {
	text, err := yaml.Marshal(s.bundle)
	if err != nil {
		return nil, fmt.Errorf("write secrets of a cluster: %w", discreet(err))
	}

	return map[string][]byte{bundleKey: text}, nil
}

// KubernetesCA are the certificate and the key that the cluster's Kubernetes trusts, in PEM.
func (s *Secrets) KubernetesCA() (certificate, key []byte) {
	return s.bundle.Certs.K8s.Crt, s.bundle.Certs.K8s.Key
}

// TalosCA are the certificate and the key that the cluster's nodes trust in Talos's API, in PEM.
func (s *Secrets) TalosCA() (certificate, key []byte) {
	return s.bundle.Certs.OS.Crt, s.bundle.Certs.OS.Key
}
