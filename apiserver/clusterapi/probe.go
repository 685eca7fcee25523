package clusterapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
)

const (
	// probePeriod is short because what is waited for takes milliseconds.
	probePeriod = 10 * time.Millisecond
	probeWithin = 5 * time.Second

	// probed is asked to be applied, without doing it, as an object of an older version, which must be converted, defaulted
	// and validated for that. It is not created: for two seconds after its kind was defined, the API server holds that up.
	probed = "/apis/addons.cluster.x-k8s.io/v1beta1/namespaces/" + namespace + "/clusterresourcesets/sidero-probe"

	good = `{"apiVersion":"addons.cluster.x-k8s.io/v1beta1","kind":"ClusterResourceSet","metadata":{"name":"sidero-probe"},` +
		`"spec":{"clusterSelector":{"matchLabels":{"sidero-probe":""}}}}`
	bad = `{"apiVersion":"addons.cluster.x-k8s.io/v1beta1","kind":"ClusterResourceSet","metadata":{"name":"sidero-probe"},` +
		`"spec":{"clusterSelector":{}}}`
)

// probe waits until the webhooks answer, by having the API server ask them. The server takes a moment to see that they are
// configured, and until then asks nobody and says nothing.
func (i *installer) probe(ctx context.Context) error {
	var last error

	err := wait.PollUntilContextTimeout(ctx, probePeriod, probeWithin, true, func(ctx context.Context) (bool, error) {
		last = i.ask(ctx)

		return last == nil, nil
	})

	return errors.Join(err, last)
}

func (i *installer) ask(ctx context.Context) error {
	body, err := i.dryRun(ctx, good)
	if err != nil {
		return err
	}

	var created addonsv1.ClusterResourceSet
	if err := json.Unmarshal(body, &created); err != nil {
		return fmt.Errorf("parse answer: %w", err)
	}

	if created.Spec.Strategy == "" {
		return errors.New("defaulting webhooks are not asked")
	}

	switch _, err := i.dryRun(ctx, bad); {
	case err == nil:
		return errors.New("validating webhooks are not asked")
	case !strings.Contains(err.Error(), "denied the request"):
		return err
	default:
		return nil
	}
}

func (i *installer) dryRun(ctx context.Context, object string) ([]byte, error) {
	result := i.kube.Discovery().RESTClient().Patch(types.ApplyPatchType).AbsPath(probed).
		Param("dryRun", metav1.DryRunAll).Param("fieldManager", fieldManager).
		SetHeader("Accept", runtime.ContentTypeJSON).Body([]byte(object)).Do(ctx)
	if err := result.Error(); err != nil {
		return nil, fmt.Errorf("ask webhooks: %w", err)
	}

	return result.Raw() //nolint:wrapcheck // the error is dealt with
}
