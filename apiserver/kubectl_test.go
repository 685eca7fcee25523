package apiserver_test

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

func testColumns(t *testing.T, a api) {
	bare, full := server("columns-1"), server("columns-2")
	full.Spec = v1alpha2.ServerSpec{Hostname: "box", Accepted: true, Cordoned: true, BMC: &v1alpha2.BMC{Endpoint: "10.0.0.9"}}
	class := &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "columns"}}
	environment := &v1alpha2.Environment{
		ObjectMeta: metav1.ObjectMeta{Name: "columns"},
		Spec: v1alpha2.EnvironmentSpec{
			Kernel: v1alpha2.Kernel{Asset: v1alpha2.Asset{URL: "http://k"}}, Initrd: v1alpha2.Initrd{Asset: v1alpha2.Asset{URL: "http://i"}},
		},
	}
	a.create(t, bare, full, class, environment)

	full.Status = v1alpha2.ServerStatus{InUse: true, IsClean: true, Power: v1alpha2.PowerOn, Phase: "InUse", WaitingFor: "a person"}
	class.Status.ServersAvailable = []string{"columns-1", "columns-2"}
	environment.Status.Conditions = []v1alpha2.AssetCondition{{Type: v1alpha2.AssetConditionReady, Status: "True"}}

	must(t, a.client.Status().Update(t.Context(), full))
	must(t, a.client.Status().Update(t.Context(), class))
	must(t, a.client.Status().Update(t.Context(), environment))

	for _, c := range []struct{ command, want string }{
		{"get servers columns-1 columns-2", `
NAME        HOSTNAME   ACCEPTED   CORDONED   ALLOCATED   CLEAN   POWER   PHASE   AGE
columns-1              false      false      false       false                   <age>
columns-2   box        true       true       true        true    on      InUse   <age>`},
		{"get servers columns-1 columns-2 -o wide", `
NAME        HOSTNAME   BMC IP     ACCEPTED   CORDONED   ALLOCATED   CLEAN   POWER   PHASE   WAITING FOR   AGE
columns-1                         false      false      false       false                                 <age>
columns-2   box        10.0.0.9   true       true       true        true    on      InUse   a person      <age>`},
		{"get serverclasses columns -o wide", `
NAME      AVAILABLE                     IN USE   AGE
columns   ["columns-1","columns-2"]   []       <age>`},
		{"get environments columns -o wide", `
NAME      KERNEL     INITRD     READY   AGE
columns   http://k   http://i   True    <age>`},
	} {
		got := lines(a.kubectl.Do(t, strings.Fields(c.command)...))
		want := lines(strings.TrimSpace(c.want))

		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("kubectl %s:\n%s\nwant\n%s", c.command, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// lines are those of a table, with one space for many and without the ages.
func lines(text string) []string {
	var out []string

	for line := range strings.Lines(strings.TrimSpace(text)) {
		cells := strings.Fields(line)
		if last := len(cells) - 1; cells[last] != "AGE" {
			cells[last] = "<age>"
		}

		out = append(out, strings.Join(cells, " "))
	}

	return out
}

func testExplain(t *testing.T, a api) {
	for command, wants := range map[string][]string{
		"explain server":          {"GROUP:      metal.sidero.dev", "VERSION:    v1alpha2", "Server is one physical machine"},
		"explain server.spec.bmc": {"endpoint\t<string> -required-", "port\t<integer>", "passFrom\t<CredentialSource>"},
		"explain server.spec.bmc.userFrom.secretKeyRef.namespace":                   {"Namespace of the Secret"},
		"explain server.spec.hardware.storage.devices.productName":                  {"Model of the disk"},
		"explain server.status.addresses":                                           {"<[]NodeAddress>"},
		"explain servers.metadata.labels":                                           {"Map of string keys and values"},
		"explain serverclass.spec.selector.matchExpressions":                        {"operator\t<string> -required-"},
		"explain environment.spec --recursive":                                      {"kernel\t<Kernel>", "\n    args\t<[]string>", "\n    url\t<string>"},
		"explain serverclasses --api-version=metal.sidero.dev/v1alpha2 --recursive": {"labelSelectors", "serversInUse"},
	} {
		got := a.kubectl.Do(t, strings.Fields(command)...)

		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("kubectl %s:\n%s\nwant it to hold %q", command, got, want)
			}
		}
	}

	if out, err := a.kubectl.Try(t, "explain", "server.spec.bcm"); err == nil || !strings.Contains(out, `"bcm" does not exist`) {
		t.Errorf("explain of an unknown field: %v %s", err, out)
	}
}

