package clusterapi

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterapi/manifests"
)

const (
	// namespace and service are where upstream's manifests look for the webhooks.
	namespace = "capi-system"
	service   = "capi-webhook-service"

	fieldManager = "sidero-cluster-api"

	// writers is the number of definitions that are written at the same time. The API server spends processor time on
	// each, so that more would not be quicker.
	writers = 4
)

// installer writes what Cluster API's release consists of. It has the rights of the process, for it installs webhooks.
type installer struct {
	kube kubernetes.Interface
	crds apiextensionsclient.CustomResourceDefinitionInterface

	mutex  sync.Mutex
	served bool // all kinds are
}

// newInstaller makes the clients. They speak protobuf, which takes a fraction of the time that JSON does for definitions.
func newInstaller(owner *rest.Config) (*installer, error) {
	config := rest.CopyConfig(owner)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON

	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}

	extensions, err := apiextensionsclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client of definitions: %w", err)
	}

	return &installer{kube: kube, crds: extensions.CustomResourceDefinitions()}, nil
}

// applyKinds makes Cluster API's kinds be served, unless they are.
func (i *installer) applyKinds(ctx context.Context) error {
	i.mutex.Lock()
	defer i.mutex.Unlock()

	if i.served {
		return nil
	}

	raw, err := manifests.Definitions()
	if err != nil {
		return err
	}

	definitions := make([]*definition, len(raw))

	group, writing := errgroup.WithContext(ctx)
	group.SetLimit(writers)

	for at, manifest := range raw {
		group.Go(func() error {
			var err error
			if definitions[at], err = newDefinition(i.crds, manifest); err != nil {
				return err
			}

			return definitions[at].apply(writing)
		})
	}

	if err := group.Wait(); err != nil {
		return err //nolint:wrapcheck // each says what it did
	}

	for _, d := range definitions {
		if err := d.await(ctx); err != nil {
			return err
		}
	}

	i.served = true

	return nil
}

// applyWebhooks makes the API server ask the webhooks.
func (i *installer) applyWebhooks(ctx context.Context) error {
	raw, err := manifests.WebhookConfigurations()
	if err != nil {
		return err
	}

	for _, manifest := range raw {
		var object metav1.PartialObjectMetadata
		if err := json.Unmarshal(manifest, &object); err != nil {
			return fmt.Errorf("parse webhook configuration: %w", err)
		}

		if err := i.applyWebhook(ctx, object, manifest); err != nil {
			return fmt.Errorf("apply %s %s: %w", object.Kind, object.Name, err)
		}
	}

	return nil
}

func (i *installer) applyWebhook(ctx context.Context, object metav1.PartialObjectMetadata, manifest []byte) error {
	client := i.kube.AdmissionregistrationV1()

	var err error
	if object.Kind == "MutatingWebhookConfiguration" {
		_, err = client.MutatingWebhookConfigurations().Patch(ctx, object.Name, types.ApplyPatchType, manifest, own().ToPatchOptions())
	} else {
		_, err = client.ValidatingWebhookConfigurations().Patch(ctx, object.Name, types.ApplyPatchType, manifest, own().ToPatchOptions())
	}

	return err //nolint:wrapcheck // the caller says what for
}

func own() metav1.ApplyOptions { return metav1.ApplyOptions{FieldManager: fieldManager, Force: true} }
