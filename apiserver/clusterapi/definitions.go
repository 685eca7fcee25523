package clusterapi

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
)

const establishedPoll = 20 * time.Millisecond

// definition is a CustomResourceDefinition that is kept as the manifest has it.
type definition struct {
	client apiextensionsclient.CustomResourceDefinitionInterface
	wanted *apiextensionsv1.CustomResourceDefinition
}

// newDefinition reads a manifest, and fills in what the API server would, so that it can be compared with what is stored.
func newDefinition(client apiextensionsclient.CustomResourceDefinitionInterface, manifest []byte) (*definition, error) {
	wanted := &apiextensionsv1.CustomResourceDefinition{}
	if err := json.Unmarshal(manifest, wanted); err != nil {
		return nil, fmt.Errorf("parse definition: %w", err)
	}

	apiextensionsv1.SetObjectDefaults_CustomResourceDefinition(wanted)

	return &definition{client, wanted}, nil
}

// apply writes the definition unless it is there already. A start on existing data writes nothing: each write takes time,
// and makes the API server build the kind's handlers and documents again.
func (d *definition) apply(ctx context.Context) error {
	if err := retry.RetryOnConflict(retry.DefaultRetry, func() error { return d.write(ctx) }); err != nil {
		return fmt.Errorf("apply definition %s: %w", d.wanted.Name, err)
	}

	return nil
}

// await waits until the kind is served.
func (d *definition) await(ctx context.Context) error {
	err := wait.PollUntilContextCancel(ctx, establishedPoll, true, func(ctx context.Context) (bool, error) {
		stored, err := d.client.Get(ctx, d.wanted.Name, metav1.GetOptions{})

		return err == nil && established(stored), err
	})
	if err != nil {
		return fmt.Errorf("wait for definition %s: %w", d.wanted.Name, err)
	}

	return nil
}

func (d *definition) write(ctx context.Context) error {
	stored, err := d.client.Get(ctx, d.wanted.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = d.client.Create(ctx, d.wanted, metav1.CreateOptions{FieldManager: fieldManager})

		return err
	}

	if err != nil || d.holds(stored) {
		return err
	}

	changed := stored.DeepCopy()
	changed.Spec = d.wanted.Spec
	changed.Labels = join(stored.Labels, d.wanted.Labels)
	changed.Annotations = join(stored.Annotations, d.wanted.Annotations)
	_, err = d.client.Update(ctx, changed, metav1.UpdateOptions{FieldManager: fieldManager})

	return err
}

// holds tells whether what is stored says all that the manifest says. It may have further labels and annotations.
func (d *definition) holds(stored *apiextensionsv1.CustomResourceDefinition) bool {
	return maps.Equal(join(stored.Labels, d.wanted.Labels), stored.Labels) &&
		maps.Equal(join(stored.Annotations, d.wanted.Annotations), stored.Annotations) &&
		equality.Semantic.DeepEqual(stored.Spec, d.wanted.Spec)
}

// join returns what is in both, the second one's where they differ.
func join(some, others map[string]string) map[string]string {
	all := maps.Clone(some)
	if all == nil {
		all = map[string]string{}
	}

	maps.Copy(all, others)

	return all
}

func established(crd *apiextensionsv1.CustomResourceDefinition) bool {
	return slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	})
}
