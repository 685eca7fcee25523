package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

func open(t *testing.T, dir string) *Authority {
	t.Helper()

	a, err := Open(dir)
	must(t, err)

	return a
}

func addresses(list ...string) []netip.Addr {
	out := make([]netip.Addr, len(list))
	for i, a := range list {
		out[i] = netip.MustParseAddr(a)
	}

	return out
}

// change does something to the files or the clock of an authority that has made its certificates.
type change struct {
	name string
	do   func(t *testing.T, a *Authority)
	// renewed tells whether the certificate must be another one afterwards.
	renewed bool
}

func later(d time.Duration) func(*testing.T, *Authority) {
	return func(_ *testing.T, a *Authority) { a.now = func() time.Time { return time.Now().Add(d) } }
}

func remove(file string) func(*testing.T, *Authority) {
	return func(t *testing.T, a *Authority) { t.Helper(); must(t, os.Remove(a.base(file))) }
}

func write(file, content string) func(*testing.T, *Authority) {
	return func(t *testing.T, a *Authority) {
		t.Helper()
		must(t, os.WriteFile(a.base(file), []byte(content), 0o600))
	}
}

// foreign puts there the files of another authority.
func foreign(t *testing.T, a *Authority) {
	t.Helper()

	other := open(t, t.TempDir())
	_, err := other.EnsureServing(addresses("10.0.0.1"))
	must(t, err)
	_, err = other.EnsureClient(Admin)
	must(t, err)

	for _, base := range []string{"apiserver", "client-admin"} {
		for _, suffix := range []string{".crt", ".key"} {
			content, err := os.ReadFile(other.base(base + suffix))
			must(t, err)
			must(t, os.WriteFile(a.base(base+suffix), content, 0o600))
		}
	}
}

// changes to the files of one certificate.
func changes(base string) []change {
	return []change{
		{"nothing", func(*testing.T, *Authority) {}, false},
		{"half its life", later(year / 2), false},
		{"two thirds of its life", later(year*2/3 + day), true},
		{"its whole life", later(year + day), true},
		{"another authority", foreign, true},
		{"certificate missing", remove(base + ".crt"), true},
		{"key missing", remove(base + ".key"), true},
		{"certificate damaged", write(base+".crt", "damage"), true},
		{"certificate empty", write(base+".crt", ""), true},
		{"certificate cut off", write(base+".crt", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"), true},
		{"key damaged", write(base+".key", "damage"), true},
		{"key of another certificate", func(t *testing.T, a *Authority) {
			t.Helper()

			content, err := os.ReadFile(a.base("ca.key"))
			must(t, err)
			write(base+".key", string(content))(t, a)
		}, true},
	}
}

func TestEnsureServing(t *testing.T) {
	for _, c := range changes("apiserver") {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			a := open(t, dir)
			have := addresses("10.0.0.1", "fd00::1")

			if written, err := a.EnsureServing(have); err != nil || !written {
				t.Fatalf("the first time: written %t, %v", written, err)
			}

			c.do(t, a)

			if written, err := a.EnsureServing(have); err != nil || written != c.renewed {
				t.Errorf("written %t, %v; want %t", written, err, c.renewed)
			}

			pair, err := load(a.base("apiserver"))
			must(t, err)

			verify(t, a, pair, x509.ExtKeyUsageServerAuth)
			tidy(t, dir)
		})
	}
}

