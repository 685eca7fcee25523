package encryption

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"
)

const (
	kind     = "EncryptionConfiguration"
	resource = "secrets"

	keyBytes  = 32 // secretbox takes no other length
	nameBytes = 4
)

// Keys are what the file holds.
type Keys struct {
	// Secretbox are the keys, the newest first: it encrypts, all decrypt.
	Secretbox []apiserverv1.Key
	// Plain tells whether what is not encrypted is read too: Secrets written before there were keys.
	Plain bool
}

// First are the keys of a database that may hold Secrets from before there were keys.
func First() (Keys, error) {
	key, err := newKey()

	return Keys{Secretbox: []apiserverv1.Key{key}, Plain: true}, err
}

func newKey() (apiserverv1.Key, error) {
	random := make([]byte, nameBytes+keyBytes)
	if _, err := rand.Read(random); err != nil {
		return apiserverv1.Key{}, fmt.Errorf("generate key: %w", err)
	}

	return apiserverv1.Key{
		Name:   "key-" + hex.EncodeToString(random[:nameBytes]),
		Secret: base64.StdEncoding.EncodeToString(random[nameBytes:]),
	}, nil
}

// Newest is the name of the key that encrypts.
func (k Keys) Newest() string { return k.Secretbox[0].Name }

// Rotating tells whether a rotation has begun and not ended: its new key is there beside the old one.
func (k Keys) Rotating() bool { return len(k.Secretbox) > 1 }

// With are the keys with a newer one.
func (k Keys) With(newer apiserverv1.Key) Keys {
	return Keys{Secretbox: append([]apiserverv1.Key{newer}, k.Secretbox...), Plain: k.Plain}
}

// Alone is the newest key without the others.
func (k Keys) Alone() Keys { return Keys{Secretbox: k.Secretbox[:1]} }

// Marshal renders the file.
func (k Keys) Marshal() ([]byte, error) {
	providers := []apiserverv1.ProviderConfiguration{{Secretbox: &apiserverv1.SecretboxConfiguration{Keys: k.Secretbox}}}
	if k.Plain {
		providers = append(providers, apiserverv1.ProviderConfiguration{Identity: &apiserverv1.IdentityConfiguration{}})
	}

	content, err := yaml.Marshal(apiserverv1.EncryptionConfiguration{
		TypeMeta:  metav1.TypeMeta{APIVersion: apiserverv1.SchemeGroupVersion.String(), Kind: kind},
		Resources: []apiserverv1.ResourceConfiguration{{Resources: []string{resource}, Providers: providers}},
	})
	if err != nil {
		return nil, fmt.Errorf("render keys: %w", err)
	}

	return content, nil
}

// Parse reads the file. A file that a person has given other providers or resources is an error: it is theirs to change.
func Parse(content []byte) (Keys, error) {
	var file apiserverv1.EncryptionConfiguration
	if err := yaml.UnmarshalStrict(content, &file); err != nil {
		return Keys{}, fmt.Errorf("parse keys: %w", err)
	}

	if file.Kind != kind || len(file.Resources) != 1 || len(file.Resources[0].Resources) != 1 || file.Resources[0].Resources[0] != resource {
		return Keys{}, errForeign
	}

	var k Keys

	for i, provider := range file.Resources[0].Providers {
		switch {
		case i == 0 && provider.Secretbox != nil && len(provider.Secretbox.Keys) > 0:
			k.Secretbox = provider.Secretbox.Keys
		case i == 1 && provider.Identity != nil:
			k.Plain = true
		default:
			return Keys{}, errForeign
		}
	}

	if k.Secretbox == nil {
		return Keys{}, errForeign
	}

	return k, nil
}

var errForeign = errors.New("the file was not written by this program: it does not encrypt secrets by secretbox alone; change its keys by hand")
