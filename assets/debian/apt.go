package debian

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// debianKeyring holds Debian's archive keys; package debian-archive-keyring.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// apt runs apt's tools on a private state below dir.
type apt struct {
	dir          string
	components   []string
	architecture string
	// keyring is the file with the keys that must have signed the indexes.
	keyring string
}

func (a apt) sources() string { return filepath.Join(a.dir, "sources.list") }
func (a apt) stamp() string   { return filepath.Join(a.dir, "updated") }

// age is the time since the last complete update.
func (a apt) age() (time.Duration, error) {
	info, err := os.Stat(a.stamp())
	if err != nil {
		return 0, fmt.Errorf("read age of package indexes: %w", err)
	}
	return time.Since(info.ModTime()), nil
}

func (a apt) update(ctx context.Context, suites []string, mirrors map[string]string) error {
	if _, err := os.Stat(a.keyring); err != nil {
		return fmt.Errorf("update package indexes: %w: install the package debian-archive-keyring", err)
	}
	var list strings.Builder
	for _, suite := range suites {
		fmt.Fprintf(&list, "deb [signed-by=%s arch=%s target=Packages] %s %s %s\n", a.keyring, a.architecture, mirrors[suite], suite, strings.Join(a.components, " "))
	}
	if err := os.WriteFile(a.sources(), []byte(list.String()), 0o644); err != nil {
		return fmt.Errorf("update package indexes: %w", err)
	}
	// dpkg's status file, empty: what this machine has installed must not matter.
	if err := os.WriteFile(a.status(), nil, 0o644); err != nil {
		return fmt.Errorf("update package indexes: %w", err)
	}
	// By default apt-get update succeeds when an index could not be fetched.
	if _, err := a.run(ctx, "apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update"); err != nil {
		return fmt.Errorf("update package indexes: %w", err)
	}
	if err := os.WriteFile(a.stamp(), nil, 0o644); err != nil {
		return fmt.Errorf("update package indexes: %w", err)
	}
	now := time.Now()
	return os.Chtimes(a.stamp(), now, now)
}

// download puts the package's file into dir.
func (a apt) download(ctx context.Context, dir string, entry Entry) error {
	_, err := a.runIn(ctx, dir, "apt-get", "-q", "download", entry.Name+"="+entry.Version)
	return err
}

func (a apt) status() string { return filepath.Join(a.dir, "status") }

func (a apt) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	return a.runIn(ctx, "", name, args...)
}

func (a apt) runIn(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	options := map[string]string{
		"Dir::Etc::sourcelist":                          a.sources(),
		"Dir::Etc::sourceparts":                         "-",
		"Dir::State::lists":                             filepath.Join(a.dir, "lists"),
		"Dir::State::status":                            a.status(),
		"Dir::Cache":                                    filepath.Join(a.dir, "cache"),
		"APT::Architecture":                             a.architecture,
		"APT::Architectures":                            a.architecture,
		"APT::Get::AllowUnauthenticated":                "false",
		"Acquire::AllowInsecureRepositories":            "false",
		"Acquire::AllowWeakRepositories":                "false",
		"Acquire::AllowDowngradeToInsecureRepositories": "false",
		"Acquire::Languages":                            "none",
		"Acquire::Retries":                              "3",
		// The cache belongs to whoever builds, where apt's own user cannot write.
		"APT::Sandbox::User": "root",
	}
	var all []string
	for key, value := range options {
		all = append(all, "-o", key+"="+value)
	}
	return command(ctx, dir, name, append(all, args...)...)
}

// command runs a program and returns its output; its error carries the last lines of
// what the program said.
func command(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		said := strings.TrimSpace(stderr.String())
		if len(said) > 2000 {
			said = said[len(said)-2000:]
		}
		return nil, fmt.Errorf("run %s: %w: %s", name, err, said)
	}
	return out, nil
}
