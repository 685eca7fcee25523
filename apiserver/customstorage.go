package apiserver

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"github.com/sidero-appliance/sidero-appliance/apiserver/sharing"
)

// sharedStorage has the versions of custom resources that are in memory share what is equal in them. A hundred machines that Cluster
// API makes are thousands of changes within the time that watch caches remember: most of the memory of an appliance that makes
// clusters, were each an object of its own.
type sharedStorage struct{ generic.RESTOptionsGetter }

// GetRESTOptions implements generic.RESTOptionsGetter.
func (s sharedStorage) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := s.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err //nolint:wrapcheck // upstream's own error
	}

	decorate := options.Decorator
	// Here, because the handler of custom resources makes its own codec of that of the options.
	options.Decorator = func(config *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error),
		one, list func() runtime.Object, attributes storage.AttrFunc, trigger storage.IndexerFuncs, indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		shared := *config
		shared.Codec = sharing.Custom(config.Codec)

		return decorate(&shared, prefix, key, one, list, attributes, trigger, indexers)
	}

	return options, nil
}
