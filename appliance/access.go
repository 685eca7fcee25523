package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
)

// defaultExpiry is a working day and the night after it.
const defaultExpiry = 24 * time.Hour

// personOf checks what the command line says about somebody.
func personOf(name string, groups []string, expires time.Duration) (pki.Person, error) {
	p := pki.Person{Name: name, Groups: groups, Expires: expires}
	if name == "" {
		return p, errors.New("whose kubeconfig? --group and --expires need --user NAME")
	}
	return p, p.Validate()
}

// personKubeconfig makes a kubeconfig for somebody. It needs the files of the
// data directory, not the running appliance.
func personKubeconfig(c Config, person pki.Person) ([]byte, error) {
	server, err := recordedServer(c.KubeconfigPath())
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.DataDir, "pki")
	authority, err := pki.Load(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no certificate authority in %s: name the appliance's --data-dir", dir)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("you may not read the certificate authority in %s: try again as root", dir)
	case err != nil:
		return nil, fmt.Errorf("open certificate authority: %w", err)
	}
	return authority.PersonKubeconfig(server, person)
}

// recordedServer is the API's URL: what the appliance wrote into its
// administrator's kubeconfig when it last started.
func recordedServer(path string) (string, error) {
	data, err := readKubeconfig(path)
	if err != nil {
		return "", err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		return "", fmt.Errorf("read kubeconfig %s: %w", path, err)
	}
	return config.Host, nil
}
