package bootstrap

import (
	"context"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/apiserver/descriptor"
)

// applyDescriptor writes a descriptor that is not as it should be. At most starts that is none, which saves the
// time that a write takes, and the API server's controllers the work that follows each.
func (b *Bootstrap) applyDescriptor(ctx context.Context, d *apiextensionsv1.CustomResourceDefinition) error {
	stored, err := b.crds.Get(ctx, d.Name, metav1.GetOptions{})
	if err == nil && descriptor.Holds(stored, d) {
		return nil
	}

	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("get descriptor %s: %w", d.Name, err)
	}

	patch, err := descriptor.Patch(d)
	if err != nil {
		return err //nolint:wrapcheck // it names the descriptor
	}

	if _, err := b.crds.Patch(ctx, d.Name, types.ApplyPatchType, patch, own().ToPatchOptions()); err != nil {
		return fmt.Errorf("apply descriptor %s: %w", d.Name, err)
	}

	return nil
}