func testResources(t *testing.T, a api) {
	got := strings.Join(strings.Fields(a.kubectl.Do(t, "api-resources", "--api-group=metal.sidero.dev", "-o", "wide")), " ")

	for _, want := range []string{
		"environments metal.sidero.dev/v1alpha2 false Environment create,delete,deletecollection,get,list,patch,update,watch sidero",
		"servers metal.sidero.dev/v1alpha2 false Server create,",
		"serverclasses metal.sidero.dev/v1alpha2 false ServerClass create,",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("api-resources says %s, want it to hold %s", got, want)
		}
	}

	all := a.kubectl.Do(t, "api-resources", "--no-headers", "-o", "name")
	for _, absent := range []string{"pods", "nodes", "deployments.apps", "services"} {
		for name := range strings.Lines(all) {
			if strings.TrimSpace(name) == absent {
				t.Errorf("%s are offered", absent)
			}
		}
	}
}

const manifest = `
apiVersion: metal.sidero.dev/v1alpha2
kind: Server
metadata: {name: manifest, labels: {rack: r1}}
spec:
  accepted: false
  hostname: first
  bmc: {endpoint: 10.9.0.11}
`

func testKubectlApply(t *testing.T, a api) {
	a.deleteLater(t, server("manifest"))

	changed := strings.Replace(manifest, "hostname: first", "hostname: second", 1)

	for _, step := range []struct {
		input   string
		args    string
		environ string
		says    string
		exit    bool // with an error
	}{
		{manifest, "diff -f -", "", "+  hostname: first", true},
		{manifest, "apply -f -", "", "server.metal.sidero.dev/manifest created", false},
		{manifest, "apply -f -", "", "server.metal.sidero.dev/manifest unchanged", false},
		{manifest, "diff -f -", "", "", false},
		{changed, "diff -f -", "", "+  hostname: second", true},
		{changed, "apply -f -", "", "server.metal.sidero.dev/manifest configured", false},
		{manifest, "apply --server-side --field-manager=other -f -", "", "conflict", true},
		{changed, "apply --server-side --field-manager=other --force-conflicts -f -", "", "serverside-applied", false},
		{strings.Replace(manifest, "hostname:", "hostnam:", 1), "apply -f -", "", `unknown field "spec.hostnam"`, true},
		{strings.Replace(manifest, "hostname: first", "pxeMode: coal", 1), "apply -f -", "", `spec.pxeMode: Invalid value: "coal"`, true},
		{"", "label server manifest rack=r2 --overwrite", "", "labeled", false},
		{"", "edit server manifest", "KUBE_EDITOR=sed -i 's/accepted: false/accepted: true/'", "server.metal.sidero.dev/manifest edited", false},
		{"", "edit server manifest", "KUBE_EDITOR=true", "no changes", false},
		{"", "edit server manifest --subresource=status", "KUBE_EDITOR=sed -i 's/inUse: false/inUse: true/'", "edited", false},
		{"", "get server manifest -o jsonpath={.spec.accepted}/{.status.inUse}/{.metadata.labels.rack}/{.spec.hostname}", "", "true/true/r2/second", false},
		{"", "get sidero", "", "server.metal.sidero.dev/manifest", false},
		{"", "get server,secret manifest --ignore-not-found -o name", "", "server.metal.sidero.dev/manifest", false},
		{"", "describe server manifest", "", "Endpoint:  10.9.0.11", false},
		{"", "replace -f " + a.file(t, changed), "", "replaced", false},
		{"", "delete server manifest --dry-run=server", "", "deleted", false},
		{"", "get server manifest", "", "manifest", false},
	} {
		kubectl := a.kubectl.With(step.input)
		if step.environ != "" {
			kubectl.Environment = []string{step.environ}
		}

		out, err := kubectl.Try(t, strings.Fields(step.args)...)
		if (err != nil) != step.exit || !strings.Contains(out, step.says) {
			t.Errorf("kubectl %s: %v\n%s\nwant it to hold %q", step.args, err, out, step.says)
		}
	}
}

