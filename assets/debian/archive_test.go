package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// repository is a Debian archive of one package in a directory, signed with a key of
// its own.
type repository struct {
	t    *testing.T
	dir  string
	home string // gpg's
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	for program, pkg := range map[string]string{"gpg": "gnupg", "apt-get": "apt", "dpkg-deb": "dpkg"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: install the package %s", program, pkg)
		}
	}
	// Not t.TempDir: gpg-agent's socket needs a short path.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	r := &repository{t: t, dir: t.TempDir(), home: home}
	t.Cleanup(func() {
		r.run("gpgconf", "--homedir", home, "--kill", "all")
		os.RemoveAll(home)
	})
	r.run("gpg", "--homedir", home, "--batch", "--passphrase", "", "--quick-generate-key", "test@example.org", "ed25519", "sign")
	r.write("keyring.gpg", r.run("gpg", "--homedir", home, "--export"))
	return r
}

func (r *repository) run(name string, args ...string) []byte {
	r.t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("%s: %v: %s", name, err, stderr.String())
	}
	return out
}

func (r *repository) write(name string, content []byte) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// publish puts a version of the package "thing" into the component main of the suite
// "stable", whose component extra has none.
func (r *repository) publish(version string) {
	r.t.Helper()
	r.write("build/DEBIAN/control", []byte("Package: thing\nVersion: "+version+"\nArchitecture: amd64\nMaintainer: A <a@example.org>\nDescription: a thing\n"))
	r.write("build/usr/lib/thing/file", []byte("content of "+version))
	deb := "pool/thing_" + version + "_amd64.deb"
	r.write(deb, nil)
	r.run("dpkg-deb", "-b", filepath.Join(r.dir, "build"), filepath.Join(r.dir, deb))
	content, err := os.ReadFile(filepath.Join(r.dir, deb))
	if err != nil {
		r.t.Fatal(err)
	}
	packages := fmt.Appendf(nil, "Package: thing\nVersion: %s\nArchitecture: amd64\nMaintainer: A <a@example.org>\nFilename: %s\nSize: %d\nSHA256: %x\nDescription: a thing\n",
		version, deb, len(content), sha256.Sum256(content))
	r.write("dists/stable/main/binary-amd64/Packages", packages)
	r.write("dists/stable/extra/binary-amd64/Packages", nil)
	release := fmt.Sprintf("Origin: Debian\nSuite: stable\nCodename: stable\nArchitectures: amd64\nComponents: main extra\nDate: %s\nSHA256:\n %x %d main/binary-amd64/Packages\n %x %d extra/binary-amd64/Packages\n",
		time.Now().UTC().Format(time.RFC1123), sha256.Sum256(packages), len(packages), sha256.Sum256(nil), 0)
	r.write("release", []byte(release))
	os.Remove(filepath.Join(r.dir, "dists/stable/InRelease"))
	r.run("gpg", "--homedir", r.home, "--batch", "--clearsign", "-o", filepath.Join(r.dir, "dists/stable/InRelease"), filepath.Join(r.dir, "release"))
}

func (r *repository) archive(cache string, maxAge time.Duration) *Archive {
	r.t.Helper()
	return r.archiveOf(cache, maxAge, "main")
}

