package controlplane_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
)

// renewal gives the kubeconfig a certificate that is nearly over, and wants it to be renewed, by the controller's rights; one of a
// person's own is left alone.
func (l *lab) renewal() {
	l.t.Helper()

	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "c-kubeconfig", Namespace: metav1.NamespaceDefault}}
	clustertest.Must(l.t, l.Get(l.t.Context(), client.ObjectKeyFromObject(secret), secret))

	nearlyOver := l.aged(secret.Data["value"])
	l.put(secret, nearlyOver)
	l.annotate("touched", ptr.To("1")) // Secrets are not watched: once a minute is often enough
	clustertest.Until(l.API, secret, "it is renewed", func(s *corev1.Secret) bool { return !bytes.Equal(s.Data["value"], nearlyOver) })

	if left := time.Until(l.expiry(secret.Data["value"])); left < 300*24*time.Hour {
		l.t.Errorf("it is good for %s", left)
	}

	before := secret.DeepCopy()
	secret.OwnerReferences = nil
	clustertest.Must(l.t, l.Patch(l.t.Context(), secret, client.MergeFrom(before)))
	l.put(secret, nearlyOver)

	// A second look begins when the first one is over.
	for range 2 {
		calls := l.calls()
		l.annotate("touched", ptr.To(time.Now().String()))
		clustertest.Until(l.API, secret, "it was looked at again", func(*corev1.Secret) bool { return l.calls() > calls })
	}

	if !bytes.Equal(secret.Data["value"], nearlyOver) {
		l.t.Error("a person's kubeconfig was renewed")
	}
}

func (l *lab) put(secret *corev1.Secret, content []byte) {
	l.t.Helper()

	before := secret.DeepCopy()
	secret.Data = map[string][]byte{"value": content}
	clustertest.Must(l.t, l.Patch(l.t.Context(), secret, client.MergeFrom(before)))
}

// aged is a kubeconfig whose certificate has less than a third of its life left. Nobody has to accept it.
func (l *lab) aged(content []byte) []byte {
	l.t.Helper()

	config, err := clientcmd.Load(content)
	clustertest.Must(l.t, err)

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	clustertest.Must(l.t, err)

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "old"},
		NotBefore: time.Now().AddDate(0, 0, -300), NotAfter: time.Now().AddDate(0, 0, 60),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	clustertest.Must(l.t, err)

	private, err := x509.MarshalECPrivateKey(key)
	clustertest.Must(l.t, err)

	for _, user := range config.AuthInfos {
		user.ClientCertificateData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
		user.ClientKeyData = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})
	}

	content, err = clientcmd.Write(*config)
	clustertest.Must(l.t, err)

	return content
}

func (l *lab) expiry(content []byte) time.Time {
	l.t.Helper()

	config, err := clientcmd.Load(content)
	clustertest.Must(l.t, err)

	for _, user := range config.AuthInfos {
		block, _ := pem.Decode(user.ClientCertificateData)
		certificate, err := x509.ParseCertificate(block.Bytes)
		clustertest.Must(l.t, err)

		return certificate.NotAfter
	}

	return time.Time{}
}
