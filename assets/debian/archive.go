package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Config says what to fetch from and where to keep it.
type Config struct {
	// CacheDir holds indexes, packages and unpacked packages between runs. Whoever can
	// write there decides what is unpacked.
	CacheDir string
	// Suites are searched together; the newest version wins.
	Suites []string
	// Components of these suites, such as main and non-free-firmware.
	Components []string
	// Architecture is Debian's name for it, amd64 or arm64.
	Architecture string
	// MaxAge is how old an index may be before it is fetched again; 0 means always.
	MaxAge time.Duration
	Logger *slog.Logger
}

// Archive is a view of the Debian archive: some suites, one architecture.
type Archive struct {
	Config
	apt apt
	// mirrors names the repository of each suite.
	mirrors func(ctx context.Context, suites []string) (map[string]string, error)
	// fresh is set once the indexes were fetched or found young enough.
	fresh bool
}

// Package is a binary package unpacked on disk.
type Package struct {
	Entry
	// Dir holds the package's files, as dpkg-deb -x lays them out.
	Dir string
}

// DefaultCacheDir is the user's cache directory, or one below the working directory
// where there is no user.
func DefaultCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = ".cache"
	}
	return filepath.Join(dir, "sidero-appliance", "debian")
}

// New prepares the cache directory. It uses no network.
func New(config Config) (*Archive, error) {
	root, err := filepath.Abs(config.CacheDir)
	if err != nil {
		return nil, fmt.Errorf("find cache directory: %w", err)
	}
	config.CacheDir = root
	view := filepath.Join(root, strings.Join(config.Suites, "+")+"_"+strings.Join(config.Components, "+")+"_"+config.Architecture)
	for _, dir := range []string{view + "/lists/partial", view + "/cache/archives/partial", root + "/packages", root + "/unpacked"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("create cache: %w", err)
		}
	}
	return &Archive{Config: config, apt: apt{dir: view, components: config.Components, architecture: config.Architecture, keyring: debianKeyring}, mirrors: machineMirrors}, nil
}

// Lookup says what the signed indexes know about a package.
func (a *Archive) Lookup(ctx context.Context, name string) (Entry, error) {
	if err := a.refresh(ctx); err != nil {
		return Entry{}, err
	}
	text, err := a.apt.run(ctx, "apt-cache", "show", "--no-all-versions", name)
	if err != nil {
		return Entry{}, fmt.Errorf("look up package %s: %w", name, err)
	}
	entry, err := parseEntry(text)
	if err != nil {
		return Entry{}, fmt.Errorf("look up package %s: %w", name, err)
	}
	return entry, nil
}

// Fetch downloads and unpacks the newest version of a package, or finds it in the
// cache. A cached package needs no network.
func (a *Archive) Fetch(ctx context.Context, name string) (Package, error) {
	entry, err := a.Lookup(ctx, name)
	if err != nil {
		return Package{}, err
	}
	deb := filepath.Join(a.CacheDir, "packages", entry.SHA256+".deb")
	if err := a.download(ctx, entry, deb); err != nil {
		return Package{}, fmt.Errorf("fetch package %s %s: %w", entry.Name, entry.Version, err)
	}
	dir := filepath.Join(a.CacheDir, "unpacked", entry.SHA256)
	if err := unpack(ctx, deb, dir); err != nil {
		return Package{}, fmt.Errorf("unpack package %s %s: %w", entry.Name, entry.Version, err)
	}
	return Package{Entry: entry, Dir: dir}, nil
}

// refresh fetches the indexes unless they are young. Without network the ones at hand
// serve on: their signatures have been checked when they were fetched.
func (a *Archive) refresh(ctx context.Context) error {
	if a.fresh {
		return nil
	}
	age, err := a.apt.age()
	known := err == nil
	if !known && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !known || age >= a.MaxAge {
		if err := a.update(ctx); err != nil && !known {
			return err
		} else if err != nil {
			a.Logger.Warn("could not refresh the package indexes, using the cached ones", "reason", err.Error(), "duration", age.Round(time.Minute))
		}
	}
	a.fresh = true
	return nil
}

func (a *Archive) update(ctx context.Context) error {
	mirrors, err := a.mirrors(ctx, a.Suites)
	if err != nil {
		return err
	}
	started := time.Now()
	if err := a.apt.update(ctx, a.Suites, mirrors); err != nil {
		return err
	}
	a.Logger.Info("package indexes fetched", "path", a.apt.dir, "duration", time.Since(started).Round(time.Millisecond))
	return nil
}

// download makes sure that deb is the package of the entry.
func (a *Archive) download(ctx context.Context, entry Entry, deb string) error {
	sum, err := digest(deb)
	if err == nil && sum == entry.SHA256 {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(deb), "download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	started := time.Now()
	if err := a.apt.download(ctx, dir, entry); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("apt-get download left %d packages", len(found))
	}
	if sum, err = digest(found[0]); err != nil {
		return err
	}
	if sum != entry.SHA256 {
		return fmt.Errorf("the file's SHA-256 is %s, the signed index says %s", sum, entry.SHA256)
	}
	a.Logger.Info("package downloaded", "file", filepath.Base(found[0]), "duration", time.Since(started).Round(time.Millisecond))
	return os.Rename(found[0], deb)
}

// unpack lays a package out in dir, which appears only when complete and is trusted
// from then on: other builds may be reading it.
func unpack(ctx context.Context, deb, dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	partial, err := os.MkdirTemp(filepath.Dir(dir), "partial-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(partial)
	if _, err := command(ctx, "", "dpkg-deb", "-x", deb, partial); err != nil {
		return err
	}
	if err := os.Rename(partial, dir); err != nil {
		if _, statErr := os.Stat(dir); statErr == nil {
			return nil // another build unpacked the same bytes at the same time
		}
		return err
	}
	return nil
}

func digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
