package pki_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
)

func TestWhoGetsACertificate(t *testing.T) {
	for _, c := range []struct {
		person pki.Person
		wrong  []string
	}{
		{person: pki.Person{Name: "jane", Expires: time.Minute}},
		{person: pki.Person{Name: "jane@example.org", Groups: []string{"sidero:operator", "Night Shift"}, Expires: pki.MaxExpiry}},
		{person: pki.Person{Name: "Žofie", Expires: time.Hour}},
		{person: pki.Person{Expires: time.Hour}, wrong: []string{"user: the name is empty"}},
		{person: pki.Person{Name: "system:admin", Expires: time.Hour}, wrong: []string{`user "system:admin": names that start with system:`}},
		{person: pki.Person{Name: "sidero:controllers", Expires: time.Hour}, wrong: []string{"belong to the appliance's own parts"}},
		{person: pki.Person{Name: " jane", Expires: time.Hour}, wrong: []string{"no spaces around it"}},
		{person: pki.Person{Name: "ja\nne", Expires: time.Hour}, wrong: []string{"no control characters"}},
		{person: pki.Person{Name: strings.Repeat("j", 65), Expires: time.Hour}, wrong: []string{"65 bytes long and a certificate takes 64"}},
		{person: pki.Person{Name: "jane", Expires: time.Minute - 1}, wrong: []string{"expires 59.999999999s: a certificate is valid for 1m0s at least"}},
		{person: pki.Person{Name: "jane", Expires: pki.MaxExpiry + 1}, wrong: []string{"8760h0m0s at most"}},
		{
			person: pki.Person{Name: "jane", Groups: []string{"ok", "", "system:masters"}, Expires: -time.Hour},
			wrong:  []string{"expires -1h0m0s", "group: the name is empty", `group "system:masters": names that start with system:`},
		},
	} {
		err := c.person.Validate()
		if (err == nil) != (c.wrong == nil) {
			t.Errorf("%+v: %v", c.person, err)
		}

		for _, want := range c.wrong {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want it to hold %q", c.person, err, want)
			}
		}
	}
}

func TestPersonKubeconfig(t *testing.T) {
	dir := t.TempDir()

	if _, err := pki.Load(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("loading nothing: %v", err)
	}

	opened, err := pki.Open(dir)
	if err != nil {
		t.Fatal(err)
	}

	before := list(t, dir)

	authority, err := pki.Load(dir)
	if err != nil {
		t.Fatal(err)
	}

	if _, err := authority.PersonKubeconfig("https://192.0.2.1:6443", pki.Person{Name: "system:x", Expires: time.Hour}); err == nil {
		t.Error("a wrong person gets a certificate")
	}

	begin := time.Now()

	content, err := authority.PersonKubeconfig("https://192.0.2.1:6443", pki.Person{Name: "jane", Groups: []string{"a", "b"}, Expires: time.Hour})
	if err != nil {
		t.Fatal(err)
	}

	config, err := clientcmd.RESTConfigFromKubeConfig(content)
	if err != nil {
		t.Fatal(err)
	}

	block, _ := pem.Decode(config.CertData)

	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}

	if config.Host != "https://192.0.2.1:6443" || string(config.CAData) != string(opened.PEM()) {
		t.Errorf("the kubeconfig is for %s", config.Host)
	}

	if subject := certificate.Subject; subject.CommonName != "jane" || !slices.Equal(subject.Organization, []string{"a", "b"}) {
		t.Errorf("the certificate is for %s", subject)
	}

	if life := certificate.NotAfter.Sub(begin); life < time.Hour-2*time.Second || life > time.Hour+time.Minute {
		t.Errorf("the certificate ends after %s, want an hour", life)
	}

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.CAData)

	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: usages}); err != nil {
		t.Error(err)
	}

	if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: usages, CurrentTime: begin.Add(2 * time.Hour)}); err == nil {
		t.Error("the certificate is valid after its end")
	}

	if after := list(t, dir); !slices.Equal(before, after) {
		t.Errorf("the directory has %v, had %v", after, before)
	}

	admin := dir + "/admin"
	if err := authority.WriteAdminKubeconfig(admin, netip.MustParseAddrPort("192.0.2.1:6443")); err != nil {
		t.Error(err)
	}
}

// TestWriteFileKeepsTheOwner is what a root shell does to the files of the service's user.
func TestWriteFileKeepsTheOwner(t *testing.T) {
	path := t.TempDir() + "/key"

	for _, content := range []string{"old", "new"} {
		if err := pki.WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}

		if content == "old" {
			if err := os.Chown(path, 4711, 4712); err != nil {
				t.Fatalf("%v (run the tests as root)", err)
			}
		}
	}

	uid, gid, mode := owner(t, path)
	if uid != 4711 || gid != 4712 || mode != 0o600 {
		t.Errorf("the file belongs to %d:%d and has mode %o", uid, gid, mode)
	}

	if content, err := os.ReadFile(path); err != nil || string(content) != "new" {
		t.Errorf("it holds %q, %v", content, err)
	}
}

func owner(t *testing.T, path string) (uid, gid uint32, mode os.FileMode) {
	t.Helper()

	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}

	stat := info.Sys().(*syscall.Stat_t)

	return stat.Uid, stat.Gid, info.Mode().Perm()
}

func list(t *testing.T, dir string) []string {
	t.Helper()

	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}

	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}

	return names
}
