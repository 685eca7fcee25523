package controlplane

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/compatibility"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/installation"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
)

// tries is how often a machine is told to install a release of Talos. Each counts before it is made, and none is made twice.
const tries = 2

// releaseName is what a release of Talos is called.
var releaseName = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

// part is one of those that Kubernetes is made of on a machine, by what its configuration says and what is seen to run well.
type part struct{ told, runs string }

// parts are in the order in which they are upgraded: none may be newer than the API that it asks.
type parts [4]part

// partNames are those of parts.
func partNames() [len(parts{})]string {
	return [...]string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"}
}

// restarts tells whether the machine may not have come back yet with the release that it was told to install: its Talos answers before its
// Node is ready, and until then who finds it unhealthy is to leave it alone.
func (m machine) restarts(now time.Time) bool { return (m.unready || m.flagged) && m.try.Pending(now) }

// begun tells whether some part of the machine may have been told to run another version.
func (m machine) begun() bool { return m.upgrading != "" && !m.differs }

// upgradingTalos has the machines run the release of Talos that is asked for, one after the other.
func (f facts) upgradingTalos(active []machine) (decision, bool) {
	for _, m := range active {
		switch {
		case m.try.To == "" || m.try.To == f.talos && m.talos != f.talos:
		case m.try.To == m.talos && !m.restarts(f.now), f.talos != "" && !m.try.Pending(f.now):
			return decision{action: recordTalos, machine: m.name}, true
		}
	}

	if f.talos == "" {
		return decision{}, false
	}

	if !releaseName.MatchString(f.talos) {
		return waiting(v1alpha3.ReasonUpgradeFailed, "%q is no release of Talos: annotation %s must be like v1.13.6", f.talos, talosWanted), true
	}

	for _, next := range []func(machine) bool{
		func(m machine) bool { return m.try.Pending(f.now) },
		func(m machine) bool { return m.try.To != "" },
		func(m machine) bool { return m.talos != f.talos },
	} {
		if at := slices.IndexFunc(active, next); at >= 0 {
			return f.installing(active, active[at]), true
		}
	}

	return decision{}, false
}

// installing has a machine install Talos, or waits for it.
func (f facts) installing(active []machine, m machine) decision {
	switch {
	case m.try.To == m.talos && m.restarts(f.now):
		return waiting(v1alpha3.ReasonUpgradingTalos, "machine %s runs Talos %s: waits for its Node to be ready and healthy", m.name, m.talos)
	case m.try.Pending(f.now):
		return waiting(v1alpha3.ReasonUpgradingTalos, "machine %s installs Talos %s (try %d of %d)", m.name, m.try.To, m.try.Times, tries)
	case m.talos == "" && m.try.To != "":
		return waiting(v1alpha3.ReasonUpgradeFailed, "machine %s has not come back with Talos %s for %s: look at its console, power-cycle it",
			m.name, f.talos, installation.Within)
	case m.talos == "":
		return waiting(v1alpha3.ReasonUpgradingTalos, "machine %s does not tell which Talos it runs: the others wait for it", m.name)
	case m.try.Times >= tries:
		return waiting(v1alpha3.ReasonUpgradeFailed,
			"machine %s still runs Talos %s after %d tries to install %s: see what `talosctl dmesg` tells, and remove its annotation %s to try again",
			m.name, m.talos, m.try.Times, f.talos, installation.Annotation)
	}

	if err := unreachable(m.talos, f.talos); err != nil {
		return waiting(v1alpha3.ReasonUpgradeFailed, "machine %s cannot be upgraded to Talos %s: %v", m.name, f.talos, err)
	}

	what := fmt.Sprintf("machine %s is upgraded from Talos %s to %s", m.name, m.talos, f.talos)
	if obstacle := f.obstacle(active); obstacle != "" {
		return waiting(v1alpha3.ReasonUpgradingTalos, "%s when %s", what, obstacle)
	}

	return decision{action: install, machine: m.name, reason: v1alpha3.ReasonUpgradingTalos, message: what}
}

// obstacle is what must be so before a machine is touched that runs; empty when it is so.
func (f facts) obstacle(active []machine) string {
	unready := slices.IndexFunc(active, func(m machine) bool { return m.unready })

	switch {
	case !f.etcd || !well(active):
		return "etcd is well on every machine: " + unwell(active)
	case !f.answers:
		return "the API of the cluster answers"
	case unready >= 0:
		return "the Node of machine " + active[unready].name + " is ready"
	default:
		return ""
	}
}

