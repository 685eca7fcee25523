//go:build e2e

package e2e_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
)

// documented are the shapes of manifests in Sidero's documents, those included that its own schema refuses.
func documented() map[string]string {
	return map[string]string{
		"environment": `
apiVersion: metal.sidero.dev/v1alpha2
kind: Environment
metadata: {name: lab-arm64}
spec:
  kernel: {url: http://mirror.lan/vmlinuz-arm64, sha512: "", args: [console=ttyAMA0, initrd=initramfs.xz, talos.platform=metal]}
  initrd: {url: http://mirror.lan/initramfs-arm64.xz}`,
		"environment of the older version": `
apiVersion: metal.sidero.dev/v1alpha1
kind: Environment
metadata: {name: older}
spec: {kernel: {url: http://mirror.lan/vmlinuz, sha512: "", args: [initrd=initramfs.xz]}, initrd: {url: http://mirror.lan/initramfs.xz, sha512: ""}}`,
		"server": `
apiVersion: metal.sidero.dev/v1alpha2
kind: Server
metadata: {name: 3f0c9c3e-0000-4000-8000-525400aa0001, labels: {rack: r1}}
spec:
  accepted: false
  environmentRef: {name: lab-arm64, namespace: default}
  bmc: {endpoint: 10.9.0.11, userFrom: {secretKeyRef: {name: bmc-11, key: user}}, passFrom: {secretKeyRef: {name: bmc-11, key: pass}}}
  configPatches: [{op: replace, path: /machine/install/disk, value: /dev/nvme0n1}, {op: add, path: /machine/network/interfaces, value: [{interface: eth0, dhcp: true, mtu: 9000}]}]
  strategicPatches: ["machine: {network: {hostname: n1}}"]`,
		"server of the older version": `
apiVersion: metal.sidero.dev/v1alpha1
kind: Server
metadata: {name: 3f0c9c3e-0000-4000-8000-525400aa0002}
spec: {accepted: false, cpu: {manufacturer: Intel(R) Corporation, version: Xeon}, system: {manufacturer: Dell Inc., family: Unknown}}`,
		"server class": `
apiVersion: metal.sidero.dev/v1alpha2
kind: ServerClass
metadata: {name: big}
spec:
  environmentRef: {name: lab-arm64}
  selector: {matchLabels: {rack: r1}, matchExpressions: [{key: zone, operator: NotIn, values: [test]}]}
  qualifiers:
    hardware: [{system: {manufacturer: ACME}, memory: {totalSize: 64 GB}}, {compute: {processors: [{manufacturer: QEMU}]}}]
    labelSelectors: [{legacy: "yes"}]
  configPatches: [{op: replace, path: /machine/install/disk, value: /dev/sda}]`,
		"server class whose qualifiers are a list": `
apiVersion: metal.sidero.dev/v1alpha2
kind: ServerClass
metadata: {name: listed}
spec:
  qualifiers:
  - system: {manufacturer: Dell Inc.}
    compute: {processors: [{manufacturer: Intel, productName: Xeon}]}
    memory: {totalSize: 32 GB}`,
		"server class of the older version": `
apiVersion: metal.sidero.dev/v1alpha1
kind: ServerClass
metadata: {name: old}
spec: {qualifiers: {cpu: [{manufacturer: ACME, version: X1}], systemInformation: [{productName: Box}], labelSelectors: [{a: b}]}}`,
		"pinned machine": `
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3
kind: MetalMachineTemplate
metadata: {name: c1-pinned, namespace: default}
spec: {template: {spec: {serverRef: {apiVersion: metal.sidero.dev/v1alpha2, kind: Server, name: 3f0c9c3e-0000-4000-8000-525400aa0001}}}}`,
		"cluster of the older version": `
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha2
kind: MetalCluster
metadata: {name: c0, namespace: default}
spec: {apiEndpoints: [{host: 10.9.0.100, port: 6443}]}`,
		"binding": `
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3
kind: ServerBinding
metadata: {name: 3f0c9c3e-0000-4000-8000-525400aa0002, labels: {cluster.x-k8s.io/cluster-name: c1}}
spec:
  metalMachineRef: {kind: MetalMachine, namespace: default, name: c1-cp-abcde, uid: u}
  serverClassRef: {apiVersion: metal.sidero.dev/v1alpha2, kind: ServerClass, name: big, uid: u, resourceVersion: "1"}
  siderolink: {address: "fdaa::1/64", publicKey: "base64="}
  addresses: [10.9.1.20]
  hostname: n1`,
		"control plane with init nodes": `
apiVersion: controlplane.cluster.x-k8s.io/v1alpha3
kind: TalosControlPlane
metadata: {name: legacy-cp, namespace: default}
spec:
  version: v1.24.0
  replicas: 3
  infrastructureTemplate: {apiVersion: infrastructure.cluster.x-k8s.io/v1alpha3, kind: MetalMachineTemplate, name: c1-pinned}
  controlPlaneConfig:
    init: {generateType: init, configPatches: [{op: replace, path: /machine/install/disk, value: /dev/sdb}]}
    controlplane: {generateType: controlplane, configPatches: [{op: replace, path: /machine/install/disk, value: /dev/sdb}]}`,
		"workers with patches": `
apiVersion: bootstrap.cluster.x-k8s.io/v1alpha3
kind: TalosConfigTemplate
metadata: {name: patched, namespace: default}
spec: {template: {spec: {generateType: join, talosVersion: v1.5.3, configPatches: [{op: add, path: /machine/sysctls, value: {a: "1"}}], strategicPatches: ["machine: {}"]}}}`,
		"cluster template": cluster,
	}
}

