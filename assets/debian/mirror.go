package debian

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// indexFormat makes apt-get indextargets print one line per package index:
// repository, release, origin, component.
const indexFormat = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"

// machineMirrors reads them from this machine's apt configuration.
func machineMirrors(ctx context.Context, suites []string) (map[string]string, error) {
	osRelease, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return nil, fmt.Errorf("find mirrors: %w", err)
	}
	own, err := codename(string(osRelease))
	if err != nil {
		return nil, fmt.Errorf("find mirrors: %w", err)
	}
	indexes, err := command(ctx, "", "apt-get", "indextargets", "--format", indexFormat, "Created-By: Packages")
	if err != nil {
		return nil, fmt.Errorf("find mirrors: %w", err)
	}
	mirrors := map[string]string{}
	for _, suite := range suites {
		if mirrors[suite], err = mirrorFor(suite, own, string(indexes)); err != nil {
			return nil, err
		}
	}
	return mirrors, nil
}

// mirrorFor picks, from the machine's own package indexes, the repository to fetch a
// suite from: the one that already serves it, else the one that serves the machine's
// own release, because a mirror carries all suites (and security updates live in an
// archive of their own).
func mirrorFor(suite, ownCodename, indexes string) (string, error) {
	own := ownCodename
	if strings.HasSuffix(suite, "-security") {
		own += "-security"
	}
	for _, release := range []string{suite, own} {
		for line := range strings.Lines(indexes) {
			field := strings.Fields(line)
			if len(field) >= 4 && field[1] == release && field[2] == "main" && field[3] == "Debian" {
				return field[0], nil
			}
		}
	}
	return "", fmt.Errorf("find mirror of %s: apt knows no index of Debian's %s on this machine: run apt-get update, or add that suite to apt's sources", suite, own)
}

// codename reads VERSION_CODENAME from the text of os-release(5).
func codename(osRelease string) (string, error) {
	for line := range strings.Lines(osRelease) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); found {
			return strings.Trim(value, `"'`), nil
		}
	}
	return "", fmt.Errorf("read os-release: no VERSION_CODENAME")
}
