package apiserver

import (
	"context"
	"fmt"
	"net/http"
	goruntime "runtime"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	crdinformers "k8s.io/apiextensions-apiserver/pkg/client/informers/externalversions/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	webhookinit "k8s.io/apiserver/pkg/admission/plugin/webhook/initializer"
	"k8s.io/apiserver/pkg/endpoints/filters"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/notfoundhandler"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	aggregator "k8s.io/kube-aggregator/pkg/apiserver"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	controlplane "k8s.io/kubernetes/pkg/controlplane/apiserver"
	"k8s.io/kubernetes/pkg/controlplane/apiserver/options"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl"
	"github.com/sidero-appliance/sidero-appliance/apiserver/leniency"
	"github.com/sidero-appliance/sidero-appliance/apiserver/openapi"
	"github.com/sidero-appliance/sidero-appliance/apiserver/refusal"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/natives"
	"github.com/sidero-appliance/sidero-appliance/apiserver/turns"
)

const (
	// nativePriority and nativeVersionPriority order the native groups among all others in discovery, where kubectl
	// looks up short names: after Kubernetes's own, in front of custom resources.
	nativePriority        = 1000
	nativeVersionPriority = 100

	// masters is the number of API servers on one etcd. More than one makes each new custom resource wait five seconds
	// for the others to learn of it.
	masters = 1

	// maxRequestBytes bounds what a client sends, so that it is told 413 and a limit. The API server's etcd client sends at
	// most 2 MiB; the difference is for what the server adds, above all the fields' managers. A Secret of the largest size,
	// 1 MiB in base64, fits.
	maxRequestBytes = 3 << 19
)

// chain builds the links from the last to the first.
type chain struct {
	options   options.CompletedOptions
	generic   *genericapiserver.Config
	informers informers.SharedInformerFactory
	services  *services
	kube      *controlplane.Config
	plugins   []admission.PluginInitializer
	// describe is how Kubernetes's groups are described in OpenAPI version 2; see openapi.V2.
	describe *common.Config
}

// newChain builds the chain and returns its first link.
func (c Config) newChain(ctx context.Context) (*aggregator.APIAggregator, error) {
	builtIn, err := newNative(natives.Groups(), c.ServerLogs)
	if err != nil {
		return nil, err
	}

	l, err := c.prepare(ctx, builtIn)
	if err != nil {
		return nil, err
	}

	nativeServer, err := builtIn.server(*l.generic, *l.options.Etcd, l.informers, l.end())
	if err != nil {
		return nil, fmt.Errorf("build native groups: %w", err)
	}

	crds, err := l.customResources(nativeServer)
	if err != nil {
		return nil, fmt.Errorf("build custom resources: %w", err)
	}

	kube, err := l.kubernetes(crds.GenericAPIServer)
	if err != nil {
		return nil, err
	}

	definitions := crds.Informers.Apiextensions().V1().CustomResourceDefinitions()

	first, err := l.aggregator(kube.GenericAPIServer, definitions, builtIn.served())
	if err != nil {
		return nil, fmt.Errorf("build aggregator: %w", err)
	}

	sources := []openapi.Source{
		{Services: kube.GenericAPIServer.Handler.GoRestfulContainer.RegisteredWebServices, Config: l.describe, ConfigV3: l.generic.OpenAPIV3Config},
		{Services: first.GenericAPIServer.Handler.GoRestfulContainer.RegisteredWebServices, Config: l.describe, ConfigV3: l.generic.OpenAPIV3Config},
		{Services: crds.GenericAPIServer.Handler.GoRestfulContainer.RegisteredWebServices, Config: l.describe, ConfigV3: l.generic.OpenAPIV3Config},
		{Services: nativeServer.Handler.GoRestfulContainer.RegisteredWebServices, Config: builtIn.describe(), ConfigV3: builtIn.describeV3()},
	}
	first.GenericAPIServer.Handler.NonGoRestfulMux.Handle(openapi.V2Path, &openapi.V2{Sources: sources, Definitions: definitions.Lister()})

	// The aggregator takes this for the documents of all links but its own, because they pass on what they do not serve. A
	// program that was built without git has no version to go by, so that of a start counts.
	documents := &openapi.V3{
		Sources: []openapi.Source{sources[0], sources[2], sources[3]}, Definitions: definitions.Lister(), Version: time.Now().String(),
	}
	nativeServer.Handler.NonGoRestfulMux.Handle(openapi.V3Path, documents)
	nativeServer.Handler.NonGoRestfulMux.HandlePrefix(openapi.V3Path+"/", documents)

	return first, nil
}

