package machineconfig

import (
	"fmt"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/validation"
)

// metal is Talos's mode of machines that it is installed on.
type metal struct{ install bool }

// String implements validation.RuntimeMode.
func (metal) String() string { return "metal" }

// RequiresInstall implements validation.RuntimeMode.
func (m metal) RequiresInstall() bool { return m.install }

// InContainer implements validation.RuntimeMode.
func (metal) InContainer() bool { return false }

var _ validation.RuntimeMode = metal{}

// Known tells whether a version of Talos is one that its machinery here knows all of. One that is empty, or that nobody can read, is
// the newest known.
func Known(talosVersion string) bool {
	contract, err := contractOf(talosVersion)

	return err != nil || contract == config.TalosVersionCurrent || !contract.Greater(config.TalosVersion1_13)
}

// Validate tells whether a machine takes a configuration, as Talos does itself in its metal mode.
func Validate(configuration []byte) error { return validate(configuration, metal{install: true}) }

func validate(configuration []byte, mode metal) error {
	loaded, err := configloader.NewFromBytes(configuration)
	if err != nil {
		return fmt.Errorf("read configuration: %w", discreet(err))
	}

	if _, err := loaded.Validate(mode, validation.WithLocal()); err != nil {
		return fmt.Errorf("Talos would refuse the configuration: %w", discreet(err)) //nolint:staticcheck // a name
	}

	return nil
}

// Check finds what is wrong with a configuration that has been patched, and names the patch that made it so. Where Talos is to be
// installed may be missing: the patches of a server may yet say it. Nothing is said of configurations for a version of Talos that
// is newer than its machinery here, which may hold what that does not know.
func Check(configuration []byte, patches Patches, talosVersion string) error {
	_, err := contractOf(talosVersion)
	if err != nil || !Known(talosVersion) {
		return err
	}

	found := validate(configuration, metal{})
	blamed := ""

	for _, step := range patches.steps() {
		if configuration, err = step.apply(configuration); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}

		switch now := validate(configuration, metal{}); {
		case now == nil:
			found, blamed = nil, ""
		case found == nil:
			found, blamed = now, step.name
		default:
			found = now
		}
	}

	if blamed != "" {
		return fmt.Errorf("%s: %w", blamed, found)
	}

	return found
}