// upgradingKubernetes brings machines to the wanted version as they are: each part first on all of them, and no machine's before the
// last one's runs.
func (f facts) upgradingKubernetes(active []machine) decision {
	old := slices.DeleteFunc(slices.Clone(active), func(m machine) bool { return !m.outdated || m.differs })

	for p := range (parts{}) {
		step := func(i int) string {
			return fmt.Sprintf("%s %s on machine %s (step %d of %d)",
				partNames()[p], f.kubernetes, old[i].name, p*len(old)+i+1, len(parts{})*len(old))
		}

		for _, is := range []func(machine) bool{
			func(m machine) bool {
				return m.parts[p].told == f.kubernetes && m.parts[p].runs != f.kubernetes && (f.answers || !m.returning(f.kubernetes))
			},
			func(m machine) bool { return m.parts[p].told != f.kubernetes && m.parts[p].told != m.parts[p].runs }, // it does not run well as it is
			func(m machine) bool { return m.parts[p].told != f.kubernetes },
		} {
			if i := slices.IndexFunc(old, is); i >= 0 {
				return f.telling(active, old[i], p, step(i))
			}
		}
	}

	m := old[0]

	return decision{
		action: recordKubernetes, machine: m.name, reason: v1alpha3.ReasonUpgradingKubernetes,
		message: fmt.Sprintf("machine %s runs Kubernetes %s", m.name, f.kubernetes),
	}
}

// returning tells whether the machine is brought back to the version that it is of. Then the API may be what does not work.
func (m machine) returning(to string) bool { return m.upgrading != "" && m.kubernetes == to }

// telling has a machine run a part of the wanted version, if that can be and may be now, or waits for it.
func (f facts) telling(active []machine, m machine, p int, what string) decision {
	told := m.parts[p].told
	returning := m.returning(f.kubernetes)

	switch {
	case told == f.kubernetes:
		return waiting(v1alpha3.ReasonUpgradingKubernetes, "waits for %s to run well", what)
	case told == "":
		return waiting(v1alpha3.ReasonUpgradingKubernetes, "%s waits: the machine does not tell its configuration", what)
	case !returning && !inReach(told, f.kubernetes):
		return waiting(v1alpha3.ReasonUpgradeFailed,
			"%s cannot be had in place of %s: Kubernetes is upgraded by one minor version at a time, and not downgraded; set spec.version to one that follows",
			what, told)
	case !returning && unsupported(told, f.kubernetes, m.talos):
		return waiting(v1alpha3.ReasonUpgradeFailed, "%s cannot be had with Talos %s: upgrade that first, by annotation %s", what, m.talos, talosWanted)
	}

	obstacle := f.obstacle(active)
	if returning && f.etcd && well(active) {
		obstacle = ""
	}

	if obstacle != "" {
		return waiting(v1alpha3.ReasonUpgradingKubernetes, "%s follows when %s", what, obstacle)
	}

	return decision{action: configure, machine: m.name, part: p, reason: v1alpha3.ReasonUpgradingKubernetes, message: what + " is begun"}
}

// inReach tells whether a part may be upgraded from one version to another in one step.
func inReach(from, to string) bool {
	was, err := version.ParseGeneric(from)
	if err != nil {
		return false
	}

	wanted, err := version.ParseGeneric(to)
	if err != nil {
		return false
	}

	return was.Major() == wanted.Major() && (was.Minor() == wanted.Minor() || was.Minor()+1 == wanted.Minor())
}

// unsupported tells whether a release of Talos is known not to go with a version of Kubernetes. Nothing is known of a release with which
// even the version does not go that runs there.
func unsupported(runs, wanted, talos string) bool {
	host, err := compatibility.ParseTalosVersion(&machineapi.VersionInfo{Tag: talos})
	if err != nil {
		return false
	}

	goes := func(kubernetes string) bool {
		v, err := compatibility.ParseKubernetesVersion(kubernetes)

		return err == nil && v.SupportedWith(host) == nil
	}

	return goes(runs) && !goes(wanted)
}

// unreachable is why one release of Talos is known not to be installed over another; nil when that is not known.
func unreachable(from, to string) error {
	host, err := compatibility.ParseTalosVersion(&machineapi.VersionInfo{Tag: from})
	if err != nil {
		return nil
	}

	target, err := compatibility.ParseTalosVersion(&machineapi.VersionInfo{Tag: to})
	if err != nil || target.UpgradeableFrom(target) != nil { // newer than what is known here
		return nil
	}

	return target.UpgradeableFrom(host) //nolint:wrapcheck // it is told as it is
}
