package manifest

import (
	"fmt"
	"slices"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/compatibility"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/repository"
)

// release is the minor release of a version of Talos, which is what a configuration is for. It is empty when that is none.
func release(talos string) string {
	parsed, err := version.ParseGeneric(talos)
	if err != nil {
		return ""
	}

	return fmt.Sprintf("v%d.%d", parsed.Major(), parsed.Minor())
}

// kubernetesFor is the newest version of Kubernetes that a release of Talos runs, at most that of the appliance's API.
func kubernetesFor(talos string) string {
	newest, err := version.ParseSemantic(repository.KubernetesVersion)
	if err != nil || supported(talos, repository.KubernetesVersion) == nil {
		return repository.KubernetesVersion
	}

	for minor := newest.Minor(); minor > 0; minor-- {
		if older := fmt.Sprintf("v%d.%d.0", newest.Major(), minor-1); supported(talos, older) == nil {
			return older
		}
	}

	return repository.KubernetesVersion // Talos is one that nobody knows
}

// supported tells by Talos's own tables why a release of it does not run a version of Kubernetes.
func supported(talos, kubernetes string) error {
	runs, err := compatibility.ParseTalosVersion(&machine.VersionInfo{Tag: release(talos) + ".0"})
	if err != nil {
		return fmt.Errorf("read version of Talos: %w", err)
	}

	wanted, err := compatibility.ParseKubernetesVersion(kubernetes)
	if err != nil {
		return fmt.Errorf("read version of Kubernetes: %w", err)
	}

	return wanted.SupportedWith(runs) //nolint:wrapcheck // it names both
}

// mismatches are versions that do not go together, and classes that boot a Talos which is older than what the configuration is for.
func (c Cluster) mismatches(classes ...Class) []string {
	var all []string

	if err := supported(c.TalosVersion, c.KubernetesVersion); err != nil {
		advice, better := "what it runs is not known here", kubernetesFor(c.TalosVersion)
		if supported(c.TalosVersion, better) == nil {
			advice = "give --kubernetes-version " + better + ", or another --talos-version"
		}

		all = append(all, fmt.Sprintf("%v: %s", err, advice))
	}

	wanted, err := version.ParseGeneric(release(c.TalosVersion))
	if err != nil {
		return all
	}

	for _, class := range classes {
		if boots, err := version.ParseGeneric(release(class.Talos)); err == nil && boots.LessThan(wanted) {
			all = append(all, fmt.Sprintf("the servers of class %s boot Talos %s, which may not know a configuration for %s: give --talos-version %s, or "+
				"another Environment to the class", class.Name, class.Talos, c.TalosVersion, release(class.Talos)))
		}
	}

	return slices.Compact(all)
}