func TestEnsureServingFollowsAddresses(t *testing.T) {
	a := open(t, t.TempDir())

	for _, step := range []struct {
		addresses []string
		written   bool
	}{
		{[]string{"10.0.0.1", "127.0.0.1"}, true},
		{[]string{"127.0.0.1", "10.0.0.1"}, false}, // their order says nothing
		{[]string{"127.0.0.1", "10.0.0.1", "fd00::1"}, true},
		{[]string{"127.0.0.1"}, true},
		{[]string{"127.0.0.1"}, false},
		{nil, true},
	} {
		if written, err := a.EnsureServing(addresses(step.addresses...)); err != nil || written != step.written {
			t.Errorf("%v: written %t, %v; want %t", step.addresses, written, err, step.written)
		}

		pair, err := load(a.base("apiserver"))
		must(t, err)

		for _, name := range append(slices.Clone(servingNames), step.addresses...) {
			if err := pair.Certificate.VerifyHostname(name); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestEnsureClient(t *testing.T) {
	for _, c := range changes("client-admin") {
		t.Run(c.name, func(t *testing.T) {
			a := open(t, t.TempDir())
			first, err := a.EnsureClient(Admin)
			must(t, err)

			c.do(t, a)

			second, err := a.EnsureClient(Admin)
			must(t, err)

			if renewed := !second.Certificate.Equal(first.Certificate); renewed != c.renewed {
				t.Errorf("renewed %t, want %t", renewed, c.renewed)
			}

			if subject := second.Certificate.Subject; subject.CommonName != "admin" || !slices.Equal(subject.Organization, []string{"system:masters"}) {
				t.Errorf("subject is %s", subject)
			}

			verify(t, a, second, x509.ExtKeyUsageClientAuth)
		})
	}
}

func TestEnsureClientFollowsTheUser(t *testing.T) {
	a := open(t, t.TempDir())

	for _, u := range []user.DefaultInfo{
		{Name: "a:b", Groups: []string{"one"}},
		{Name: "a:b", Groups: []string{"one", "two"}},
		{Name: "a-b"}, // it is kept in the same file
	} {
		pair, err := a.EnsureClient(u)
		must(t, err)

		if subject := pair.Certificate.Subject; subject.CommonName != u.Name || !slices.Equal(subject.Organization, u.Groups) {
			t.Errorf("the certificate of %v is of %s", u, subject)
		}
	}
}

// verify checks a certificate as a client or server would, at the authority's time.
func verify(t *testing.T, a *Authority, pair *Pair, usage x509.ExtKeyUsage) {
	t.Helper()

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.PEM())

	if _, err := pair.Certificate.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: a.now(), KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		t.Error(err)
	}

	if !pair.Key.PublicKey.Equal(pair.Certificate.PublicKey) {
		t.Error("key and certificate do not belong together")
	}
}

// tidy checks that nothing lies about and that nobody else may read the files.
func tidy(t *testing.T, dir string) {
	t.Helper()

	entries, err := os.ReadDir(dir)
	must(t, err)

	for _, entry := range entries {
		info, err := entry.Info()
		must(t, err)

		if strings.HasPrefix(entry.Name(), ".") || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is there with mode %s", entry.Name(), info.Mode())
		}
	}

	if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o077 != 0 && filepath.Base(dir) == "pki" {
		t.Errorf("the directory has mode %v, %v", info, err)
	}
}

