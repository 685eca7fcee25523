package encryption_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/encryption"
)

func TestKeysSurviveTheFile(t *testing.T) {
	first, err := encryption.First()
	must(t, err)

	other, err := encryption.First()
	must(t, err)

	if first.Newest() == other.Newest() || first.Secretbox[0].Secret == other.Secretbox[0].Secret {
		t.Fatal("two appliances have one key")
	}

	if raw, err := base64.StdEncoding.DecodeString(first.Secretbox[0].Secret); err != nil || len(raw) != 32 {
		t.Errorf("the key has %d bytes (%v), want 32", len(raw), err)
	}

	two := first.With(other.Secretbox[0])
	if two.Newest() != other.Newest() || !two.Rotating() || first.Rotating() || !two.Plain {
		t.Errorf("with a newer key: %+v", two)
	}

	alone := two.Alone()
	if alone.Newest() != other.Newest() || alone.Rotating() || alone.Plain {
		t.Errorf("alone: %+v", alone)
	}

	for _, keys := range []encryption.Keys{first, two, alone} {
		content, err := keys.Marshal()
		must(t, err)

		got, err := encryption.Parse(content)
		must(t, err)

		if diff := cmp.Diff(keys, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestForeignFilesAreRefused(t *testing.T) {
	key := encryption.Keys{Secretbox: []apiserverv1.Key{{Name: "a", Secret: "eA=="}}}
	ours, err := key.Marshal()
	must(t, err)

	for name, content := range map[string]string{
		"empty":               "",
		"no YAML":             "\t{",
		"another kind":        strings.Replace(string(ours), "EncryptionConfiguration", "AuthorizationConfiguration", 1),
		"an unknown field":    string(ours) + "more: true\n",
		"other resources":     strings.Replace(string(ours), "- secrets", "- configmaps", 1),
		"more resources":      strings.Replace(string(ours), "- secrets", "- secrets\n  - configmaps", 1),
		"another cipher":      strings.Replace(string(ours), "secretbox", "aesgcm", 1),
		"a provider in front": strings.Replace(string(ours), "- secretbox", "- identity: {}\n  - secretbox", 1),
		"no keys":             strings.Replace(string(ours), "- name: a\n        secret: eA==", "", 1),
	} {
		if content == string(ours) {
			t.Fatalf("%s: nothing was replaced in\n%s", name, ours)
		}

		if keys, err := encryption.Parse([]byte(content)); err == nil {
			t.Errorf("%s is taken: %+v", name, keys)
		}
	}
}
