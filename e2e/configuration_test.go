//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/bmc"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/metadata"
)

// configured is the machine of TestConfigurationAccess. It exists as two computers of the LAN: itself, and another one that wants to
// know what it knows.
const configured = "1c0f2f3e-0000-4000-8000-00000000c0f1"

// TestConfigurationAccess is safety invariant 5 of the design: a machine in use gets its configuration, which holds the secrets of its
// cluster, in its boot window with its token, and nobody else does.
func TestConfigurationAccess(t *testing.T) {
	ctx, i := start(t, 4*time.Minute, "--talos-release-url", "http://"+outside+"/talos", "--log-level=debug")
	serveReleases(ctx, t, i)

	f := &fetches{api: admin(t, i)}
	f.own = computer(ctx, t, i, "172.30.0.77")
	f.other = computer(ctx, t, i, "172.30.0.78")

	f.makeServer(ctx, t)

	said, err := i.Tool(ctx, newShape(1, "secret", v1alpha2.ServerClassAny, 1, 0).manifest(t), "kubectl", "apply", "-f", "-")
	must(t, said, err)

	address := f.told(ctx, t)

	f.until(ctx, t, http.StatusOK, address)

	configuration := f.fetch(ctx, t, asked{f.own, address}, http.StatusOK)
	if again := f.fetch(ctx, t, asked{f.own, address}, http.StatusOK); again != configuration {
		t.Errorf("within its window it got first\n%s\nthen\n%s", configuration, again)
	}

	token := regexp.MustCompile(`token=[^&]+`)

	f.fetch(ctx, t, asked{f.other, address}, http.StatusForbidden)
	f.refused(ctx, t, "another machine, with the MAC "+mac(t, f.other))
	f.fetch(ctx, t, asked{f.own, token.ReplaceAllString(address, "token=x")}, http.StatusForbidden)
	f.refused(ctx, t, "a token of another server")
	f.fetch(ctx, t, asked{f.own, token.ReplaceAllString(address, "")}, http.StatusForbidden)
	f.refused(ctx, t, "without a token")
	f.fetch(ctx, t, asked{f.own, strings.Replace(address, configured, newcomer(1), 1)}, http.StatusNotFound)
	f.refused(ctx, t, "asked for the configuration of \""+newcomer(1))

	f.load(ctx, t)
	f.until(ctx, t, http.StatusForbidden, address)
	f.refused(ctx, t, "its configuration is loaded")

	// As after a reset.
	said, err = i.Tool(ctx, "", "sidero-appliance", "boot-window", configured)
	must(t, said, err)
	f.until(ctx, t, http.StatusOK, address)
	f.fetch(ctx, t, asked{f.other, address}, http.StatusForbidden)

	f.checkLog(t, i.Log.Path(), configuration+"\n"+token.FindString(address))
}

// fetches are what computers ask for.
type fetches struct {
	api        client.Client
	own, other *lab.Node
}

// computer is one of the LAN.
func computer(ctx context.Context, t *testing.T, i *installation.Installation, address string) *lab.Node {
	t.Helper()

	node, err := bmc.Attach(ctx, i.Lab, address)

	return must(t, node, err)
}

func mac(t *testing.T, node *lab.Node) (address string) {
	t.Helper()

	must(t, 0, node.Inside(func() error {
		card, err := net.InterfaceByName("eth0")
		if err == nil {
			address = card.HardwareAddr.String()
		}

		return err
	}))

	return address
}

// makeServer makes a server that waits for a cluster: that it is clean is said of it, not done.
func (f *fetches) makeServer(ctx context.Context, t *testing.T) {
	t.Helper()

	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: configured}}
	s.Spec.Hardware = &v1alpha2.HardwareInformation{Network: &v1alpha2.NetworkInformation{
		Interfaces: []*v1alpha2.NetworkInterface{{Name: "eth0", MAC: mac(t, f.own)}},
	}}

	s.Spec.Accepted = true

	must(t, 0, f.api.Create(ctx, s))
	must(t, 0, f.api.Status().Patch(ctx, s, client.RawPatch(types.MergePatchType, []byte(`{"status":{"isClean":true}}`))))
}

