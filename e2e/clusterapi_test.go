//go:build e2e

package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

// cluster is what a person applies: with it Cluster API's controllers have something to do.
const cluster = `
apiVersion: cluster.x-k8s.io/v1beta1
kind: Cluster
metadata: {name: c1, namespace: default}
spec:
  clusterNetwork: {pods: {cidrBlocks: [10.244.0.0/16]}, services: {cidrBlocks: [10.96.0.0/12]}}
  infrastructureRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3, kind: MetalCluster, name: c1}
  controlPlaneRef: {apiVersion: controlplane.cluster.x-k8s.io/v1alpha3, kind: TalosControlPlane, name: c1-cp}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3
kind: MetalCluster
metadata: {name: c1, namespace: default}
spec: {controlPlaneEndpoint: {host: 172.30.0.100, port: 6443}}
---
apiVersion: controlplane.cluster.x-k8s.io/v1alpha3
kind: TalosControlPlane
metadata: {name: c1-cp, namespace: default}
spec:
  version: v1.34.0
  replicas: 1
  infrastructureTemplate: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3, kind: MetalMachineTemplate, name: c1-workers}
  controlPlaneConfig: {controlplane: {generateType: controlplane, talosVersion: v1.13}}
---
apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3
kind: TalosConfigTemplate
metadata: {name: c1-workers, namespace: default}
spec: {template: {spec: {generateType: join, talosVersion: v1.13}}}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3
kind: MetalMachineTemplate
metadata: {name: c1-workers, namespace: default}
spec: {template: {spec: {serverClassRef: {apiVersion: metal.sidero.dev/v1alpha2, kind: ServerClass, name: any, namespace: default}}}}
---
apiVersion: cluster.x-k8s.io/v1beta1
kind: MachineDeployment
metadata: {name: c1-workers, namespace: default}
spec:
  clusterName: c1
  replicas: 2
  selector: {matchLabels: null}
  template:
    spec:
      clusterName: c1
      version: v1.34.0
      bootstrap: {configRef: {apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3, kind: TalosConfigTemplate, name: c1-workers}}
      infrastructureRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3, kind: MetalMachineTemplate, name: c1-workers}
`

// useCluster goes with a cluster as far as it comes without machines: its infrastructure is taken notice of, and the first machine of
// its control plane and those of its workers are made from the templates.
func useCluster(ctx context.Context, t *testing.T, i *installation.Installation) {
	t.Helper()

	if _, err := i.Tool(ctx, cluster, "kubectl", "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}

	out, err := i.Kubectl(ctx, "wait", "cluster", "c1", "--for=condition=InfrastructureReady", "--timeout=60s")
	must(t, out, err)

	eventually(ctx, t, func() error {
		machines, err := i.Kubectl(ctx, "get", "machines,metalmachines,talosconfigs", "-l", "cluster.x-k8s.io/cluster-name=c1", "-o", "name")
		if err != nil {
			return err
		}

		for _, kind := range []string{"machine.cluster.", "metalmachine.", "talosconfig."} {
			if strings.Count(machines, kind) != 3 {
				return fmt.Errorf("machines are %s", machines)
			}
		}

		return nil
	})

	described, err := i.Tool(ctx, "", "clusterctl", "describe", "cluster", "c1")
	for _, part := range []string{"Cluster default/c1", "MetalCluster default/c1", "TalosControlPlane default/c1-cp", "MachineDeployment default/c1-workers"} {
		if err != nil || !strings.Contains(described, part) {
			t.Errorf("clusterctl describe cluster does not show %s: %v\n%s", part, err, described)
		}
	}
}

// TestClusterAPI: the reconcilers inside work, hold the Lease, and a manager that runs elsewhere waits for it.
func TestClusterAPI(t *testing.T) {
	ctx, i := start(t, 3*time.Minute)
	useCluster(ctx, t, i)

	manager, said, err := clusterAPIManager(t, i, i.BesideAsPod, "--leader-elect")
	if err != nil {
		t.Fatal(err)
	}

	if _, err := said.Wait(ctx, "ttempting to acquire leader lease"); err != nil {
		t.Fatal(err)
	}

	holder, err := i.Kubectl(ctx, "get", "lease", "-n", "capi-system", "controller-leader-election-capi", "-o", "jsonpath={.spec.holderIdentity}")
	if err != nil || !strings.HasPrefix(holder, "sidero-appliance_") {
		t.Errorf("the lease is held by %q, %v", holder, err)
	}

	if strings.Contains(text(t, said), "Starting workers") {
		t.Error("the manager that runs elsewhere works too")
	}

	if err := manager.Stop(); err != nil {
		t.Error(err)
	}
}

// TestExternalClusterAPI: with the reconcilers inside switched off, Cluster API's own manager does their work.
func TestExternalClusterAPI(t *testing.T) {
	ctx, i := start(t, 3*time.Minute, "--controllers=*,-cluster-api")

	_, said, err := clusterAPIManager(t, i, i.Beside)
	if err != nil {
		t.Fatal(err)
	}

	if _, err := said.Wait(ctx, "Starting workers"); err != nil {
		t.Fatal(err)
	}

	useCluster(ctx, t, i)

	// Nothing may be denied to a manager that has all rights, and nothing may be missing that it asks for.
	for _, complaint := range []string{"forbidden", "no matches for kind", "failed to list"} {
		if strings.Contains(text(t, said), complaint) {
			t.Errorf("the manager complains: %s in %s", complaint, said.Path())
		}
	}
}

// beside is a way to run a program beside the appliance.
type beside func(name string, args ...string) (*lab.Process, *lab.Transcript, error)

// clusterAPIManager runs Cluster API's own manager in the lab until the test ends.
func clusterAPIManager(t *testing.T, i *installation.Installation, run beside, args ...string) (*lab.Process, *lab.Transcript, error) {
	t.Helper()

	certificates := webhookCertificates(t, "webhook-service.system.svc")
	process, said, err := run("cluster-api-manager", append(args,
		"--kubeconfig", i.Kubeconfig(), "--webhook-cert-dir", certificates, "--webhook-port", "9444",
		"--diagnostics-address", "127.0.0.1:9445", "--health-addr", "127.0.0.1:9446",
		"--feature-gates", "ClusterTopology=true,MachinePool=true",
		"--machineset-preflight-checks", "")...) // they would wait for the control plane, which nobody makes here

	stopLater(t, process, said, err)

	return process, said, err
}

// stopLater stops what was started when the test ends, and shows what it said if the test failed.
func stopLater(t *testing.T, process *lab.Process, said *lab.Transcript, err error) {
	t.Helper()

	if err != nil {
		return
	}

	t.Cleanup(func() {
		_ = process.Stop()

		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(said.Path()), text(t, said))
		}
	})
}

// text is all that a program has said.
func text(t *testing.T, said *lab.Transcript) string {
	t.Helper()

	all, err := os.ReadFile(said.Path())

	return string(must(t, all, err))
}

// webhookCertificates is a folder with a self-signed certificate, as a manager's webhook server reads it.
func webhookCertificates(t *testing.T, name string) string {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key = must(t, key, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	certificate = must(t, certificate, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	secret = must(t, secret, err)

	dir := t.TempDir()
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "tls.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600),
		os.WriteFile(filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))

	return must(t, dir, err)
}