// TestDocuments types what Sidero's documents say, against an appliance that has a server.
func TestDocuments(t *testing.T) {
	ctx, i := start(t, 3*time.Minute)
	name := newcomer(0)
	register(ctx, t, connect(t, i), name)

	for what, manifest := range documented() {
		for _, how := range []string{"apply -f -", "apply -f -", "diff -f -"} {
			if out, err := i.Tool(ctx, manifest, "kubectl", strings.Fields(how)...); err != nil {
				t.Errorf("%s: kubectl %s: %v %s", what, how, err, out)
			}
		}
	}

	typeDocumentedCommands(ctx, t, i, name)
	typeOwnDocument(ctx, t, i)
	refuseBadManifests(ctx, t, i, name)
}

func typeDocumentedCommands(ctx context.Context, t *testing.T, i *installation.Installation, server string) {
	t.Helper()

	for _, c := range []struct {
		args []string
		says string
	}{
		{strings.Fields("get servers -o wide"), server},
		{[]string{"patch", "server", server, "--type=json", `-p=[{"op": "replace", "path": "/spec/accepted", "value": true}]`}, "patched"},
		{[]string{"patch", "server", server, "--type=json", `-p=[{"op": "add", "path": "/spec/bmc", "value": {"endpoint": "192.168.88.9", "user": "ADMIN", "pass":"ADMIN"}}]`}, "patched"},
		{strings.Fields("get serverclass any -o yaml"), "qualifiers: {}"},
		{strings.Fields("get environment default -o yaml"), "talos.platform=metal"},
		{strings.Fields("get servers.v1alpha1.metal.sidero.dev"), server},
		{strings.Fields("get serverbindings -o wide"), "c1-cp-abcde"},
		{strings.Fields("get servers,machines,clusters"), "c1"},
		{strings.Fields("get cluster-api -A"), "metalcluster"},
		{strings.Fields("scale taloscontrolplane c1-cp --replicas=3"), "scaled"},
		{strings.Fields("get tcp c1-cp -o jsonpath={.spec.replicas}"), "3"},
		{strings.Fields("get taloscontrolplane"), "c1-cp"},
		{strings.Fields("get machinedeployment"), "c1-workers"},
		{[]string{"patch", "cluster", "c1", "--type=merge", `-p={"spec":{"paused":true}}`}, "patched"},
		{[]string{"patch", "server", server, "--type=merge", `-p={"spec":{"cordoned":true}}`}, "patched"},
		{[]string{"get", "servers", "-o", `custom-columns=NAME:.metadata.name,OK:.spec.accepted`}, "true"},
		{strings.Fields("get servers --field-selector spec.accepted=true -o name"), server},
		{strings.Fields("auth can-i delete servers"), "yes"},
		{strings.Fields("wait server " + server + " --for=jsonpath={.spec.cordoned}=true --timeout=10s"), "condition met"},
	} {
		if out, err := i.Kubectl(ctx, c.args...); err != nil || !strings.Contains(out, c.says) {
			t.Errorf("kubectl %s: %v %s", strings.Join(c.args, " "), err, out)
		}
	}
}

