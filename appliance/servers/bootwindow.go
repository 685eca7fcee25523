package servers

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/bootwindow"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// BootWindow lets the machine of a server in use fetch its configuration again.
func (p *Pool) BootWindow(ctx context.Context, name string) error {
	return p.one(ctx, name, func(s *v1alpha2.Server) error {
		if _, err := p.inUse(ctx, s); err != nil {
			return err
		}

		request := p.Now().UTC().Format(time.RFC3339Nano)

		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha2.BootWindowAnnotation: request}}})
		if err != nil {
			return fmt.Errorf("write annotation: %w", err)
		}

		command := fmt.Sprintf("annotate server %s --overwrite %s=%s", s.Name, v1alpha2.BootWindowAnnotation, request)
		if err := p.do(ctx, s, step{kubectl: command, patch: string(patch)}); err != nil {
			return err
		}

		p.tell(s, "its machine may fetch its configuration for %d minutes, or until it reports that it has loaded it", int(bootwindow.Duration.Minutes()))

		return nil
	})
}