// file keeps a manifest in a file.
func (a api) file(t *testing.T, manifest string) string {
	t.Helper()

	dir, err := os.MkdirTemp("", "kubectl") // the test's own has spaces in its name
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })

	path := filepath.Join(dir, "manifest.yaml")
	must(t, os.WriteFile(path, []byte(manifest), 0o600))

	return path
}

func testKubectlWatch(t *testing.T, a api) {
	s := server("kubectl-watch")
	a.create(t, s)

	ctx, cancel := context.WithTimeout(t.Context(), happensWithin)
	defer cancel()

	command := a.kubectl.Command(ctx, "get", "servers", "-w", "--no-headers", "--field-selector", "metadata.name="+s.Name)
	out, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())

	defer command.Wait()
	defer cancel()

	waiting := make(chan error, 1)

	go func() {
		_, err := a.kubectl.Try(t, "wait", "server", s.Name, "--for=jsonpath={.spec.hostname}=seen", "--timeout=30s")
		waiting <- err
	}()

	changed := false

	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		switch {
		case strings.Contains(scanner.Text(), "seen"):
			must(t, <-waiting)

			return
		case !changed: // the line of what was there
			changed = true
			s.Spec.Hostname = "seen"
			must(t, a.client.Update(t.Context(), s))
		}
	}

	t.Error("the watch ended before it saw the change")
}

// testUpstreamManifests applies manifests as Sidero's users have them.
func testUpstreamManifests(t *testing.T, a api) {
	const manifests = `
apiVersion: metal.sidero.dev/v1alpha2
kind: Environment
metadata: {name: lab-arm64}
spec:
  kernel: {url: http://mirror.lan/vmlinuz-arm64, sha512: "", args: [console=ttyAMA0, initrd=initramfs.xz, talos.platform=metal]}
  initrd: {url: http://mirror.lan/initramfs-arm64.xz}
---
apiVersion: metal.sidero.dev/v1alpha2
kind: Server
metadata: {name: 3f0c9c3e-0000-4000-8000-525400aa0001, labels: {rack: r1}}
spec:
  accepted: true
  cordoned: false
  environmentRef: {name: lab-arm64, namespace: default}
  bmc: {endpoint: 10.9.0.11, port: 623, interface: lanplus,
        userFrom: {secretKeyRef: {namespace: default, name: bmc-11, key: user}},
        passFrom: {secretKeyRef: {namespace: default, name: bmc-11, key: pass}}}
  pxeMode: uefi
  bootFromDiskMethod: ipxe-sanboot
  pxeBootAlways: false
  configPatches: [{op: add, path: /machine/install/disk, value: /dev/nvme0n1}]
  strategicPatches: ["machine: {network: {hostname: n1}}"]
---
apiVersion: metal.sidero.dev/v1alpha2
kind: ServerClass
metadata: {name: big}
spec:
  environmentRef: {name: lab-arm64}
  selector: {matchLabels: {rack: r1}, matchExpressions: [{key: zone, operator: NotIn, values: [test]}]}
  qualifiers:
    hardware: [{system: {manufacturer: ACME}, memory: {totalSize: 64 GB}}, {compute: {processors: [{manufacturer: QEMU}]}}]
    labelSelectors: [{legacy: "yes"}]
`

	kubectl := a.kubectl.With(manifests)
	s := server("3f0c9c3e-0000-4000-8000-525400aa0001")
	a.deleteLater(t, s,
		&v1alpha2.Environment{ObjectMeta: metav1.ObjectMeta{Name: "lab-arm64"}},
		&v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "big"}})

	for _, args := range []string{"apply --validate=strict -f -", "apply --validate=strict -f -", "apply --server-side --force-conflicts --validate=strict -f -"} {
		if out := kubectl.Do(t, strings.Fields(args)...); strings.Contains(out, "arning") {
			t.Errorf("kubectl %s: %s", args, out)
		}
	}

	if out, err := kubectl.Try(t, "diff", "-f", "-"); err != nil {
		t.Errorf("differs from what was applied: %s", out)
	}

	a.reload(t, s)

	if value := string(s.Spec.ConfigPatches[0].Value.Raw); value != `"/dev/nvme0n1"` || s.Spec.BMC.PassFrom.SecretKeyRef.Key != "pass" ||
		*s.Spec.EnvironmentRef != (corev1.ObjectReference{Name: "lab-arm64", Namespace: "default"}) {
		t.Errorf("stored %s %+v", value, s.Spec)
	}
}
