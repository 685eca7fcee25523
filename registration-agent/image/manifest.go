package main

import (
	"runtime"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs"
)

// manifest says what an image is made of.
type manifest struct {
	Architecture  string        `json:"architecture"`
	KernelRelease string        `json:"kernelRelease"`
	Kernel        debian.Origin `json:"kernel"`
	// Firmware are the packages that files of Loads were taken from.
	Firmware  []debian.Origin `json:"firmware"`
	GoVersion string          `json:"goVersion"`
	// Modules are those of the first initramfs, Drivers those of the second, and Loads the
	// firmware that they load.
	Modules []string       `json:"modules"`
	Drivers []string       `json:"drivers"`
	Loads   []firmwareFile `json:"loads"`
	Files   []debian.File  `json:"files"`
}

func newManifest(kernel initramfs.Kernel, packages []debian.Package, contents contents, files []debian.File) manifest {
	origins := make([]debian.Origin, 0, len(packages))
	for _, pkg := range packages {
		origins = append(origins, pkg.Origin())
	}
	return manifest{
		Architecture:  kernel.Architecture,
		KernelRelease: kernel.Release,
		Kernel:        kernel.Origin(),
		Firmware:      origins,
		GoVersion:     runtime.Version(),
		Modules:       namesOf(contents.modules),
		Drivers:       namesOf(contents.drivers),
		Loads:         contents.firmware,
		Files:         files,
	}
}

func namesOf(chosen []initramfs.Module) []string {
	names := make([]string, 0, len(chosen))
	for _, module := range chosen {
		names = append(names, module.Name)
	}
	return names
}
