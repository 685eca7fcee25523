package environment

import (
	"strings"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

// Names under which machines load an Environment's files. They are upstream's.
const (
	KernelFile = "vmlinuz"
	InitrdFile = "initramfs.xz"
)

// assets are what Environments need from assets/download.
type assets interface {
	Want(owner string, refs ...store.Ref)
	State(ref store.Ref) download.State
}

// Ref is the file that an Environment serves under a name; false when it serves none.
func Ref(e *v1alpha2.Environment, file string) (store.Ref, bool) {
	asset := v1alpha2.Asset{}

	switch file {
	case KernelFile:
		asset = e.Spec.Kernel.Asset
	case InitrdFile:
		asset = e.Spec.Initrd.Asset
	}

	return refOf(asset), asset.URL != "" && !Reserved(e)
}

// Refs are the files that an Environment needs.
func Refs(e *v1alpha2.Environment) []store.Ref {
	var refs []store.Ref

	for _, file := range []string{KernelFile, InitrdFile} {
		if ref, ok := Ref(e, file); ok {
			refs = append(refs, ref)
		}
	}

	return refs
}

func refOf(asset v1alpha2.Asset) store.Ref {
	return store.Ref{URL: asset.URL, SHA512: strings.ToLower(asset.SHA512)}
}

// Reserved tells whether an Environment has the name of a registration agent and does not say that it takes its place.
// Upstream has it overwrite the agent's files.
func Reserved(e *v1alpha2.Environment) bool {
	return IsAgent(e.Name) && e.Annotations[v1alpha2.AnnotationReplaceAgent] != "true"
}

// IsAgent tells whether a name is that of a registration agent.
func IsAgent(name string) bool {
	architecture, ok := strings.CutPrefix(name, v1alpha2.AgentEnvironmentPrefix)

	return ok && (architecture == AMD64 || architecture == ARM64)
}
