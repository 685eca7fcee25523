package appliance

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sidero-appliance/sidero-appliance/apiserver"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
)

func TestWebhookServices(t *testing.T) {
	authority, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pem := string(authority.PEM())
	text, err := json.Marshal(pem)
	if err != nil {
		t.Fatal(err)
	}
	const complete = "namespace: a, name: b, address: 192.0.2.7:9443"
	plain := apiserver.WebhookService{Namespace: "a", Name: "b", Port: 443, Address: "192.0.2.7:9443"}
	trusting := plain
	trusting.CA = []byte(pem)
	tests := []struct {
		name, entries string
		want          []apiserver.WebhookService
		errs          []string
	}{
		{"none", "", nil, nil},
		{"empty", "[]", nil, nil},
		{"without a CA", "[{" + complete + "}]", []apiserver.WebhookService{plain}, nil},
		{"file", "[{" + complete + ", caFile: /ca.crt}]", []apiserver.WebhookService{trusting}, nil},
		{"text", "[{" + complete + ", caData: " + string(text) + "}]", []apiserver.WebhookService{trusting}, nil},
		{"base64", "[{" + complete + ", caData: " + base64.StdEncoding.EncodeToString([]byte(pem)) + "}]", []apiserver.WebhookService{trusting}, nil},
		{"two", "[{" + complete + "}, {namespace: a, name: b, port: 8443, address: 'host.lan:1'}]", []apiserver.WebhookService{
			plain, {Namespace: "a", Name: "b", Port: 8443, Address: "host.lan:1"},
		}, nil},
		{"no list", "{a: b}", nil, []string{"/etc/sidero-appliance/config.yaml:1: webhookServices: must be a list"}},
		{"no mapping", "[x]", nil, []string{"config.yaml:1: webhookServices[0]: must be a mapping"}},
		{"unknown key", "[{" + complete + "}, {host: x}]", nil, []string{
			"webhookServices[1].host: unknown key: the known ones are address, caData, caFile, name, namespace, port"}},
		{"wrong types", "[{" + complete + ", port: many}, {name: [a]}]", nil, []string{
			"webhookServices[0].port: must be a number", "webhookServices[1].name: must be a word"}},
		{"twice in one", "[{" + complete + ", name: c}]", nil, []string{"webhookServices[0].name: is there twice"}},
		{"everything wrong is told", "[{}, {namespace: A, name: '', port: 70000, address: nowhere, caData: x}]", nil, []string{
			`webhookServices[0].namespace: must be the name of a namespace, not ""`, `webhookServices[0].name: must be the name of a Service`,
			`webhookServices[0].address: must be a host and a port, such as 192.0.2.7:9443, not ""`,
			`webhookServices[1].namespace: must be the name of a namespace, not "A"`, "webhookServices[1].port: must be a port from 1 to 65535, not 70000",
			`webhookServices[1].address: must be a host and a port, such as 192.0.2.7:9443, not "nowhere"`,
			"webhookServices[1].caData: holds no certificate",
		}},
		{"a port of letters", "[{namespace: a, name: b, address: 'h:https'}]", nil, []string{"webhookServices[0].address: must be"}},
		{"no host", "[{namespace: a, name: b, address: ':443'}]", nil, []string{"webhookServices[0].address: must be"}},
		{"no file", "[{" + complete + ", caFile: /missing.crt}, {}]", nil, []string{
			"webhookServices[0].caFile: open /missing.crt: file does not exist", "webhookServices[1].name: must be"}},
		{"empty file", "[{" + complete + ", caFile: /empty.crt}]", nil, []string{"webhookServices[0].caFile: /empty.crt is empty"}},
		{"file and text", "[{" + complete + ", caFile: /ca.crt, caData: x}]", nil, []string{"webhookServices[0].caFile: is there beside caData"}},
		{"the same twice", "[{" + complete + "}, {" + complete + "}]", nil, []string{"webhookServices[1]: a/b:443 is there already, as webhookServices[0]"}},
		{"the appliance's own", "[{namespace: capi-system, name: capi-webhook-service, address: 'h:1'}]", nil, []string{
			"webhookServices[0]: capi-system/capi-webhook-service is answered by the appliance itself"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := world{files: map[string]string{
				DefaultConfigFile: "webhookServices: " + test.entries + "\n", "/ca.crt": pem, "/empty.crt": "",
			}}.load(t)
			for _, want := range test.errs {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error is\n     %v\nwant %s", err, want)
				}
			}
			if test.errs != nil {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.webhookServices(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("services (-want +got):\n%s", diff)
			}
		})
	}
}