// typeOwnDocument types the commands in docs/api.md.
func typeOwnDocument(ctx context.Context, t *testing.T, i *installation.Installation) {
	t.Helper()

	text, err := os.ReadFile("../docs/api.md")
	_, commands, found := strings.Cut(string(must(t, text, err)), "```sh\n")

	if commands, _, _ = strings.Cut(commands, "```"); !found || commands == "" {
		t.Fatal("docs/api.md has no commands")
	}

	for line := range strings.Lines(commands) {
		if out, err := i.Kubectl(ctx, strings.Fields(strings.TrimPrefix(line, "kubectl "))...); err != nil || out == "" {
			t.Errorf("%s: %v %s", line, err, out)
		}
	}
}

// refuseBadManifests: each is refused with the path of what is wrong, and the server stays as it is.
func refuseBadManifests(ctx context.Context, t *testing.T, i *installation.Installation, name string) {
	t.Helper()

	before := server(ctx, t, admin(t, i), name)

	const head = "apiVersion: metal.sidero.dev/v1alpha2\nkind: Server\n"
	meta := "metadata: {name: " + name + "}\n"

	for manifest, says := range map[string]string{
		head + meta + "spec: {accepted: true, bootFromDiskMethod: explode}":                                         `spec.bootFromDiskMethod: Invalid value: "explode"`,
		head + meta + "spec: {accepted: true, configPatches: [{op: error, path: /a}]}":                              `spec.configPatches[0].op: Invalid value: "error"`,
		head + meta + "spec: {accepted: true, hostnam: typo}":                                                       `unknown field "spec.hostnam"`,
		head + meta + "spec: {accepted: true, bmc: {endpoint: b, port: 70000}}":                                     "spec.bmc.port: Invalid value",
		head + meta + "spec: {accepted: [":                                                                          "error converting YAML to JSON",
		"apiVersion: metal.sidero.dev/v9\nkind: Server\n" + meta:                                                    `no matches for kind "Server" in version "metal.sidero.dev/v9"`,
		head + meta + "spec: {accepted: true, hostname: " + strings.Repeat("a", 2<<20) + "}":                        "too large",
		strings.Replace(cluster, "name: c1}\n  controlPlaneRef", "name: c1}\n  topology: {}\n  controlPlaneRef", 1): "spec.topology",
		strings.Replace(cluster, "kind: MetalCluster, name: c1", "kind: NoCluster, name: c1", 1):                    "infrastructureRef",
		strings.Replace(cluster, "generateType: controlplane", "generateType: king", 1):                             "spec.controlPlaneConfig.controlplane.generateType",
		strings.Replace(cluster, "kind: ServerClass, name: any", "kind: Server, name: any", 1):                      "spec.template.spec.serverClassRef.kind",
	} {
		_, err := i.Tool(ctx, manifest, "kubectl", "apply", "-f", "-")
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.300s: %v, want %s", manifest, err, says)
		}
	}

	if after := server(ctx, t, admin(t, i), name); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("the server was changed: %+v", after)
	}
}
