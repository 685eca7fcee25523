package bootstrap

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/apiserver/descriptor"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/natives"
)

// applyDescriptors writes the descriptors that are not as they should be. At most starts that is none, which saves the
// time that a write takes, and the API server's controllers the work that follows each.
func (b *Bootstrap) applyDescriptors(ctx context.Context) error {
	for _, d := range descriptor.All(natives.Groups()) {
		stored, err := b.crds.Get(ctx, d.Name, metav1.GetOptions{})
		if err == nil && descriptor.Holds(stored, &d) {
			continue
		}

		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("get descriptor %s: %w", d.Name, err)
		}

		patch, err := descriptor.Patch(&d)
		if err != nil {
			return err
		}

		if _, err := b.crds.Patch(ctx, d.Name, types.ApplyPatchType, patch, own().ToPatchOptions()); err != nil {
			return fmt.Errorf("apply descriptor %s: %w", d.Name, err)
		}
	}

	return nil
}