// prepare makes what all links share.
func (c Config) prepare(ctx context.Context, builtIn *native) (*chain, error) {
	completed, err := c.kubeOptions(ctx)
	if err != nil {
		return nil, err
	}

	schemes := []*runtime.Scheme{legacyscheme.Scheme, apiextensions.Scheme, aggregatorscheme.Scheme}

	generic, factory, storage, err := controlplane.BuildGenericConfig(completed, schemes, enabledVersions(), openapi.Kubernetes)
	if err != nil {
		return nil, fmt.Errorf("build generic configuration: %w", err)
	}

	generic.DisabledPostStartHooks.Insert(rbacrest.PostStartHookName) // see ensurePolicy
	generic.MaxRequestBodyBytes, generic.JSONPatchMaxCopyBytes = maxRequestBytes, maxRequestBytes

	listsAtOnce := max(1, goruntime.GOMAXPROCS(0)/2)
	generic.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		api = clusterctl.RefuseUpgrades(refusal.Handler(leniency.Handler(turns.Handler(api, builtIn.served(), listsAtOnce), maxRequestBytes)))

		return genericapiserver.DefaultBuildHandlerChain(api, c)
	}

	l := &chain{options: completed, generic: generic, informers: factory, services: newServices(c), describe: generic.OpenAPIConfig}
	l.describe.Info.Version = generic.EffectiveVersion.EmulationVersion().String()
	generic.OpenAPIConfig = nil            // see openapi.V2
	generic.SkipOpenAPIInstallation = true // or every link would describe itself, whether anybody asks or not; see openapi.V3

	// It runs after the control plane's own, so that this one is the outer wrapper.
	hooks := webhookinit.NewPluginInitializer(l.services.authenticate, l.services)

	l.kube, l.plugins, err = controlplane.CreateConfig(completed, generic, factory, storage, l.services, []admission.PluginInitializer{hooks})
	if err != nil {
		return nil, fmt.Errorf("build control plane configuration: %w", err)
	}

	return l, nil
}

// end is the last link: it says 404.
func (l *chain) end() genericapiserver.DelegationTarget {
	return genericapiserver.NewEmptyDelegateWithCustomHandler(
		notfoundhandler.New(l.generic.Serializer, filters.NoMuxAndDiscoveryIncompleteKey))
}

// customResources is the link of what CustomResourceDefinitions define.
func (l *chain) customResources(next genericapiserver.DelegationTarget) (*apiextensions.CustomResourceDefinitions, error) {
	usual := webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, l.generic.EgressSelector, l.generic.LoopbackClientConfig, l.generic.TracerProvider)
	wrapper := func(next webhook.AuthenticationInfoResolver) webhook.AuthenticationInfoResolver {
		return l.services.authenticate(usual(next))
	}

	config, err := controlplane.CreateAPIExtensionsConfig(*l.generic, l.informers, l.plugins, l.options, masters, l.services, wrapper)
	if err != nil {
		return nil, err
	}

	config.ExtraConfig.CRDRESTOptionsGetter = sharedStorage{config.ExtraConfig.CRDRESTOptionsGetter}

	server, err := config.Complete().New(next)
	if err == nil {
		// Without it the custom resources would miss from OpenAPI version 3 as well.
		server.GenericAPIServer.StaticOpenAPISpec = &spec.Swagger{}
	}

	return server, err
}

// kubernetes is the link of Kubernetes's generic groups.
func (l *chain) kubernetes(next genericapiserver.DelegationTarget) (*controlplane.Server, error) {
	completed := l.kube.Complete()

	server, err := completed.New("sidero-appliance", next)
	if err != nil {
		return nil, fmt.Errorf("build generic groups: %w", err)
	}

	client, err := kubernetes.NewForConfig(l.generic.LoopbackClientConfig)
	if err != nil {
		return nil, fmt.Errorf("make discovery client: %w", err)
	}

	providers, err := completed.GenericStorageProviders(client.Discovery())
	if err != nil {
		return nil, fmt.Errorf("list generic groups: %w", err)
	}

	if err := server.InstallAPIs(providers...); err != nil {
		return nil, fmt.Errorf("install generic groups: %w", err)
	}

	if err := server.GenericAPIServer.AddPostStartHook(policyHook, ensurePolicy); err != nil {
		return nil, fmt.Errorf("add hook: %w", err)
	}

	return server, nil
}

// aggregator is the first link: it knows which link serves a group, and answers for all groups in discovery and OpenAPI.
func (l *chain) aggregator(next *genericapiserver.GenericAPIServer, definitions crdinformers.CustomResourceDefinitionInformer,
	native []schema.GroupVersion,
) (*aggregator.APIAggregator, error) {
	config, err := controlplane.CreateAggregatorConfig(*l.generic, l.options, l.informers, l.services, l.kube.ProxyTransport, nil, l.plugins)
	if err != nil {
		return nil, err
	}

	// It would probe the services behind remote APIs. There are no services.
	config.ExtraConfig.DisableRemoteAvailableConditionController = true

	priorities := controlplane.DefaultGenericAPIServicePriorities()
	for i, version := range native { // later ones are older
		priorities[version] = controlplane.APIServicePriority{Group: nativePriority, Version: nativeVersionPriority - int32(i)}
	}

	const crdsServed = true

	return controlplane.CreateAggregatorServer(config.Complete(), next, foreignDefinitions{definitions, native}, crdsServed, priorities)
}
