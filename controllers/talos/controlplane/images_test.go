package controlplane

import (
	"slices"
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/constants"
)

const mirrored = `# a comment
machine:
  newerThanWhatIsKnown: 1
  install:
    image: mirror.lan:5000/talos/installer/abc:v1.13.0@sha256:1234
  kubelet:
    image: mirror.lan:5000/kubelet:v1.35.0
cluster:
  apiServer:
    image: kube-apiserver:v1.35.0@sha256:1234
    certSANs: [a]
  controllerManager: {}
  proxy:
    image: mirror.lan:5000/kube-proxy:v1.35.0
---
apiVersion: v1alpha1
kind: HostnameConfig
hostname: a
`

// TestImages wants images to come from where they came from, and nothing else to change.
func TestImages(t *testing.T) {
	versions, err := told([]byte(mirrored))
	if want := [...]string{"v1.35.0", untagged, untagged, "v1.35.0"}; err != nil || versions != want {
		t.Errorf("told %v, want %v: %v", versions, want, err)
	}

	changed := []byte(mirrored)
	for part := range (parts{}) {
		if changed, err = withPart(changed, part, "v1.36.0"); err != nil {
			t.Fatal(err)
		}
	}

	for _, want := range []string{
		"image: kube-apiserver:v1.36.0\n", "image: mirror.lan:5000/kubelet:v1.36.0\n", "image: mirror.lan:5000/kube-proxy:v1.36.0\n",
		"image: " + constants.KubernetesControllerManagerImage + ":v1.36.0\n", "image: " + constants.KubernetesSchedulerImage + ":v1.36.0\n",
		"newerThanWhatIsKnown: 1", "kind: HostnameConfig", "certSANs:", "installer/abc:v1.13.0@sha256:1234",
	} {
		if !strings.Contains(string(changed), want) {
			t.Errorf("%q is missing in\n%s", want, changed)
		}
	}

	if versions, err = told(changed); err != nil || slices.Contains(versions[:], untagged) {
		t.Errorf("told %v by then: %v", versions, err)
	}

	if image, err := installer([]byte(mirrored), "v1.13.6"); err != nil || image != "mirror.lan:5000/talos/installer/abc:v1.13.6" {
		t.Errorf("the installer is %q: %v", image, err)
	}
}

// TestBadConfigurations wants errors without what is in them.
func TestBadConfigurations(t *testing.T) {
	for _, text := range []string{"", "{secret", "- secret", "kind: secret\n", "cluster: secret\n", "cluster: {apiServer: [secret]}\n"} {
		if _, err := told([]byte(text)); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}

		if _, err := withPart([]byte(text), 0, "v1.36.0"); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}

	if image, err := installer([]byte("machine: {}\n"), "v1.13.6"); err != nil || !strings.HasSuffix(image, "/installer:v1.13.6") {
		t.Errorf("Talos's own installer is %q: %v", image, err)
	}
}

func TestTags(t *testing.T) {
	for image, want := range map[string][2]string{
		"a":                         {untagged, "a:v2"},
		"a:v1":                      {"v1", "a:v2"},
		"r.lan:5000/a":              {untagged, "r.lan:5000/a:v2"},
		"r.lan:5000/a:v1":           {"v1", "r.lan:5000/a:v2"},
		"r.lan/a@sha256:12":         {untagged, "r.lan/a:v2"},
		"r.lan:5000/a:v1@sha256:12": {"v1", "r.lan:5000/a:v2"},
		"r.lan:v1/a:v1":             {"v1", "r.lan:v1/a:v2"},
	} {
		if got := [2]string{tagOf(image), tagged(image, "v2")}; got != want {
			t.Errorf("%s: %v, want %v", image, got, want)
		}
	}
}
