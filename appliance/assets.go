package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/assets"
	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/offline"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/environment"
)

// Folders below <data-dir>/assets.
const (
	assetsFolder = "assets"
	// importFolder is where people put what cannot be downloaded. What is taken over disappears from it.
	importFolder = "import"
	// filesFolder is where file:// URLs may always name files. They stay there.
	filesFolder = "files"
)

// keptAssets are the kernels and initial RAM disks of Environments, and where people bring them.
type keptAssets struct {
	store   *store.Store
	offline *offline.Folder
}

func openAssets(c Config) (keptAssets, error) {
	kept, err := store.Open(filepath.Join(c.DataDir, assetsFolder))
	if err != nil {
		return keptAssets{}, err
	}
	folder, err := c.openImports()
	if err != nil {
		return keptAssets{}, err
	}
	if err := os.MkdirAll(c.filesPath(), 0o755); err != nil {
		return keptAssets{}, fmt.Errorf("create folder for file:// URLs: %w", err)
	}
	return keptAssets{kept, folder}, nil
}

func (c Config) filesPath() string { return filepath.Join(c.DataDir, assetsFolder, filesFolder) }

// openImports opens the folder that people bring files to. Whoever does may be root, and the data directory's owner another user, whose
// links lead nowhere else.
func (c Config) openImports() (*offline.Folder, error) {
	return offline.OpenIn(c.DataDir, filepath.Join(assetsFolder, importFolder))
}

// environments says how Environments are treated.
func (k keptAssets) environments(s site) (environment.Config, error) {
	images, err := assets.Versions(assets.Embedded())
	if err != nil {
		return environment.Config{}, err
	}
	var architectures []string // that there is an agent for: no machine of another can register
	for _, image := range images {
		if architecture, ok := strings.CutPrefix(image.Name, v1alpha2.AgentEnvironmentPrefix); ok {
			architectures = append(architectures, architecture)
		}
	}
	return environment.Config{
		TalosReleases: s.TalosReleaseURL,
		Architectures: architectures,
		Downloads: download.Config{
			Store: k.store, Offline: k.offline, Log: s.Log,
			Folders: append([]string{s.filesPath()}, s.AssetDirectories...),
		},
	}, nil
}

// bootFiles are what machines load: boot files and agents of the catalogue, and the files of Environments.
type bootFiles struct {
	*assets.Catalogue
	environments client.Reader
	store        *store.Store
}

// EnvironmentFile implements httpboot.Files. What is served is whole and has the digest that the Environment names now; while
// there is no such file, the error is fs.ErrNotExist and says what to look at.
func (b bootFiles) EnvironmentFile(name, file string) (assets.File, error) {
	found, err := b.stored(name, file)
	if err != nil && environment.IsAgent(name) {
		return b.Catalogue.EnvironmentFile(name, file)
	}
	return found, err
}

func (b bootFiles) stored(name, file string) (assets.File, error) {
	e := &v1alpha2.Environment{}
	// The context ends nothing: the cache reads from memory.
	if err := b.environments.Get(context.Background(), client.ObjectKey{Name: name}, e); err != nil {
		if apierrors.IsNotFound(err) {
			return assets.File{}, fmt.Errorf("there is no environment %q: %w", name, fs.ErrNotExist)
		}
		return assets.File{}, fmt.Errorf("find environment: %w", err)
	}
	ref, ok := environment.Ref(e, file)
	if !ok {
		return assets.File{}, fmt.Errorf("environment %s has no %s: %w", name, file, fs.ErrNotExist)
	}
	found, err := b.store.File(ref, file)
	if errors.Is(err, fs.ErrNotExist) {
		return assets.File{}, fmt.Errorf("%s of environment %s is not here yet, see \"kubectl get environment %s -o yaml\": %w", file, name, name, fs.ErrNotExist)
	}
	return found, err
}
