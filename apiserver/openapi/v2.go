package openapi

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emicklei/go-restful/v3"
	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdlisters "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	crdbuilder "k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
	"k8s.io/kube-openapi/pkg/aggregator"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// V2Path is where the document is served.
const V2Path = "/openapi/v2"

// keptFor is how long the document is kept after it was asked for last.
const keptFor = 5 * time.Minute

// V2 serves the OpenAPI document of version 2: of the built-in groups, and of what CustomResourceDefinitions define. What
// is new uses V3, which has a document for each group, so this one is made when somebody asks for it, and not kept
// for long. Kubernetes's own way is to make it at the start, in parts, and to keep the parts and the whole: that took a
// tenth of the memory and of the time of a start.
type V2 struct {
	// Sources are the servers of built-in groups.
	Sources []Source
	// Definitions are the CustomResourceDefinitions.
	Definitions crdlisters.CustomResourceDefinitionLister

	mu       sync.Mutex
	document http.Handler
	// of is what the document was made of.
	of    string
	drops *time.Timer
}

// Source is a server of built-in groups.
type Source struct {
	Services func() []*restful.WebService
	// Config and ConfigV3 are how they are described in version 2 and 3.
	Config   *common.Config
	ConfigV3 *common.OpenAPIV3Config
}

// ServeHTTP implements http.Handler.
func (v *V2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	document, err := v.current()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)

		return
	}

	document.ServeHTTP(w, r)
}

// current is the document as it is now, from memory if nothing has changed.
func (v *V2) current() (http.Handler, error) {
	definitions, err := listed(v.Definitions)
	if err != nil {
		return nil, err
	}

	of := summary(definitions)

	v.mu.Lock()
	defer v.mu.Unlock()

	if v.drops != nil {
		v.drops.Stop()
	}

	v.drops = time.AfterFunc(keptFor, v.drop)

	if v.document != nil && v.of == of {
		return v.document, nil
	}

	swagger, err := v.build(definitions)
	if err != nil {
		return nil, err
	}

	v.document, v.of = served(swagger), of

	return v.document, nil
}

func (v *V2) drop() {
	v.mu.Lock()
	defer v.mu.Unlock()

	v.document = nil
}

// listed are all definitions by their names.
func listed(lister crdlisters.CustomResourceDefinitionLister) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	definitions, err := lister.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list definitions: %w", err)
	}

	slices.SortFunc(definitions, func(a, b *apiextensionsv1.CustomResourceDefinition) int { return cmp.Compare(a.Name, b.Name) })

	return definitions, nil
}

// summary changes whenever a definition does.
func summary(definitions []*apiextensionsv1.CustomResourceDefinition) string {
	var text strings.Builder
	for _, d := range definitions {
		fmt.Fprintf(&text, "%s %s %d %t\n", d.Name, d.UID, d.Generation, apihelpers.IsCRDConditionTrue(d, apiextensionsv1.Established))
	}

	return text.String()
}

func (v *V2) build(definitions []*apiextensionsv1.CustomResourceDefinition) (*spec.Swagger, error) {
	whole := &spec.Swagger{}

	for i, source := range v.Sources {
		part, err := builder.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices(source.Services()), source.Config)
		if err != nil {
			return nil, fmt.Errorf("describe built-in groups: %w", err)
		}

		part.Definitions = handler.PruneDefaults(part.Definitions)

		if i == 0 {
			whole = part

			continue
		}

		if err := aggregator.MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters(whole, part); err != nil {
			return nil, fmt.Errorf("merge descriptions of built-in groups: %w", err)
		}
	}

	var custom []*spec.Swagger

	for _, d := range definitions {
		if !apihelpers.IsCRDConditionTrue(d, apiextensionsv1.Established) {
			continue
		}

		for _, version := range d.Spec.Versions {
			if !version.Served {
				continue
			}

			part, err := crdbuilder.BuildOpenAPIV2(d, version.Name, crdbuilder.Options{V2: true})
			if err != nil { // one kind less is better than none
				klog.ErrorS(err, "Cannot describe custom resource", "definition", d.Name, "version", version.Name)

				continue
			}

			custom = append(custom, part)
		}
	}

	whole, err := crdbuilder.MergeSpecs(whole, custom...)
	if err != nil {
		return nil, fmt.Errorf("merge descriptions of custom resources: %w", err)
	}

	return whole, nil
}

// served is the handler that serves a document in all encodings that clients ask for.
func served(swagger *spec.Swagger) http.Handler {
	var caught catcher

	handler.NewOpenAPIService(swagger).RegisterOpenAPIVersionedService(V2Path, &caught)

	return caught.Handler
}

// catcher takes the handler that is registered with it.
type catcher struct{ http.Handler }

func (c *catcher) Handle(_ string, h http.Handler) { c.Handler = h }