// told is where the machine is told to fetch its configuration, by the script that it boots with.
func (f *fetches) told(ctx context.Context, t *testing.T) (address string) {
	t.Helper()

	script := "http://" + installation.Endpoint + "/ipxe?arch=x86_64&platform=pcbios&uuid=" + configured + "&mac=" +
		strings.ReplaceAll(mac(t, f.own), ":", "-")

	eventually(ctx, t, func() error {
		status, text, err := ask(ctx, f.own, script)
		if err != nil {
			return err
		}

		found := regexp.MustCompile(`talos\.config=(\S+)`).FindStringSubmatch(text)
		if found == nil || !strings.Contains(found[1], "token=") {
			return fmt.Errorf("its script, of status %d, names no place of a configuration:\n%s", status, text)
		}

		address = strings.Replace(found[1], "uuid=&", "uuid="+configured+"&", 1) // as Talos does

		return nil
	})

	return address
}

// asked is an address, and who asks for it.
type asked struct {
	by      *lab.Node
	address string
}

// fetch asks for a configuration.
func (f *fetches) fetch(ctx context.Context, t *testing.T, a asked, want int) string {
	t.Helper()

	status, answer, err := ask(ctx, a.by, a.address)
	if err != nil || status != want || strings.Contains(answer, "cluster:") != (want == http.StatusOK) {
		t.Errorf("%s: status %d instead of %d: %s, %v", a.address, status, want, answer, err)
	}

	return answer
}

// until waits for the machine to be answered like that: what has changed is known a moment later.
func (f *fetches) until(ctx context.Context, t *testing.T, want int, address string) {
	t.Helper()

	eventually(ctx, t, func() error {
		status, answer, err := ask(ctx, f.own, address)
		if err == nil && status != want {
			err = fmt.Errorf("status %d: %s", status, answer)
		}

		return err
	})
}

// ask asks from a computer of the LAN.
func ask(ctx context.Context, from *lab.Node, address string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, "", err
	}

	web := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: from.Dial}}

	answer, err := web.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()

	text, err := io.ReadAll(answer.Body)

	return answer.StatusCode, string(text), err
}

// refused waits for an Event about the server that tells of a refusal.
func (f *fetches) refused(ctx context.Context, t *testing.T, why string) {
	t.Helper()

	eventually(ctx, t, func() error {
		var told eventsv1.EventList
		if err := f.api.List(ctx, &told); err != nil {
			return err
		}

		for _, e := range told.Items {
			if e.Reason == metadata.ReasonRefused && e.Regarding.Name == configured && strings.Contains(e.Note, why) {
				return nil
			}
		}

		return fmt.Errorf("no Event tells that %q", why)
	})
}

// load writes what the appliance writes when Talos reports, through SideroLink, that it has its configuration.
func (f *fetches) load(ctx context.Context, t *testing.T) {
	t.Helper()

	b := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: configured}}
	must(t, 0, f.api.Get(ctx, client.ObjectKeyFromObject(b), b))

	before, now := b.DeepCopy(), metav1.NowMicro()
	b.Status.ConfigurationLoadedAt = &now

	must(t, 0, f.api.Status().Patch(ctx, b, client.MergeFrom(before)))
}

// checkLog wants none of the secrets of a configuration in the log.
func (f *fetches) checkLog(t *testing.T, path, configuration string) {
	t.Helper()

	text, err := os.ReadFile(path)
	text = must(t, text, err)
	secrets := regexp.MustCompile(`(?:key|token|secret|secretboxEncryptionSecret)[:=]\s*(\S{16,})`).FindAllStringSubmatch(configuration, -1)

	const least = 5 // the machine's token, the CA's key, the cluster's secret and token, what its database is encrypted with
	if len(secrets) <= least {
		t.Errorf("the configuration has %d secrets:\n%s", len(secrets), configuration)
	}

	for _, secret := range secrets {
		decoded, err := base64.StdEncoding.DecodeString(secret[1])
		if bytes.Contains(text, []byte(secret[1])) || err == nil && bytes.Contains(text, decoded) {
			t.Errorf("the log holds a secret of the configuration: %s", secret[0])
		}
	}
}
