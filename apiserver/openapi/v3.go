package openapi

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/emicklei/go-restful/v3"
	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdlisters "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	crdbuilder "k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	"k8s.io/klog/v2"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/spec3"
)

// V3Path is where the index of the documents is served. Each document is below it.
const V3Path = "/openapi/v3"

// V3 serves the OpenAPI documents of version 3, one for each group-version, and their index. Each is made when somebody
// asks for it, and not kept for long. Kubernetes's own way is to make all of them at the start, and to keep them, both in
// parts and as text.
//
// The index has a hash for each document, by which clients such as kubectl keep it. Here it is one of what the document
// would be made of.
type V3 struct {
	// Sources are the servers of built-in groups.
	Sources []Source
	// Definitions are the CustomResourceDefinitions.
	Definitions crdlisters.CustomResourceDefinitionLister
	// Version is another whenever the program may be: what is built in changes with it only.
	Version string

	mu   sync.Mutex
	kept map[string]*document
}

// document serves what was made of a subject.
type document struct {
	http.HandlerFunc

	hash  string
	drops *time.Timer
}

// subject is a group-version. Its hash changes whenever its document may.
type subject struct {
	hash  string
	build func() (*spec3.OpenAPI, error)
}

// ServeHTTP implements http.Handler.
func (v *V3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	subjects, err := v.subjects()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)

		return
	}

	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, V3Path), "/")
	if name == "" {
		serveIndex(w, subjects)

		return
	}

	subject, ok := subjects[name]
	if !ok {
		http.NotFound(w, r)

		return
	}

	hash := r.URL.Query().Get("hash")
	if hash != "" && hash != subject.hash {
		http.Redirect(w, r, address(name, subject.hash), http.StatusMovedPermanently)

		return
	}

	document, err := v.document(name, subject)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)

		return
	}

	if hash != "" { // under it there will never be anything else
		w = immutable{w}
	}

	r = r.Clone(r.Context())
	r.URL.RawQuery = "" // the library's handler has hashes of its own

	document.ServeHTTP(w, r)
}

// immutable lets a client keep an answer, if it is one.
type immutable struct{ http.ResponseWriter }

func (i immutable) WriteHeader(code int) {
	if code == http.StatusOK || code == http.StatusNotModified {
		i.Header().Set("Cache-Control", "public, immutable")
		i.Header().Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
	}

	i.ResponseWriter.WriteHeader(code)
}

func serveIndex(w http.ResponseWriter, subjects map[string]subject) {
	index := handler3.OpenAPIV3Discovery{Paths: map[string]handler3.OpenAPIV3DiscoveryGroupVersion{}}
	for name, subject := range subjects {
		index.Paths[name] = handler3.OpenAPIV3DiscoveryGroupVersion{ServerRelativeURL: address(name, subject.hash)}
	}

	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(index) // the client has gone
}

func address(name, hash string) string {
	u := url.URL{Path: path.Join(V3Path, name), RawQuery: url.Values{"hash": {hash}}.Encode()}

	return u.String()
}

// document is a subject's as it is now, from memory if nothing has changed.
func (v *V3) document(name string, subject subject) (http.Handler, error) {
	v.mu.Lock()
	defer v.mu.Unlock()

	if d := v.kept[name]; d != nil {
		d.drops.Reset(keptFor)

		if d.hash == subject.hash {
			return d, nil
		}
	}

	described, err := subject.build()
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", name, err)
	}

	service := handler3.NewOpenAPIService()
	service.UpdateGroupVersion(name, described)

	if v.kept == nil {
		v.kept = map[string]*document{}
	}

	d := &document{HandlerFunc: service.HandleGroupVersion, hash: subject.hash}
	d.drops = time.AfterFunc(keptFor, func() { v.drop(name, d) })
	v.kept[name] = d

	return d, nil
}

func (v *V3) drop(name string, d *document) {
	v.mu.Lock()
	defer v.mu.Unlock()

	if v.kept[name] == d {
		delete(v.kept, name)
	}
}

// subjects are all that can be described, by the names of their documents, as in apis/apps/v1.
func (v *V3) subjects() (map[string]subject, error) {
	definitions, err := listed(v.Definitions)
	if err != nil {
		return nil, err
	}

	of := map[string][]*apiextensionsv1.CustomResourceDefinition{}

	for _, d := range definitions {
		for _, version := range d.Spec.Versions {
			if version.Served && apihelpers.IsCRDConditionTrue(d, apiextensionsv1.Established) {
				name := path.Join("apis", d.Spec.Group, version.Name)
				of[name] = append(of[name], d)
			}
		}
	}

	subjects := map[string]subject{}
	for name, definitions := range of {
		subjects[name] = subject{digest(v.Version + summary(definitions)), func() (*spec3.OpenAPI, error) { return custom(path.Base(name), definitions) }}
	}

	for _, source := range v.Sources {
		for _, service := range source.Services() {
			name := strings.TrimPrefix(service.RootPath(), "/")
			if strings.Contains(name, "/") { // "apis" and "version" are the aggregator's, which has them itself
				subjects[name] = subject{digest(v.Version + name), func() (*spec3.OpenAPI, error) { return source.describe(service) }}
			}
		}
	}

	return subjects, nil
}

func digest(text string) string { return fmt.Sprintf("%X", sha256.Sum256([]byte(text))) }

func (s Source) describe(service *restful.WebService) (*spec3.OpenAPI, error) {
	return builder3.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices([]*restful.WebService{service}), s.ConfigV3) //nolint:wrapcheck // wrapped by document
}

// custom describes a version of custom resources.
func custom(version string, definitions []*apiextensionsv1.CustomResourceDefinition) (*spec3.OpenAPI, error) {
	parts := make([]*spec3.OpenAPI, 0, len(definitions))

	for _, d := range definitions {
		part, err := crdbuilder.BuildOpenAPIV3(d, version, crdbuilder.Options{V2: false})
		if err != nil { // one kind less is better than none
			klog.ErrorS(err, "Cannot describe custom resource", "definition", d.Name, "version", version)

			continue
		}

		parts = append(parts, part)
	}

	return crdbuilder.MergeSpecsV3(parts...) //nolint:wrapcheck // wrapped by document
}
