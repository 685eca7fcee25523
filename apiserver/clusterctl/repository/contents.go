package repository

import (
	_ "embed"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/providers"
)

// Versions of what runs on the machines of a cluster, for whoever gives none.
const (
	KubernetesVersion = "v1.36.3"
	TalosVersion      = "v1.13"
)

// Config is the name of clusterctl's configuration file in a repository.
const Config = "clusterctl.yaml"

const (
	metadataFile = "metadata.yaml"
	templateFile = "cluster-template.yaml"

	// header is the first line of each file.
	header = "# Written by \"sidero-appliance clusterctl-repository\", which overwrites what is changed here.\n"
)

//go:embed cluster-template.yaml
var template string

// file is one of a repository, with its path in it.
type file struct {
	path    string
	content string
}

// contents are the files of a repository that lies in a directory. The configuration, by which clusterctl finds the rest,
// comes last.
func contents(dir string) ([]file, error) {
	var files []file

	for _, p := range providers.All() {
		metadata, err := metadataOf(p)
		if err != nil {
			return nil, err
		}

		release := path.Join(p.Name, p.Version)
		files = append(files,
			file{path.Join(release, metadataFile), metadata},
			file{path.Join(release, componentsFile(p)), components(p)})

		if p.GetProviderType() == clusterctlv1.InfrastructureProviderType {
			files = append(files, file{path.Join(release, templateFile), template})
		}
	}

	files = append(files, file{Config, config(dir)})
	for i := range files {
		files[i].content = header + files[i].content
	}

	return files, nil
}

// belongs tells whether a path is one that a repository has, of whatever release of the providers.
func belongs(inside string) bool {
	if inside == Config {
		return true
	}

	parts := strings.Split(inside, "/")
	if len(parts) != 3 {
		return false
	}

	_, err := version.ParseSemantic(parts[1])

	return err == nil && slices.ContainsFunc(providers.All(), func(p clusterctlv1.Provider) bool {
		return p.Name == parts[0] && slices.Contains([]string{metadataFile, componentsFile(p), templateFile}, parts[2])
	})
}

// metadataOf tells clusterctl which contract the provider's release keeps.
func metadataOf(p clusterctlv1.Provider) (string, error) {
	release, err := version.ParseSemantic(p.Version)
	if err != nil {
		return "", fmt.Errorf("read version of %s: %w", p.Name, err)
	}

	return fmt.Sprintf(`apiVersion: %s
kind: Metadata
releaseSeries:
  - major: %d
    minor: %d
    contract: %s
`, clusterctlv1.GroupVersion, release.Major(), release.Minor(), providers.Contract), nil
}

// components are what clusterctl would install. It wants to find the provider's namespace there.
func components(p clusterctlv1.Provider) string {
	return fmt.Sprintf(`# The provider is a part of the appliance: there is nothing to install.
apiVersion: v1
kind: Namespace
metadata:
  name: %s
`, p.Namespace)
}

func componentsFile(p clusterctlv1.Provider) string {
	kind, _, _ := strings.Cut(p.Name, "-"+p.ProviderName)
	if p.GetProviderType() == clusterctlv1.CoreProviderType {
		kind = "core"
	}

	return kind + "-components.yaml"
}

// config is clusterctl's configuration.
func config(dir string) string {
	var b strings.Builder

	b.WriteString("# Give it to clusterctl with --config. It is for the appliance only: what it installs elsewhere does nothing.\nproviders:\n")

	for _, p := range providers.All() {
		fmt.Fprintf(&b, "  - name: %s\n    type: %s\n    url: %s\n",
			p.ProviderName, p.Type, address(filepath.Join(dir, p.Name, p.Version, componentsFile(p))))
	}

	fmt.Fprintf(&b, `
# The appliance needs no cert-manager, and tells clusterctl that it is there.
cert-manager:
  externallyProvisioned: "true"
  timeout: 1m

# Do not ask the internet for a newer clusterctl.
CLUSTERCTL_DISABLE_VERSIONCHECK: "true"

# Variables of the cluster template. Those of the environment go before these.
# The address of the cluster's API is not among them, because each has its own:
# CONTROL_PLANE_ENDPOINT.
CONTROL_PLANE_PORT: "6443"
CONTROL_PLANE_SERVERCLASS: any
WORKER_SERVERCLASS: any
KUBERNETES_VERSION: %s
TALOS_VERSION: %s
`, KubernetesVersion, TalosVersion)

	return b.String()
}

// address is the URL of a file. clusterctl expands variables in it.
func address(path string) string {
	u := url.URL{Scheme: "file", Path: path}

	return strings.ReplaceAll(u.String(), "$", "%24")
}

// Template is the cluster template, with clusterctl's placeholders.
func Template() string { return template }
