package metadata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

const (
	// linkName is that of the ConfigMap which tells where nodes report to.
	linkName = "node-reports"
	// fetchedName is how the names of Secrets begin, before a binding's UID, and fetchedType what they are.
	fetchedName = "fetched-"
	fetchedType = corev1.SecretType("metal.sidero.dev/fetched-configuration")
	// fetchedAt is when the configuration was handed out first, and fetchedBy the server whose machine has it.
	fetchedAt = "metal.sidero.dev/fetched-at"
	fetchedBy = "metal.sidero.dev/server"

	recorder = client.FieldOwner("sidero-metadata")
)

// Keys of the ConfigMap.
const (
	linkAPI    = "api"
	linkEvents = "events"
	linkLogs   = "logs"
)

var (
	// ErrNotFetched is for a machine of which no fetch is on record.
	ErrNotFetched = errors.New("no configuration is on record that it has fetched")
	// ErrNoLink is for an appliance that has not written down yet where nodes report to.
	ErrNoLink = errors.New("it is not written down yet where nodes report to")
)

// Records are what is written down for people who ask what a machine would get, and what has changed since it was handed out:
// where nodes report to, in a ConfigMap, and what each machine was handed out last, in a Secret that goes with its binding.
//
// It is the whole configuration, not digests: what has changed can be shown, and Secrets are encrypted where they are stored. They
// lie in the appliance's own namespace, so that nothing here needs the right to write Secrets of clusters.
type Records struct {
	Client client.Client
	// Namespace is the appliance's own.
	Namespace string
}

// Fetched is a configuration that a machine was handed out.
type Fetched struct {
	Configuration []byte
	// At is when it was handed out first.
	At time.Time
}

// WriteLink keeps where nodes report to.
func (r Records) WriteLink(ctx context.Context, link Link) error {
	object := corev1ac.ConfigMap(linkName, r.Namespace).
		WithData(map[string]string{linkAPI: link.API, linkEvents: link.Events, linkLogs: link.Logs})
	if err := r.Client.Apply(ctx, object, recorder, client.ForceOwnership); err != nil {
		return fmt.Errorf("write ConfigMap %s/%s: %w", r.Namespace, linkName, err)
	}

	return nil
}

// Link is where nodes report to.
func (r Records) Link(ctx context.Context) (Link, error) {
	there := &corev1.ConfigMap{}
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: linkName}, there); err != nil {
		if apierrors.IsNotFound(err) {
			return Link{}, ErrNoLink
		}

		return Link{}, fmt.Errorf("read ConfigMap %s/%s: %w", r.Namespace, linkName, err)
	}

	return Link{API: there.Data[linkAPI], Events: there.Data[linkEvents], Logs: there.Data[linkLogs]}, nil
}

// WriteFetched keeps what a machine is handed out. What is kept already is not written again.
func (r Records) WriteFetched(ctx context.Context, binding *v1alpha3.ServerBinding, fetched Fetched) error {
	before, err := r.Fetched(ctx, binding)
	if err == nil && bytes.Equal(before.Configuration, fetched.Configuration) {
		return nil
	}

	if err != nil && !errors.Is(err, ErrNotFetched) {
		return err
	}

	name := fetchedName + string(binding.UID)
	object := corev1ac.Secret(name, r.Namespace).WithType(fetchedType).
		WithAnnotations(map[string]string{fetchedAt: fetched.At.UTC().Format(time.RFC3339), fetchedBy: binding.Name}).
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(v1alpha3.GroupVersion.String()).WithKind("ServerBinding").WithName(binding.Name).WithUID(binding.UID)).
		WithData(map[string][]byte{secretKey: fetched.Configuration})

	if err := r.Client.Apply(ctx, object, recorder, client.ForceOwnership); err != nil {
		return fmt.Errorf("write Secret %s/%s: %w", r.Namespace, name, err)
	}

	return nil
}

// Fetched is what the machine of a binding was handed out last, or ErrNotFetched.
func (r Records) Fetched(ctx context.Context, binding *v1alpha3.ServerBinding) (Fetched, error) {
	name := fetchedName + string(binding.UID)

	there := &corev1.Secret{}
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: name}, there); err != nil {
		if apierrors.IsNotFound(err) {
			return Fetched{}, ErrNotFetched
		}

		return Fetched{}, fmt.Errorf("read Secret %s/%s: %w", r.Namespace, name, err)
	}

	at, err := time.Parse(time.RFC3339, there.Annotations[fetchedAt])
	if err != nil {
		at = there.CreationTimestamp.Time // somebody has changed it
	}

	return Fetched{Configuration: there.Data[secretKey], At: at}, nil
}
