package kubelet

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/certificate/csr"
	"k8s.io/client-go/util/keyutil"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
)

const pairName = "client"

// certificate is the kubelet's: the one that it was given before, or one that it asks for by its token.
func (k *Kubelet) certificate(ctx context.Context) (pki.Pair, error) {
	if pair, ok := k.kept(); ok {
		return pair, nil
	}

	client, err := kubernetes.NewForConfig(&rest.Config{
		Host: k.URL, BearerToken: k.Token, TLSClientConfig: rest.TLSClientConfig{CAData: k.Authority},
	})
	if err != nil {
		return pki.Pair{}, fmt.Errorf("make client by token: %w", err)
	}

	request, text, err := pki.Request(pki.Subject{Name: "system:node:" + k.Node.Name, Organizations: []string{"system:nodes"}})
	if err != nil {
		return pki.Pair{}, err
	}

	key, err := keyutil.ParsePrivateKeyPEM(text)
	if err != nil {
		return pki.Pair{}, fmt.Errorf("read own key: %w", err)
	}

	name, uid, err := csr.RequestCertificateWithContext(ctx, client, request, "", certificatesv1.KubeAPIServerClientKubeletSignerName, nil,
		[]certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}, key)
	if err != nil {
		return pki.Pair{}, fmt.Errorf("ask for certificate: %w", err)
	}

	signed, err := csr.WaitForCertificate(ctx, client, name, uid)
	if err != nil {
		return pki.Pair{}, fmt.Errorf("wait for certificate: %w", err)
	}

	pair := pki.Pair{Certificate: signed, Key: text}
	if err := errors.Join(os.MkdirAll(k.Folder, 0o700), pair.Write(k.Folder, pairName)); err != nil {
		return pki.Pair{}, err
	}

	return pair, nil
}

// kept reads the certificate of a former start, if it is still good.
func (k *Kubelet) kept() (pki.Pair, bool) {
	certificate, err := os.ReadFile(filepath.Join(k.Folder, pairName+".crt"))
	if err != nil {
		return pki.Pair{}, false
	}

	key, err := os.ReadFile(filepath.Join(k.Folder, pairName+".key"))
	if err != nil {
		return pki.Pair{}, false
	}

	block, _ := pem.Decode(certificate)
	if block == nil {
		return pki.Pair{}, false
	}

	read, err := x509.ParseCertificate(block.Bytes)
	if err != nil || time.Now().After(read.NotAfter) || read.Subject.CommonName != "system:node:"+k.Node.Name {
		return pki.Pair{}, false
	}

	return pki.Pair{Certificate: certificate, Key: key}, true
}
