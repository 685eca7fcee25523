package appliance

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	reloader "k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
)

func TestKubeconfigOfSomebodyUsedWrongly(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--group", "a"}, "error: whose kubeconfig? --group and --expires need --user NAME\n"},
		{[]string{"--expires", "1h"}, "error: whose kubeconfig? --group and --expires need --user NAME\n"},
		{[]string{"--user", ""}, "error: whose kubeconfig? --group and --expires need --user NAME\n"},
		{[]string{"--user", "system:node:x"}, `error: user "system:node:x": names that start with system: belong to Kubernetes: bind a role to another name instead` + "\n"},
		{[]string{"--user", "jane", "--group", "a,system:masters"}, `error: group "system:masters": names that start with system:`},
		{[]string{"--user", "jane", "--expires", "9000h"}, "error: expires 9000h0m0s: a certificate is valid for 1m0s at least and 8760h0m0s at most\n"},
		{[]string{"--user", "jane", "--expires", "soon"}, `"soon" is not a duration such as`},
	} {
		got := command(t, nil, append([]string{"kubeconfig", "--data-dir", t.TempDir()}, test.args...)...)
		if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%v: exit code %d: %s%s\nwant %s", test.args, got.code, got.stdout, got.stderr, test.want)
		}
	}
}

// TestKubeconfigOfSomebody makes one where no appliance runs.
func TestKubeconfigOfSomebody(t *testing.T) {
	dir := t.TempDir()
	args := []string{"kubeconfig", "--data-dir", dir, "--user", "jane", "--group", "a", "--group", "b,c"}
	if got := command(t, nil, args...); got.code != exitFailed || !strings.Contains(got.stderr, "start the appliance with") {
		t.Errorf("on an empty directory: exit code %d: %s", got.code, got.stderr)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}

	authority, err := pki.Open(filepath.Join(dir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.WriteAdminKubeconfig(filepath.Join(dir, adminKubeconfig), netip.MustParseAddrPort("192.0.2.7:7443")); err != nil {
		t.Fatal(err)
	}
	printed := command(t, nil, args...)
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(printed.stdout))
	if err != nil || printed.code != exitOK {
		t.Fatalf("exit code %d: %v: %s%s", printed.code, err, printed.stdout, printed.stderr)
	}
	if config.Host != "https://192.0.2.7:7443" {
		t.Errorf("it is for %s", config.Host)
	}

	output := filepath.Join(t.TempDir(), "jane.kubeconfig")
	if got := command(t, nil, append(args, "-o", output)...); got.code != exitOK || got.stdout != "" {
		t.Errorf("to a file: exit code %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if info, err := os.Stat(output); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file has mode %v (%v), want 0600", info.Mode(), err)
	}
	if got := command(t, nil, append(args, "-o", output)...); got.code != exitFailed || !strings.Contains(got.stderr, "exists already") {
		t.Errorf("over a file: exit code %d: %s", got.code, got.stderr)
	}

	if err := os.Remove(filepath.Join(dir, "pki", "ca.crt")); err != nil {
		t.Fatal(err)
	}
	if got := command(t, nil, args...); got.code != exitFailed || !strings.Contains(got.stderr, "there is no certificate authority in "+dir+"/pki") {
		t.Errorf("without an authority: exit code %d: %s", got.code, got.stderr)
	}
}

// TestAccessToARunningAppliance uses what the commands make.
func TestAccessToARunningAppliance(t *testing.T) {
	reloader.EncryptionConfigFileChangePollDuration = 50 * time.Millisecond // upstream's knob for tests; a minute otherwise
	dir := t.TempDir()
	plane := apitest.StartIn(t, dir)
	roles, err := bootstrap.New(bootstrap.Config{Client: plane.Client(t, pki.Owner), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	apitest.Run(t, roles)

	made := command(t, nil, "kubeconfig", "--data-dir", dir, "--user", "jane", "--group", "sidero:viewer", "--group", "night", "--expires", "1m")
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(made.stdout))
	if err != nil {
		t.Fatalf("%v: %s%s", err, made.stdout, made.stderr)
	}
	who, err := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if jane := who.Status.UserInfo; jane.Username != "jane" || !slices.Equal(jane.Groups, []string{"night", "sidero:viewer", "system:authenticated"}) {
		t.Errorf("the API knows %+v", jane)
	}

	secrets := kubernetes.NewForConfigOrDie(plane.Admin).CoreV1().Secrets("default")
	if _, err := secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	rotated := command(t, nil, "rotate-encryption-key", "--data-dir", dir)
	if rotated.code != exitOK || !strings.HasPrefix(rotated.stdout, "The encryption key is changed. All Secrets are encrypted with key-") ||
		!strings.HasSuffix(rotated.stdout, "; 1 were written again.\n") || !strings.Contains(rotated.stderr, "waiting for the API server to take up the new key") {
		t.Errorf("rotation: exit code %d: %s%s", rotated.code, rotated.stdout, rotated.stderr)
	}
	if _, err := secrets.Get(t.Context(), "s", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestRotationWithoutAnAppliance(t *testing.T) {
	dir := t.TempDir()
	if got := command(t, nil, "rotate-encryption-key", "--data-dir", dir); got.code != exitFailed || !strings.Contains(got.stderr, "there is no kubeconfig at") {
		t.Errorf("on an empty directory: exit code %d: %s", got.code, got.stderr)
	}
	t.Run("once", func(t *testing.T) { apitest.StartIn(t, dir) })
	got := command(t, nil, "rotate-encryption-key", "--data-dir", dir)
	if got.code != exitFailed || !strings.HasPrefix(got.stderr, "error: the appliance does not answer: start it with") {
		t.Errorf("of a stopped one: exit code %d: %s", got.code, got.stderr)
	}
	if got := command(t, nil, "rotate-encryption-key", "--http-port=1"); got.code != exitUsage {
		t.Errorf("with a strange flag: exit code %d", got.code)
	}
}
