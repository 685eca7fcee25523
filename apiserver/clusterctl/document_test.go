package clusterctl_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/manifest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/repository"
)

// typedWithin bounds all commands of the document together.
const typedWithin = 4 * time.Minute

// typeDocument types the commands of docs/clusters.md, in their order, where there are servers enough and none that boots.
func (h *hall) typeDocument(t *testing.T) {
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(document(t), -1) {
		script.WriteString(block[1])

		if strings.Contains(block[1], "kubectl apply -f rack-1.yaml") { // a person goes on when it is there
			script.WriteString("kubectl wait secret rack-1-kubeconfig --for=create --timeout=60s\n" +
				"kubectl wait secret rack-1-talosconfig --for=create --timeout=60s\n")
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), typedWithin)
	defer cancel()

	shell := exec.CommandContext(ctx, "sh", "-eux")
	shell.Dir, shell.Stdin = t.TempDir(), strings.NewReader(script.String())
	shell.Env = append(os.Environ(), "PATH="+h.programs(t)+":"+os.Getenv("PATH"), "KUBECONFIG="+h.Plane.Kubeconfig, "HOME="+t.TempDir())

	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	for _, name := range []string{"rack-1.kubeconfig", "rack-1.talosconfig"} {
		if content, err := os.ReadFile(filepath.Join(shell.Dir, name)); err != nil || len(content) == 0 {
			t.Errorf("%s: %q, %v", name, content, err)
		}
	}

	for _, want := range []string{
		"machinedeployment.cluster.x-k8s.io/rack-1-workers scaled", "taloscontrolplane.controlplane.cluster.x-k8s.io/rack-1-cp scaled",
		"taloscontrolplane.controlplane.cluster.x-k8s.io/rack-1-cp patched", "machinehealthcheck.cluster.x-k8s.io/rack-1-workers created",
		`cluster "rack-1" deleted`,
	} {
		if !strings.Contains(strings.ReplaceAll(string(out), ".cluster.x-k8s.io \"", " \""), want) {
			t.Errorf("the commands do not say %s:\n%s", want, out)
		}
	}
}

// programs is a folder with those that the document uses. In the place of the appliance's own there is what it writes: the tests of
// package appliance run it.
func (h *hall) programs(t *testing.T) string {
	t.Helper()

	text, err := manifest.Render(manifest.Cluster{
		Name: "rack-1", VirtualIP: "127.0.0.9", Port: manifest.DefaultPort, ControlPlaneClass: "any", WorkerClass: "any",
		ControlPlanes: ptr.To[int64](1), Workers: ptr.To[int64](2), KubernetesVersion: repository.KubernetesVersion, TalosVersion: repository.TalosVersion,
	})
	must(t, err)

	dir, bin := t.TempDir(), filepath.Join(apitest.Root(t), "bin")
	must(t, os.WriteFile(filepath.Join(dir, "rack-1.yaml"), []byte(text), 0o600))

	for name, does := range map[string]string{
		"kubectl":          filepath.Join(bin, "kubectl") + ` "$@"`,
		"clusterctl":       filepath.Join(bin, "clusterctl") + " --config " + h.clusterctl.Config + ` "$@"`,
		"sidero-appliance": "cat " + filepath.Join(dir, "rack-1.yaml"),
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexec "+does+"\n"), 0o700)) //nolint:gosec // programs
	}

	return dir
}

// TestDocumentOfReasons holds docs/clusters.md to the reasons that conditions have.
func TestDocumentOfReasons(t *testing.T) {
	var known []string

	for _, group := range []string{"infrastructure", "bootstrap", "controlplane"} {
		text, err := os.ReadFile(filepath.Join(apitest.Root(t), "apiserver", "apis", group, "v1alpha3", "conditions.go"))
		must(t, err)

		for _, reason := range regexp.MustCompile(`\bReason\w+\s+= "(\w+)"`).FindAllStringSubmatch(string(text), -1) {
			known = append(known, reason[1])
		}
	}

	known = append(known, "ProviderUpdateFailed") // upstream's

	var told []string

	_, tables, _ := strings.Cut(document(t), "## When it does not go on")
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(tables, -1) {
		for _, reason := range strings.Split(row[1], ", ") {
			told = append(told, strings.Trim(reason, "`"))
		}
	}

	slices.Sort(known)
	slices.Sort(told)

	if known, told = slices.Compact(known), slices.Compact(told); !slices.Equal(known, told) {
		t.Errorf("docs/clusters.md tells of the reasons\n%s\nthere are\n%s", told, known)
	}
}

func document(t *testing.T) string {
	t.Helper()

	text, err := os.ReadFile(filepath.Join(apitest.Root(t), "docs", "clusters.md"))
	must(t, err)

	return string(text)
}
