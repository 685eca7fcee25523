package talosapi

import (
	"context"
	"errors"
	"fmt"
	"strings"

	cosi "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/api/resource/config"
	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/proto"
)

// What "talosctl get machineconfig" asks for: Talos keeps what it runs by as resources of the COSI project's runtime.
const (
	configNamespace = "config"
	configType      = "MachineConfigs.config.talos.dev"
	configActive    = "v1alpha1"
)

// Configuration implements Node.
func (n *node) Configuration(ctx context.Context) ([]byte, error) {
	q := n.to("tell configuration")

	ctx, cancel := context.WithTimeout(ctx, q.within)
	defer cancel()

	answer, err := n.resources.Get(ctx, &cosi.GetRequest{Namespace: configNamespace, Type: configType, Id: configActive})
	if err != nil {
		return nil, q.failure(err)
	}

	spec := answer.GetResource().GetSpec()

	var content config.MachineConfigSpec
	if err := proto.Unmarshal(spec.GetProtoSpec(), &content); err == nil && len(content.GetYamlMarshalled()) > 0 {
		return content.GetYamlMarshalled(), nil
	}

	var text string
	if err := yaml.Unmarshal([]byte(spec.GetYamlSpec()), &text); err != nil || text == "" {
		return nil, q.failure(errors.New("the answer holds none")) // the cause would quote it
	}

	return []byte(text), nil
}

// Configure implements Node.
func (n *node) Configure(ctx context.Context, configuration []byte) error {
	_, err := ask(ctx, n.to("take configuration").slowly(), n.api.ApplyConfiguration, &machine.ApplyConfigurationRequest{
		Data: configuration, Mode: machine.ApplyConfigurationRequest_NO_REBOOT,
	})

	return withoutQuotes(err)
}

// withoutQuotes leaves out what a node quotes of a configuration in further lines.
func withoutQuotes(err error) error {
	if err == nil {
		return nil
	}

	first, _, more := strings.Cut(err.Error(), "\n")
	if !more {
		return err
	}

	for _, known := range []error{ErrUnreachable, ErrNotReady} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w: %s", known, strings.TrimPrefix(first, known.Error()+": "))
		}
	}

	return errors.New(first)
}
