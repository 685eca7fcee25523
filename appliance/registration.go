package appliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/netboot/quiet"
	"github.com/sidero-appliance/sidero-appliance/netboot/timeline"
	"github.com/sidero-appliance/sidero-appliance/registration"
)

// registrar is what machines register with: the service, which wakes those that wait
// for orders, what carries its Events to the API, and what writes down what machines do.
type registrar struct {
	service  *registration.Service
	events   *eventWriter
	timeline *timeline.Recorder
}

func newRegistrar(s site, config *rest.Config, objects cache.Cache) (*registrar, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha2.AddToScheme(scheme), v1alpha3.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register types: %w", err)
	}
	api, err := client.New(config, client.Options{Scheme: scheme, Mapper: registrationMapper()})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	requests, err := newRegistrationMetrics()
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	writer, err := newEventWriter("events", config)
	if err != nil {
		return nil, err
	}
	recorder := writer.broadcaster.NewRecorder(scheme, registration.FieldManager)
	if err := registration.Index(context.Background(), objects); err != nil {
		return nil, err
	}
	seen := timeline.New(timeline.Config{Client: api, Find: machines{objects}.find, Events: recorder, Log: s.Log})
	service := registration.New(registration.Config{
		Client:    api,
		Cache:     objects,
		Informers: objects,
		Recorder:  recorder,
		Policy: registration.Policy{
			AutoAccept:    s.AutoAcceptServers,
			AutoBMCSetup:  s.AutoBMCSetup,
			InsecureWipe:  s.InsecureWipe,
			RebootTimeout: s.ServerRebootTimeout,
		},
		Logger:  s.Log,
		Quiet:   quiet.New(time.Now).Level,
		Observe: requests.observe,
		Step:    sightings{seen.Saw}.registration,
	})
	return &registrar{service: service, events: writer, timeline: seen}, nil
}

func registrationMapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	m.Add(v1alpha2.GroupVersion.WithKind("Server"), meta.RESTScopeRoot)
	m.Add(v1alpha2.GroupVersion.WithKind("ServerClass"), meta.RESTScopeRoot)
	m.Add(v1alpha3.GroupVersion.WithKind("ServerBinding"), meta.RESTScopeRoot)
	m.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	return m
}
