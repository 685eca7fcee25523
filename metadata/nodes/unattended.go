package nodes

import (
	"context"
	"log/slog"

	"k8s.io/utils/lru"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

const (
	// unattendedKind is the document by which Talos, newer than 1.13, installs itself while it boots.
	unattendedKind = "UnattendedInstallConfig"

	// remembered is of how many machines is known how they install themselves.
	remembered = 4096
)

// Unattended knows how machines install themselves, by their configurations, which are made once for each time that a server is
// in use.
type Unattended struct {
	configuration func(context.Context, *v1alpha3.ServerBinding) ([]byte, error)
	log           *slog.Logger
	known         *lru.Cache
}

// NewUnattended makes it of what makes configurations.
func NewUnattended(configuration func(context.Context, *v1alpha3.ServerBinding) ([]byte, error), log *slog.Logger) *Unattended {
	return &Unattended{configuration, log, lru.New(remembered)}
}

// Of tells it of the machine of a binding. One whose configuration cannot be made any more is taken for one of the usual kind.
func (u *Unattended) Of(ctx context.Context, binding *v1alpha3.ServerBinding) bool {
	if known, ok := u.known.Get(binding.UID); ok {
		return known == true
	}

	configuration, err := u.configuration(ctx, binding)
	if err != nil {
		u.log.Debug("not known how a machine installs itself", "server", binding.Name, "reason", err)

		return false
	}

	unattended := machineconfig.Has(configuration, unattendedKind)
	u.known.Add(binding.UID, unattended)

	return unattended
}
