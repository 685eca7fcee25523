// Command render writes the manifests that the folder above holds: those of Cluster API's release, made by its own
// kustomization from the module that go.mod names, as compact JSON, which is read many times faster than YAML.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// module is where the kustomization is found that makes a release's core components.
const (
	module        = "sigs.k8s.io/cluster-api"
	kustomization = "core/config/default"
)

func main() {
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// write replaces the manifests in a folder.
func write(folder string) error {
	files, err := render()
	if err != nil {
		return err
	}

	old, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return fmt.Errorf("list old manifests: %w", err)
	}

	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove old manifest: %w", err)
		}
	}

	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil { //nolint:gosec // read by everybody who builds
			return fmt.Errorf("write manifest: %w", err)
		}
	}

	return nil
}

// render returns the manifests by the names of their files.
func render() (map[string][]byte, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return nil, fmt.Errorf("find module %s: %w", module, err)
	}

	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).
		Run(filesys.MakeFsOnDisk(), filepath.Join(strings.TrimSpace(string(out)), kustomization))
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", kustomization, err)
	}

	files := map[string][]byte{}

	for _, object := range resources.Resources() {
		if err := add(files, object); err != nil {
			return nil, fmt.Errorf("add %s: %w", object.GetName(), err)
		}
	}

	return files, nil
}

// kinds are those that the appliance applies. The others are for running Cluster API in a cluster.
func kinds() []string {
	return []string{"CustomResourceDefinition", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
}

// add adds an object, with the label that clusterctl gives to what it installs.
func add(files map[string][]byte, object *resource.Resource) error {
	if !slices.Contains(kinds(), object.GetKind()) {
		return nil
	}

	labels := object.GetLabels()
	labels["clusterctl.cluster.x-k8s.io"] = ""

	if err := object.SetLabels(labels); err != nil {
		return fmt.Errorf("label: %w", err)
	}

	content, err := object.MarshalJSON()
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}

	files[object.GetName()+".json"] = append(content, '\n')

	return nil
}
