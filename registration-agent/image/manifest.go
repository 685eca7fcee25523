package main

import (
	"runtime"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
)

// manifest says what an image is made of.
type manifest struct {
	Architecture  string        `json:"architecture"`
	KernelRelease string        `json:"kernelRelease"`
	Kernel        debian.Origin `json:"kernel"`
	GoVersion     string        `json:"goVersion"`
	Modules       []string      `json:"modules"`
	Files         []debian.File `json:"files"`
}

func newManifest(kernel kernel, chosen []chosenModule, files []debian.File) manifest {
	names := make([]string, 0, len(chosen))
	for _, module := range chosen {
		names = append(names, module.Name)
	}
	return manifest{
		Architecture:  kernel.Architecture,
		KernelRelease: kernel.Release,
		Kernel:        kernel.Origin(),
		GoVersion:     runtime.Version(),
		Modules:       names,
		Files:         files,
	}
}