func TestOpen(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*testing.T, *Authority)
		// same tells whether the authority is still the same; says is what an error says.
		same bool
		says string
	}{
		{"nothing", func(*testing.T, *Authority) {}, true, ""},
		{"everything lost", func(t *testing.T, a *Authority) { t.Helper(); must(t, os.RemoveAll(a.dir)) }, false, ""},
		{"a crash between the first key and the first certificate", remove("ca.crt"), false, ""},
		{"token key lost", remove("service-account.key"), true, ""},
		{"key lost", remove("ca.key"), false, "restore it from a backup"},
		{"key damaged", write("ca.key", "damage"), false, "ca.key"},
		{"certificate damaged", write("ca.crt", "damage"), false, "ca.crt"},
		{"token key damaged", write("service-account.key", ""), false, "service-account.key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "pki")
			before := open(t, dir)

			c.do(t, before)

			after, err := Open(dir)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want an error with %q", err, c.says)
				}

				return
			}

			must(t, err)
			tidy(t, dir)

			if same := slices.Equal(after.PEM(), before.PEM()); same != c.same {
				t.Errorf("the same authority: %t, want %t", same, c.same)
			}

			verify(t, after, after.pair, x509.ExtKeyUsageAny)

			if _, err := loadKey(after.TokenKeyFile()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenWhereNothingCanBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))

	if _, err := Open(filepath.Join(file, "pki")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

// TestWriteFileKeepsTheOldOne fails a write where a directory is in its place.
func TestWriteFileKeepsTheOldOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")

	for _, content := range []string{"old", "new"} {
		must(t, WriteFile(path, []byte(content)))
	}

	must(t, os.MkdirAll(filepath.Join(dir, "occupied", "by"), 0o700))

	if err := WriteFile(filepath.Join(dir, "occupied"), nil); err == nil {
		t.Error("a directory was replaced")
	}

	if content, err := os.ReadFile(path); err != nil || string(content) != "new" {
		t.Errorf("got %q, %v", content, err)
	}

	if left, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || left != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestKubeconfig(t *testing.T) {
	a := open(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "kubeconfig")
	server := serve(t, a)

	for range 2 { // the second time it is there already, with a mode too wide
		must(t, a.WriteAdminKubeconfig(path, server))

		info, err := os.Stat(path)
		must(t, err)

		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode is %s", info.Mode())
		}

		must(t, os.Chmod(path, 0o644))
	}

	config, err := clientcmd.BuildConfigFromFlags("", path)
	must(t, err)

	if got := ask(t, discovery.NewDiscoveryClientForConfigOrDie(config)); got != "admin [system:masters]" {
		t.Errorf("the server sees %q", got)
	}

	before, err := os.ReadFile(path)
	must(t, err)

	later(year*3/4)(t, a)
	must(t, a.WriteAdminKubeconfig(path, server))

	if after, err := os.ReadFile(path); err != nil || slices.Equal(before, after) || !strings.Contains(string(after), base64.StdEncoding.EncodeToString(a.PEM())) {
		t.Errorf("the kubeconfig did not follow its certificate: %v", err)
	}
}

// TestKubeconfigOfOthersIsKept: --kubeconfig may point at a person's own.
func TestKubeconfigOfOthersIsKept(t *testing.T) {
	a := open(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "config")

	const theirs = "apiVersion: v1\nkind: Config\nclusters:\n- name: prod\n  cluster: {server: https://192.0.2.9}\n"
	must(t, os.WriteFile(path, []byte(theirs), 0o600))

	err := a.WriteAdminKubeconfig(path, netip.MustParseAddrPort("192.0.2.1:6443"))
	if err == nil || !strings.Contains(err.Error(), "--kubeconfig") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line with the cure", err)
	}

	if content, err := os.ReadFile(path); err != nil || string(content) != theirs {
		t.Errorf("the file is now %q, %v", content, err)
	}
}

func TestClientConfig(t *testing.T) {
	a := open(t, t.TempDir())

	config, err := a.ClientConfig(serve(t, a), user.DefaultInfo{Name: "sidero:some/part", Groups: []string{"one", "two"}})
	must(t, err)

	if got := ask(t, discovery.NewDiscoveryClientForConfigOrDie(config)); got != "sidero:some/part [one two]" {
		t.Errorf("the server sees %q", got)
	}

	if strings.Contains(strings.TrimPrefix(config.CertFile, a.dir+"/"), "/") {
		t.Errorf("the certificate is kept in %s", config.CertFile)
	}
}

// serve runs a server that answers with its client's name and groups.
func serve(t *testing.T, a *Authority) netip.AddrPort {
	t.Helper()

	_, err := a.EnsureServing(addresses("127.0.0.1"))
	must(t, err)

	certificate, err := tls.LoadX509KeyPair(a.ServingFiles())
	must(t, err)

	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(a.PEM())

	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject := r.TLS.PeerCertificates[0].Subject
		_, _ = io.WriteString(w, subject.CommonName+" ["+strings.Join(subject.Organization, " ")+"]")
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	s.StartTLS()
	t.Cleanup(s.Close)

	return s.Listener.Addr().(*net.TCPAddr).AddrPort()
}

func ask(t *testing.T, client *discovery.DiscoveryClient) string {
	t.Helper()

	body, err := client.RESTClient().Get().AbsPath("/").Do(t.Context()).Raw()
	must(t, err)

	return string(body)
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
