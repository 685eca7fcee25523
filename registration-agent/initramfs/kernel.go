package initramfs

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
)

// Kernel is an unpacked Debian kernel package.
type Kernel struct {
	debian.Package
	// Release is what uname -r says, for example 6.1.0-56-amd64.
	Release string
	// Vmlinuz is the path of the bootable image.
	Vmlinuz string
	// Modules is the tree /lib/modules/RELEASE.
	Modules fs.FS
}

// FetchKernel follows the meta package linux-image-amd64 to the newest kernel.
func FetchKernel(ctx context.Context, archive *debian.Archive) (Kernel, error) {
	const meta, prefix = "linux-image-amd64", "linux-image-"
	entry, err := archive.Lookup(ctx, meta)
	if err != nil {
		return Kernel{}, err
	}
	for _, name := range entry.Depends {
		release, found := strings.CutPrefix(name, prefix)
		if !found {
			continue
		}
		pkg, err := archive.Fetch(ctx, name)
		if err != nil {
			return Kernel{}, err
		}
		return Kernel{
			Package: pkg,
			Release: release,
			Vmlinuz: filepath.Join(pkg.Dir, "boot", "vmlinuz-"+release),
			Modules: os.DirFS(filepath.Join(pkg.Dir, "lib", "modules", release)),
		}, nil
	}
	return Kernel{}, fmt.Errorf("find kernel: %s %s depends on no %s package", meta, entry.Version, prefix)
}
