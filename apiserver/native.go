package apiserver

import (
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/client-go/informers"
	"k8s.io/kube-openapi/pkg/common"

	"github.com/sidero-appliance/sidero-appliance/apiserver/openapi"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
	"github.com/sidero-appliance/sidero-appliance/apiserver/sharing"
)

// nativePrefix is where native objects lie in etcd. It must never change, or every object is hidden. It is not the
// /registry of all others because the finalizer of a CustomResourceDefinition sweeps /registry/<group>/<resource>, and a
// definition may bear the name of a native kind.
const nativePrefix = "/sidero"

// native is what the server of the native groups is made of.
type native struct {
	groups []registry.Group
	logs   registry.Logs
	scheme *runtime.Scheme
	codecs serializer.CodecFactory
	// external knows no internal versions: OpenAPI must not publish them.
	external *runtime.Scheme
}

func newNative(groups []registry.Group, logs registry.Logs) (*native, error) {
	n := &native{groups: groups, logs: logs, scheme: runtime.NewScheme(), external: runtime.NewScheme()}

	for _, scheme := range []*runtime.Scheme{n.scheme, n.external} {
		metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})

		for _, group := range groups {
			if err := group.AddToScheme(scheme); err != nil {
				return nil, fmt.Errorf("register %s: %w", group.Hub.Group, err)
			}
		}
	}

	for _, group := range groups {
		group.AddHubToScheme(n.scheme)
	}

	n.codecs = serializer.NewCodecFactory(n.scheme)

	return n, nil
}

// hubs are the versions that are stored.
func (n *native) hubs() []schema.GroupVersion {
	hubs := make([]schema.GroupVersion, 0, len(n.groups))
	for _, group := range n.groups {
		hubs = append(hubs, group.Hub.GroupVersion)
	}

	return hubs
}

// served are all versions, those of each group with the stored one first.
func (n *native) served() []schema.GroupVersion {
	var served []schema.GroupVersion
	for _, group := range n.groups {
		served = append(served, group.Served()...)
	}

	return served
}

// server makes the link of the chain that serves the native groups. The configuration and the etcd options are copies of
// the chain's.
func (n *native) server(config genericapiserver.Config, etcd genericoptions.EtcdOptions,
	factory informers.SharedInformerFactory, next genericapiserver.DelegationTarget,
) (*genericapiserver.GenericAPIServer, error) {
	config.PostStartHooks = map[string]genericapiserver.PostStartHookConfigEntry{}
	config.RESTOptionsGetter = nil
	config.Serializer = textual{n.codecs}

	hubs := n.hubs()
	etcd.StorageConfig.Prefix = nativePrefix
	etcd.StorageConfig.Codec = sharing.Codec(n.codecs.LegacyCodec(hubs...))
	etcd.StorageConfig.EncodeVersioner = schema.GroupVersions(hubs)
	etcd.DefaultStorageMediaType = runtime.ContentTypeJSON // the types have no protobuf
	etcd.SkipHealthEndpoints = true                        // the first link of the chain has them

	if err := etcd.ApplyTo(&config); err != nil {
		return nil, fmt.Errorf("apply etcd options: %w", err)
	}

	config.MergedResourceConfig = serverstorage.NewResourceConfig()
	config.MergedResourceConfig.EnableVersions(n.served()...)

	config.OpenAPIConfig = nil // see openapi.V2
	config.OpenAPIV3Config = n.describeV3()

	server, err := config.Complete(factory).New("sidero-native", next)
	if err != nil {
		return nil, fmt.Errorf("make server: %w", err)
	}

	for _, group := range n.groups {
		if err := n.install(server, group, config); err != nil {
			return nil, fmt.Errorf("install %s: %w", group.Hub.Group, err)
		}
	}

	return server, nil
}

// title is what the native groups are called in OpenAPI.
const title = "Sidero"

// describe is how the native groups are described in OpenAPI version 2.
func (n *native) describe() *common.Config {
	config := genericapiserver.DefaultOpenAPIConfig(openapi.Native, openapinamer.NewDefinitionNamer(n.external))
	config.Info.Title = title

	return config
}

// describeV3 is how they are described in version 3.
func (n *native) describeV3() *common.OpenAPIV3Config {
	config := genericapiserver.DefaultOpenAPIV3Config(openapi.Native, openapinamer.NewDefinitionNamer(n.external))
	config.Info.Title, config.Info.Version = title, "unversioned" // which OpenAPI requires; the groups have versions

	return config
}

func (n *native) install(server *genericapiserver.GenericAPIServer, group registry.Group, config genericapiserver.Config) error {
	info := genericapiserver.NewDefaultAPIGroupInfo(group.Hub.Group, n.scheme, metav1.ParameterCodec, n.codecs)
	info.NegotiatedSerializer = textual{n.codecs}

	for name, kind := range group.Kinds {
		stores, err := kind.Storage(registry.Options{Getter: config.RESTOptionsGetter, Scheme: n.scheme, Hub: group.Hub.GroupVersion, Logs: n.logs})
		if err != nil {
			return fmt.Errorf("store %s: %w", name, err)
		}

		// All versions share the stores: what differs is how their objects are encoded.
		for _, version := range kind.Versions(group.Hub.GroupVersion) {
			if info.VersionedResourcesStorageMap[version.Version] == nil {
				info.VersionedResourcesStorageMap[version.Version] = map[string]rest.Storage{}
			}

			maps.Copy(info.VersionedResourcesStorageMap[version.Version], stores)
		}
	}

	return server.InstallAPIGroup(&info)
}
