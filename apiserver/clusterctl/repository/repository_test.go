package repository_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/repository"
)

// layout is what clusterctl expects of a local repository.
var layout = []string{
	"bootstrap-talos/v0.6.12/bootstrap-components.yaml",
	"bootstrap-talos/v0.6.12/metadata.yaml",
	"cluster-api/v1.14.2/core-components.yaml",
	"cluster-api/v1.14.2/metadata.yaml",
	"clusterctl.yaml",
	"control-plane-talos/v0.5.13/control-plane-components.yaml",
	"control-plane-talos/v0.5.13/metadata.yaml",
	"infrastructure-sidero/v0.6.13/cluster-template.yaml",
	"infrastructure-sidero/v0.6.13/infrastructure-components.yaml",
	"infrastructure-sidero/v0.6.13/metadata.yaml",
}

func TestWrite(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, dir string){
		"a new directory":       func(*testing.T, string) {},
		"an empty one":          func(t *testing.T, dir string) { must(t, os.MkdirAll(dir, 0o700)) },
		"one that is a link":    func(t *testing.T, dir string) { must(t, os.Symlink(t.TempDir(), dir)) },
		"with empty folders":    func(t *testing.T, dir string) { must(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700)) },
		"the same written once": func(t *testing.T, dir string) { must(t, repository.Write(dir)) },
		"changed by hand": func(t *testing.T, dir string) {
			must(t, repository.Write(dir))
			add(t, filepath.Join(dir, repository.Config), "MINE: yes\n")
		},
		"of another release": func(t *testing.T, dir string) {
			must(t, repository.Write(dir))
			must(t, os.Rename(filepath.Join(dir, "infrastructure-sidero", "v0.6.13"), filepath.Join(dir, "infrastructure-sidero", "v0.6.12")))
		},
		"cut short": func(t *testing.T, dir string) {
			must(t, repository.Write(dir))
			must(t, os.Rename(filepath.Join(dir, repository.Config), filepath.Join(dir, ".new-1234")))
			must(t, os.Remove(filepath.Join(dir, "cluster-api", "v1.14.2", "metadata.yaml")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			fresh, dir := filepath.Join(t.TempDir(), "repository"), filepath.Join(t.TempDir(), "repository")
			must(t, repository.Write(fresh))
			prepare(t, dir)
			must(t, repository.Write(dir))

			if info, err := os.Stat(filepath.Join(dir, repository.Config)); err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("the configuration has mode %v: %v", info.Mode(), err)
			}

			got, want := read(t, dir), read(t, fresh)
			if !slices.Equal(slices.Sorted(maps.Keys(got)), layout) {
				t.Errorf("there are %v", slices.Sorted(maps.Keys(got)))
			}

			for path, content := range want {
				if path != repository.Config && got[path] != content { // whose paths differ
					t.Errorf("%s is\n%s", path, got[path])
				}
			}

			if strings.Contains(got[repository.Config], "MINE") {
				t.Error("the configuration was not written again")
			}
		})
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		path, content string
	}{
		"somebody's file":          {"notes.txt", "mine"},
		"somebody's configuration": {"clusterctl.yaml", "providers: []\n"},
		"a file in a folder":       {"some/where/notes.txt", "mine"},
		"a template":               {"infrastructure-sidero/v0.6.13/cluster-template-big.yaml", "HEADER"},
		"somebody's metadata":      {"infrastructure-sidero/v0.6.13/metadata.yaml", "kind: Metadata\n"},
		"another provider":         {"infrastructure-docker/v1.14.2/metadata.yaml", "HEADER"},
		"no version":               {"infrastructure-sidero/latest/metadata.yaml", "HEADER"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, repository.Write(dir))

			header, _, _ := strings.Cut(read(t, dir)[repository.Config], "\n")
			path := filepath.Join(dir, filepath.FromSlash(c.path))
			content := strings.ReplaceAll(c.content, "HEADER", header+"\n")
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, os.WriteFile(path, []byte(content), 0o600))

			before := read(t, dir)
			if err := repository.Write(dir); err == nil || !strings.Contains(err.Error(), path+" is there already") {
				t.Errorf("error is %v", err)
			}

			if !maps.Equal(read(t, dir), before) {
				t.Error("something was written")
			}
		})
	}

	t.Run("a link", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.Symlink("/etc/hostname", filepath.Join(dir, repository.Config)))

		if err := repository.Write(dir); err == nil {
			t.Error("no error")
		}
	})

	t.Run("a file for a directory", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "f")
		must(t, os.WriteFile(path, nil, 0o600))

		if err := repository.Write(path); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("error is %v", err)
		}
	})

	t.Run("no right to write", func(t *testing.T) {
		if err := repository.Write("/proc/repository"); err == nil || !strings.HasPrefix(err.Error(), "write repository: mkdir /proc/repository") {
			t.Errorf("error is %v", err)
		}
	})
}

