// Package configuration gets a machine's configuration as Talos does in its metal mode: fetched from where the kernel's arguments say
// until there is one that Talos's own machinery reads and finds valid.
package configuration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/validation"
	"google.golang.org/protobuf/proto"
)

const (
	// fetchWithin bounds one try, and maxConfiguration what is read, in bytes.
	fetchWithin      = 30 * time.Second
	maxConfiguration = 16 << 20

	firstRetry = time.Second
	lastRetry  = 10 * time.Second
)

// metal is the mode in which Talos validates on machines that it is installed on.
type metal struct{}

// String implements validation.RuntimeMode.
func (metal) String() string { return "metal" }

// RequiresInstall implements validation.RuntimeMode.
func (metal) RequiresInstall() bool { return true }

// InContainer implements validation.RuntimeMode.
func (metal) InContainer() bool { return false }

// Load reads a configuration as Talos does.
func Load(text []byte) (config.Provider, error) {
	loaded, err := configloader.NewFromBytes(text)
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}

	if loaded.Machine() == nil || loaded.Cluster() == nil {
		return nil, errors.New("load configuration: it has no machine or no cluster")
	}

	if _, err := loaded.Validate(metal{}, validation.WithLocal()); err != nil {
		return nil, fmt.Errorf("configuration is not valid: %w", err)
	}

	return loaded, nil
}

// Source is where a configuration is.
type Source struct {
	// URL is that of talos.config, with variables.
	URL string
	// Values of the variables uuid, serial, mac and hostname.
	Values map[string]string
	// Tell is called with Talos's event for each new reason why there is no configuration yet.
	Tell func(proto.Message)
	Log  *slog.Logger
}

// Acquire fetches the configuration until there is a good one. It ends without one with the context.
func (s Source) Acquire(ctx context.Context) ([]byte, config.Provider, error) {
	at, err := s.address()
	if err != nil {
		return nil, nil, err
	}

	s.Log.Info("fetches its configuration", "address", at.Host+at.Path)

	var said string

	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		text, loaded, err := try(ctx, at)
		if err == nil {
			return text, loaded, nil
		}

		if ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			s.Log.Warn("has no configuration yet, tries again", "error", err)
			s.Tell(&machine.ConfigLoadErrorEvent{Error: err.Error()}) // of what is not valid, too
		}

		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err() //nolint:wrapcheck // the caller's own
		case <-time.After(pause):
		}
	}
}

func try(ctx context.Context, at *url.URL) ([]byte, config.Provider, error) {
	text, err := fetch(ctx, at)
	if err != nil {
		return nil, nil, err
	}

	loaded, err := Load(text)

	return text, loaded, err
}

// fetch gets a configuration. The error does not hold the URL's query, which has a token.
func fetch(ctx context.Context, at *url.URL) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, errors.New("fetch configuration: its address cannot be asked")
	}

	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		var told *url.Error
		if errors.As(err, &told) {
			err = told.Err
		}

		return nil, fmt.Errorf("fetch configuration: %w", err)
	}

	defer answer.Body.Close()

	text, err := io.ReadAll(io.LimitReader(answer.Body, maxConfiguration))
	if err != nil {
		return nil, fmt.Errorf("fetch configuration: %w", err)
	}

	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch configuration: %s", answer.Status)
	}

	return text, nil
}
