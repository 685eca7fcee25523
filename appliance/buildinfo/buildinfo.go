// Package buildinfo holds what the linker wrote into this binary: its version
// and the commit it was built from. Nothing else lives here, so that any part
// of the appliance can name its version without importing the appliance.
package buildinfo

import "runtime/debug"

// Set by the linker with -X; see the Makefile. They are never written to by code.
var (
	version = "dev"
	commit  = ""
)

// Version is the appliance's version, for example "v0.1.0" or "v0.1.0-3-gabcdef".
// A binary that was not built by the Makefile says "dev".
func Version() string { return version }

// Commit is the hash of the commit the binary was built from, or "unknown".
func Commit() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return revision(info.Settings)
}

// revision finds the commit that the Go toolchain itself may have recorded.
func revision(settings []debug.BuildSetting) string {
	for _, s := range settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}