// TestConfig: clusterctl parses the URLs, and expands variables in them.
func TestConfig(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's $HOME #1 100%")
	must(t, repository.Write(dir))

	var config struct {
		Providers []struct{ Name, Type, URL string }
	}
	must(t, yaml.Unmarshal([]byte(read(t, dir)[repository.Config]), &config))

	if len(config.Providers) != 4 {
		t.Errorf("%d providers", len(config.Providers))
	}

	for _, p := range config.Providers {
		if !strings.HasPrefix(p.URL, "file:///") || strings.ContainsAny(p.URL, "$# ") || !strings.Contains(p.URL, "%24HOME%20%231%20100%25") {
			t.Errorf("URL is %s", p.URL)
		}
	}
}

// TestKubernetesVersion: the machines run the version that the appliance is built from, unless somebody says another.
func TestKubernetesVersion(t *testing.T) {
	text, err := os.ReadFile("../../../go.mod")
	must(t, err)

	if !strings.Contains(string(text), "\tk8s.io/kubernetes "+repository.KubernetesVersion+"\n") {
		t.Errorf("go.mod does not ask for %s", repository.KubernetesVersion)
	}
}

// TestTemplate compares the template with what Sidero's releases offer: the same variables, the same objects.
func TestTemplate(t *testing.T) {
	dir := t.TempDir()
	must(t, repository.Write(dir))

	template := read(t, dir)["infrastructure-sidero/v0.6.13/cluster-template.yaml"]

	var variables []string
	for _, found := range regexp.MustCompile(`\$\{([A-Z_]+)\}`).FindAllStringSubmatch(template, -1) {
		variables = append(variables, found[1])
	}

	slices.Sort(variables)

	want := []string{
		"CLUSTER_NAME", "CONTROL_PLANE_ENDPOINT", "CONTROL_PLANE_MACHINE_COUNT", "CONTROL_PLANE_PORT", "CONTROL_PLANE_SERVERCLASS",
		"KUBERNETES_VERSION", "TALOS_VERSION", "WORKER_MACHINE_COUNT", "WORKER_SERVERCLASS",
	}
	if got := slices.Compact(variables); !slices.Equal(got, want) {
		t.Errorf("variables are %v", got)
	}

	var objects []string

	decoder := yaml.NewDecoder(bytes.NewReader([]byte(template)))

	for {
		var object struct {
			Kind     string
			Metadata struct{ Name string }
		}

		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			break
		}

		must(t, err)

		objects = append(objects, object.Kind+" "+strings.ReplaceAll(object.Metadata.Name, "${CLUSTER_NAME}", "c"))
	}

	slices.Sort(objects)

	if want := []string{
		"Cluster c", "MachineDeployment c-workers", "MetalCluster c", "MetalMachineTemplate c-cp", "MetalMachineTemplate c-workers",
		"TalosConfigTemplate c-workers", "TalosControlPlane c-cp",
	}; !slices.Equal(objects, want) {
		t.Errorf("objects are %q", objects)
	}
}

// read returns the files below a directory.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()

	files := map[string]string{}

	dir, err := filepath.EvalSymlinks(dir)
	must(t, err)
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}

		content, err := os.ReadFile(path)
		inside := strings.TrimPrefix(path, dir+"/")
		files[inside] = string(content)

		return err
	}))

	return files
}

func add(t *testing.T, path, text string) {
	t.Helper()

	content, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append(content, text...), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