func (r *repository) archiveOf(cache string, maxAge time.Duration, components ...string) *Archive {
	r.t.Helper()
	archive, err := New(Config{CacheDir: cache, Suites: []string{"stable"}, Components: components, Architecture: "amd64", MaxAge: maxAge, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
	archive.apt.keyring = filepath.Join(r.dir, "keyring.gpg")
	archive.mirrors = func(context.Context, []string) (map[string]string, error) {
		return map[string]string{"stable": "copy:" + r.dir}, nil
	}
	return archive
}

func check(t *testing.T, pkg Package, err error, version string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(pkg.Dir, "usr/lib/thing/file"))
	if err != nil || string(content) != "content of "+version || pkg.Version != version {
		t.Errorf("got version %s with %q, %v, want %s", pkg.Version, content, err, version)
	}
}

func TestFetch(t *testing.T) {
	repository, cache := newRepository(t), t.TempDir()
	repository.publish("1.0-1")
	ctx := t.Context()
	pkg, err := repository.archive(cache, 0).Fetch(ctx, "thing")
	check(t, pkg, err, "1.0-1")

	repository.publish("1.0-2")
	pkg, err = repository.archive(cache, time.Hour).Fetch(ctx, "thing")
	check(t, pkg, err, "1.0-1") // the index is young enough
	pkg, err = repository.archive(cache, 0).Fetch(ctx, "thing")
	check(t, pkg, err, "1.0-2")

	if _, err := repository.archive(cache, 0).Fetch(ctx, "nothing"); err == nil {
		t.Error("a package that does not exist was fetched")
	}

	// Without any mirror the cache serves on.
	offline := repository.archive(cache, 0)
	offline.mirrors = func(context.Context, []string) (map[string]string, error) { return nil, errors.New("no network") }
	pkg, err = offline.Fetch(ctx, "thing")
	check(t, pkg, err, "1.0-2")

	// A cached file that was damaged is fetched again.
	deb := filepath.Join(cache, "packages", pkg.SHA256+".deb")
	if err := os.WriteFile(deb, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(pkg.Dir); err != nil {
		t.Fatal(err)
	}
	pkg, err = repository.archive(cache, 0).Fetch(ctx, "thing")
	check(t, pkg, err, "1.0-2")
}

// TestComponents shares one cache: an index of other components is not good enough.
func TestComponents(t *testing.T) {
	repository, cache := newRepository(t), t.TempDir()
	repository.publish("1.0-1")
	if _, err := repository.archiveOf(cache, time.Hour, "extra").Fetch(t.Context(), "thing"); err == nil {
		t.Error("a package of another component was fetched")
	}
	pkg, err := repository.archiveOf(cache, time.Hour, "extra", "main").Fetch(t.Context(), "thing")
	check(t, pkg, err, "1.0-1")
}

func TestFetchRefuses(t *testing.T) {
	t.Run("an index signed by another key", func(t *testing.T) {
		mine, other := newRepository(t), newRepository(t)
		mine.publish("1.0-1")
		archive := mine.archive(t.TempDir(), 0)
		archive.apt.keyring = filepath.Join(other.dir, "keyring.gpg")
		if _, err := archive.Fetch(t.Context(), "thing"); err == nil {
			t.Error("it was accepted")
		}
	})
	t.Run("an index changed after it was signed", func(t *testing.T) {
		repository := newRepository(t)
		repository.publish("1.0-1")
		path := "dists/stable/main/binary-amd64/Packages"
		content, err := os.ReadFile(filepath.Join(repository.dir, path))
		if err != nil {
			t.Fatal(err)
		}
		repository.write(path, bytes.Replace(content, []byte("a thing"), []byte("a thong"), 1))
		if _, err := repository.archive(t.TempDir(), 0).Fetch(t.Context(), "thing"); err == nil {
			t.Error("it was accepted")
		}
	})
	t.Run("a package that is not the index's", func(t *testing.T) {
		repository := newRepository(t)
		repository.publish("1.0-1")
		deb := filepath.Join(repository.dir, "pool/thing_1.0-1_amd64.deb")
		content, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)-1] ^= 1
		repository.write("pool/thing_1.0-1_amd64.deb", content)
		if _, err := repository.archive(t.TempDir(), 0).Fetch(t.Context(), "thing"); err == nil {
			t.Error("it was accepted")
		}
	})
	t.Run("a missing keyring", func(t *testing.T) {
		repository := newRepository(t)
		archive := repository.archive(t.TempDir(), 0)
		archive.apt.keyring = "/nonexistent"
		if _, err := archive.Fetch(t.Context(), "thing"); err == nil || !strings.Contains(err.Error(), "debian-archive-keyring") {
			t.Errorf("error %v does not name the package to install", err)
		}
	})
}
