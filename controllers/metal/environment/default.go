package environment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// TalosRelease is the Talos release that the default Environments boot.
const TalosRelease = "v1.13.6"

// Architectures that Talos and Sidero know.
const (
	AMD64 = "amd64"
	ARM64 = "arm64"
)

// ReleaseURL is where a file of a Talos release is found, below the URL of all releases.
func ReleaseURL(releases, version, file string) string {
	return fmt.Sprintf("%s/%s/%s", strings.TrimRight(releases, "/"), version, file)
}

// ReleaseFiles are the names of the files of a Talos release that machines of an architecture boot.
func ReleaseFiles(architecture string) (kernel, initrd string) {
	return "vmlinuz-" + architecture, "initramfs-" + architecture + ".xz"
}

// DefaultName is the name of an architecture's default Environment.
func DefaultName(architecture string) string {
	if architecture == AMD64 {
		return v1alpha2.EnvironmentDefault // upstream's, which knows no architectures
	}

	return v1alpha2.EnvironmentDefault + "-" + architecture
}

// Default is the Environment that allocated servers of an architecture boot when nothing else is said. For amd64 its values
// are upstream's.
func Default(releases, architecture string) *v1alpha2.Environment {
	kernel, initrd := ReleaseFiles(architecture)
	spec := v1alpha2.EnvironmentSpec{
		Kernel: v1alpha2.Kernel{
			Asset: v1alpha2.Asset{URL: ReleaseURL(releases, TalosRelease, kernel)},
			Args:  defaultArgs(architecture),
		},
		Initrd: v1alpha2.Initrd{Asset: v1alpha2.Asset{URL: ReleaseURL(releases, TalosRelease, initrd)}},
	}

	return &v1alpha2.Environment{
		ObjectMeta: metav1.ObjectMeta{
			Name:        DefaultName(architecture),
			Annotations: map[string]string{v1alpha2.AnnotationDefaultDigest: digest(spec)},
		},
		Spec: spec,
	}
}

// defaultArgs are Talos's kernel arguments, in the order that upstream has, which is the alphabet's.
func defaultArgs(architecture string) []string {
	args := []string{
		"console=tty0",
		"consoleblank=0",
		"init_on_alloc=1",
		"initrd=initramfs.xz",
		"module.sig_enforce=1",
		"nvme_core.io_timeout=4294967295",
		"printk.devkmsg=on",
		"proc_mem.force_override=never",
		"pti=on",
		"selinux=1",
		"slab_nomerge=",
		"talos.platform=metal",
	}

	switch architecture {
	case ARM64:
		args = append(args, "console=ttyAMA0") // a PL011, as SBSA has it
	default:
		args = append(args, "console=ttyS0", "earlyprintk=ttyS0")
	}

	slices.Sort(args)

	return args
}

// untouched tells whether an Environment's spec is still the one that an appliance wrote.
func untouched(e *v1alpha2.Environment) bool {
	written := e.Annotations[v1alpha2.AnnotationDefaultDigest]

	return written != "" && written == digest(e.Spec)
}

// digest of a spec. Fields that later releases add must be left out of JSON while they are empty, or every default
// Environment would look edited.
func digest(spec v1alpha2.EnvironmentSpec) string {
	text, err := json.Marshal(spec)
	if err != nil {
		return "" // strings and lists of them always can be
	}

	sum := sha256.Sum256(text)

	return hex.EncodeToString(sum[:])
}
