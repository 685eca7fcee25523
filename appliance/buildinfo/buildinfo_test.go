package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestWithoutTheLinker(t *testing.T) {
	if Version() != "dev" || Commit() == "" {
		t.Errorf("version %q, commit %q", Version(), Commit())
	}
	if got := revision([]debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "abc"}}); got != "abc" {
		t.Errorf("revision %q, want abc", got)
	}
	if got := revision(nil); got != "unknown" {
		t.Errorf("revision %q, want unknown", got)
	}
}
