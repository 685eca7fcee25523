//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
)

const (
	kubeadmNamespace = "capi-kubeadm-bootstrap-system"
	kubeadmService   = "capi-kubeadm-bootstrap-webhook-service"
)

// TestFurtherProvider applies the manifests of a provider that is not a part of the appliance, runs the provider beside
// it, and uses both the provider's kinds and the native ones of the same group. The provider is Cluster API's for kubeadm.
func TestFurtherProvider(t *testing.T) {
	dir := folder(t)
	certificates := webhookCertificates(t, kubeadmService+"."+kubeadmNamespace+".svc")
	configuration := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`webhookServices:
  - namespace: %s
    name: %s
    address: 127.0.0.1:9447
    caFile: %s
`, kubeadmNamespace, kubeadmService, filepath.Join(certificates, "tls.crt"))
	err := os.WriteFile(configuration, []byte(text), 0o600)
	must(t, text, err)

	ctx, i := start(t, 3*time.Minute, "--config", configuration)

	applyProvider(ctx, t, i)

	process, said, err := i.Beside("kubeadm-bootstrap-manager", "--kubeconfig", i.Kubeconfig(),
		"--webhook-cert-dir", certificates, "--webhook-port", "9447",
		"--diagnostics-address", "127.0.0.1:9448", "--health-addr", "127.0.0.1:9449")
	stopLater(t, process, said, err)
	must(t, process, err)

	if _, err := said.Wait(ctx, "Starting workers"); err != nil {
		t.Fatal(err)
	}

	useProvider(ctx, t, i)
}

// applyProvider applies all that the provider publishes: what cannot run here is refused, and the rest is taken.
func applyProvider(ctx context.Context, t *testing.T, i *installation.Installation) {
	t.Helper()

	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/cluster-api").Output()
	module = must(t, module, err)

	manifests, err := i.Kubectl(ctx, "kustomize", filepath.Join(strings.TrimSpace(string(module)), "bootstrap/kubeadm/config/default"))
	manifests = must(t, manifests, err)

	out, err := i.Tool(ctx, manifests, "kubectl", "apply", "--server-side", "-f", "-")
	if err == nil {
		t.Fatal("a Deployment was accepted")
	}

	for _, refusal := range []string{
		`no matches for kind "Deployment"`, `no matches for kind "Service"`,
		"nothing would make this certificate: leave it out", "this issuer would issue nothing: leave it out",
	} {
		if !strings.Contains(err.Error(), refusal) {
			t.Errorf("lacks %q: %v", refusal, err)
		}
	}

	for _, name := range []string{
		"kubeadmconfigs.bootstrap.cluster.x-k8s.io", "kubeadmconfigtemplates.bootstrap.cluster.x-k8s.io",
		"capi-kubeadm-bootstrap-manager-role", "capi-kubeadm-bootstrap-validating-webhook-configuration",
	} {
		if !strings.Contains(out, name) {
			t.Errorf("%s was not applied: %s", name, out)
		}
	}
}

func useProvider(ctx context.Context, t *testing.T, i *installation.Installation) {
	t.Helper()

	const config = `
apiVersion: bootstrap.cluster.x-k8s.io/v1beta1
kind: KubeadmConfig
metadata: {name: k1, namespace: default}
spec: {format: %s, clusterConfiguration: {apiServer: {extraArgs: {v: "2"}}}}
---
apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3
kind: TalosConfig
metadata: {name: t1, namespace: default}
spec: {generateType: join}
`

	out, err := i.Tool(ctx, fmt.Sprintf(config, "cloud-config"), "kubectl", "apply", "-f", "-")
	must(t, out, err)

	// converted by the provider's webhook: a map in v1beta1, a list in v1beta2
	stored, err := i.Kubectl(ctx, "get", "kubeadmconfigs.v1beta2.bootstrap.cluster.x-k8s.io", "k1", "-o",
		"jsonpath={.spec.clusterConfiguration.apiServer.extraArgs[0].name}")
	if err != nil || stored != "v" {
		t.Errorf("in v1beta2 the argument is %q, %v", stored, err)
	}

	for line, part := range map[string]string{
		"get kubeadmconfigs,talosconfigs -o name":              "talosconfig.bootstrap.cluster.x-k8s.io/t1",
		"explain kubeadmconfigs.spec.clusterConfiguration":     "bootstrap.cluster.x-k8s.io",
		"explain talosconfigs.spec.generateType":               "v1alpha3",
		"api-resources --api-group=bootstrap.cluster.x-k8s.io": "kubeadmconfigtemplates",
	} {
		if out, err := i.Kubectl(ctx, strings.Fields(line)...); err != nil || !strings.Contains(out, part) {
			t.Errorf("kubectl %s: %v %s", line, err, out)
		}
	}

	// refused by the provider's webhook
	_, err = i.Tool(ctx, `
apiVersion: bootstrap.cluster.x-k8s.io/v1beta1
kind: KubeadmConfig
metadata: {name: k2, namespace: default}
spec: {files: [{path: /a, content: x, contentFrom: {secret: {name: s, key: k}}}]}
`, "kubectl", "apply", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "spec.files[0]") {
		t.Errorf("two sources of one file: %v", err)
	}
}
