package metadata_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	bootstrap "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/boottoken"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/metadata"
)

func workerConfiguration(t *testing.T, now time.Time) []byte {
	t.Helper()

	secrets, err := machineconfig.NewSecrets("v1.5", now)
	if err != nil {
		t.Fatal(err)
	}

	text, err := machineconfig.Generate(machineconfig.Node{
		Role: "worker", TalosVersion: "v1.5", KubernetesVersion: "v1.31.4", Cluster: machineconfig.Cluster{Name: "c", Host: "10.0.0.1", Port: 6443},
	}, secrets)
	if err != nil {
		t.Fatal(err)
	}

	return text
}

// TestFetch goes through a machine's life over HTTP, with others that want what is its own.
func TestFetch(t *testing.T) {
	const own, other, secret = "02:00:00:00:00:01", "02:00:00:00:00:02", "hunter2"

	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{metal.AddToScheme, v1alpha3.AddToScheme, bootstrap.AddToScheme, clusterv1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}

	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "box"}, Spec: metal.ServerSpec{Accepted: true}}
	server.Spec.ConfigPatches = []metal.ConfigPatch{operation("add", "/machine/sysctls", `{"a": "`+secret+`"}`)}
	server.Status.Identity = &metal.MachineIdentity{MACs: []string{own}}
	binding := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: "box", UID: "uid-1", CreationTimestamp: metav1.NewTime(now)}}
	binding.Spec.MetalMachineRef = corev1.ObjectReference{Namespace: "default", Name: "m"}
	metalMachine := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: "m", Namespace: "default", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "cluster.x-k8s.io/v1beta1", Kind: "Machine", Name: "m", UID: types.UID("m")},
	}}}
	machine := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Name: "m", Namespace: "default"}}
	machine.Spec.Bootstrap.DataSecretName = ptr.To("m-data")
	data := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "m-data", Namespace: "default"},
		Data:       map[string][]byte{"value": workerConfiguration(t, now)},
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(server, binding).WithObjects(server, binding, metalMachine, machine, data).Build()

	key, recorder, mac, log := boottoken.NewKey(), events.NewFakeRecorder(100), own, &bytes.Buffer{}
	records := &metadata.Records{Client: api, Namespace: "sidero-system"}
	config := metadata.Config{
		Lookup: metadata.Lookup{Objects: api, Live: api}, Access: metadata.AccessToken, Key: key, Records: records,
		Link:   func() (metadata.Link, error) { return wholeLink(), nil },
		MAC:    func(netip.Addr) (string, bool, error) { return mac, mac != "", nil },
		Owner:  func(context.Context, string) string { return "box" },
		Events: recorder, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: func() time.Time { return now },
	}
	service := httptest.NewServer(metadata.New(config))
	defer service.Close()

	first := key.Mint("uid-1", 1).Text()
	fetch := func(what, from, uuid, token string, status int, event string) {
		t.Helper()

		mac = from

		answer, err := http.Get(fmt.Sprintf("%s/configdata?uuid=%s&token=%s", service.URL, uuid, token))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()

		body, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != status || strings.Contains(string(body), secret) != (status == http.StatusOK) {
			t.Errorf("%s: %d %s", what, answer.StatusCode, body)
		}

		got := ""
		select {
		case got = <-recorder.Events:
		default:
		}

		if event == "" && got != "" || !strings.Contains(got, event) {
			t.Errorf("%s: Event %q, want %q", what, got, event)
		}
	}

	fetch("without a server", own, "", first, 500, "")
	fetch("in its window", own, "box", first, 200, "")
	fetch("again", own, "box", first, 200, "")
	fetch("in capitals", own, "BOX", first, 200, "")
	fetch("behind a router", "", "box", first, 200, metadata.ReasonUnverified)
	fetch("from another machine", other, "box", first, 403, "another machine")
	fetch("with a wrong uuid", own, "nobody", first, 404, metadata.ReasonRefused)
	fetch("with no name", own, "%00", first, 404, metadata.ReasonRefused)
	fetch("without a token", own, "box", "", 403, "without a token")
	fetch("of an earlier allocation", own, "box", key.Mint("uid-0", 1).Text(), 403, "earlier allocation")
	fetch("with the token of a boot to come", own, "box", key.Mint("uid-1", 2).Text(), 403, "boot-window box")

	now = now.Add(time.Minute)
	binding.Status.ConfigurationLoadedAt = ptr.To(metav1.NewMicroTime(now))

	if err := api.Status().Update(t.Context(), binding); err != nil {
		t.Fatal(err)
	}

	fetch("after it has loaded", own, "box", first, 403, "sidero-appliance boot-window box")

	now = now.Add(time.Hour)
	server.Status.StartedAt = ptr.To(metav1.NewMicroTime(now))

	if err := api.Status().Update(t.Context(), server); err != nil {
		t.Fatal(err)
	}

	fetch("a stale token", own, "box", first, 403, "earlier boot")
	fetch("started again", own, "box", key.Mint("uid-1", 2).Text(), 200, "")

	server.Annotations = map[string]string{metal.BootWindowAnnotation: "now"}
	if err := api.Update(t.Context(), server); err != nil {
		t.Fatal(err)
	}

	fetch("reset, and a person has opened the window", own, "box", first, 200, "")

	// With open access anybody may look: what is on record is what the machine has.
	recorded := func() string {
		t.Helper()

		fetched, err := records.Fetched(t.Context(), binding)
		if err != nil {
			t.Error(err)
		}

		return string(fetched.Configuration)
	}
	has := recorded()

	server.Spec.ConfigPatches = append(server.Spec.ConfigPatches, operation("add", "/machine/sysctls/b", `"changed"`))
	if err := api.Update(t.Context(), server); err != nil {
		t.Fatal(err)
	}

	config.Access = metadata.AccessOpen
	open := httptest.NewServer(metadata.New(config))
	defer open.Close()

	service = open

	fetch("from another machine, with open access", other, "box", "", 200, "")

	if got := recorded(); got != has || !strings.Contains(has, secret) || strings.Contains(has, "changed") {
		t.Errorf("on record is %s", got)
	}

	fetch("with open access", own, "box", "", 200, "")

	if got := recorded(); !strings.Contains(got, "changed") {
		t.Errorf("on record is %s", got)
	}

	for _, hidden := range []string{secret, first} {
		if strings.Contains(log.String(), hidden) {
			t.Errorf("the log holds a secret: %s", log)
		}
	}
}
