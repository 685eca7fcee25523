package workload

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// maxBody bounds what is read of a request, in bytes.
const maxBody = 3 << 20

// handler serves a store.
type handler struct {
	store *Store
	// version such as v1.36.2.
	version string
	paths   request.RequestInfoFactory
}

// Handler serves a store as a Kubernetes API of a version, such as v1.36.2.
func Handler(store *Store, version string) http.Handler {
	return &handler{store: store, version: version, paths: request.RequestInfoFactory{
		APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api"),
	}}
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked, err := h.paths.NewRequestInfo(r)
	if err != nil {
		refuse(w, apierrors.NewBadRequest(err.Error()))

		return
	}

	if !asked.IsResourceRequest {
		h.discover(w, r)

		return
	}

	of, known := find(asked.APIGroup, asked.Resource)
	if !known {
		refuse(w, apierrors.NewNotFound(schema.GroupResource{Group: asked.APIGroup, Resource: asked.Resource}, asked.Name))

		return
	}

	h.serve(w, r, call{RequestInfo: asked, of: of})
}

// discover tells what there is.
func (h *handler) discover(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == "/version":
		answer(w, http.StatusOK, version.Info{Major: "1", Minor: "36", GitVersion: h.version, Platform: "stand-in"})
	case path == "/", path == "/healthz", path == "/livez", path == "/readyz":
		answer(w, http.StatusOK, metav1.RootPaths{Paths: []string{"/api", "/apis", "/version"}})
	case path == "/api":
		answer(w, http.StatusOK, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case path == "/apis":
		answer(w, http.StatusOK, groups())
	default:
		if list := resourcesOf(groupVersionOf(path)); len(list.APIResources) > 0 {
			answer(w, http.StatusOK, list)

			return
		}

		refuse(w, apierrors.NewNotFound(schema.GroupResource{}, path))
	}
}

// groupVersionOf is that of /api/VERSION or /apis/GROUP/VERSION, empty for any other path.
func groupVersionOf(path string) (group, version string) {
	if version, ok := strings.CutPrefix(path, "/api/"); ok {
		return "", version
	}

	group, version, _ = strings.Cut(strings.TrimPrefix(path, "/apis/"), "/")

	return group, version
}

// call is one about a resource.
type call struct {
	*request.RequestInfo

	of resource
}

func (c call) key() key {
	return key{schema.GroupResource{Group: c.of.Group, Resource: c.of.name}, c.Namespace, c.Name}
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request, c call) {
	var (
		object *unstructured.Unstructured
		err    error
		code   = http.StatusOK
	)

	switch c.Verb {
	case "get":
		object, err = h.store.get(c.key())
	case "list":
		h.list(w, r, c)

		return
	case "watch":
		h.watch(w, r, c)

		return
	case "create":
		code = http.StatusCreated
		object, err = h.create(r, c)
	case "update":
		object, err = h.update(r, c)
	case "patch":
		object, err = h.patch(r, c)
	case "delete":
		object, err = h.store.remove(c.key())
	default:
		err = apierrors.NewMethodNotSupported(c.key().resource, c.Verb)
	}

	if err != nil {
		refuse(w, err)

		return
	}

	answer(w, code, object)
}

// read decodes the object of a request. Clients of built-in kinds are told by a 415 to write JSON instead of protobuf.
func read(r *http.Request) (*unstructured.Unstructured, error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return nil, apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, r.Method, schema.GroupResource{}, "",
			"the stand-in reads JSON only", 0, false)
	}

	text, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}

	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(text); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}

	return object, nil
}

func (h *handler) create(r *http.Request, c call) (*unstructured.Unstructured, error) {
	object, err := read(r)
	if err != nil {
		return nil, err
	}

	c.Name = object.GetName()

	return h.store.create(c.key(), object)
}

func (h *handler) update(r *http.Request, c call) (*unstructured.Unstructured, error) {
	object, err := read(r)
	if err != nil {
		return nil, err
	}

	return h.store.change(c.key(), func(*unstructured.Unstructured) (*unstructured.Unstructured, error) { return object, nil })
}

func (h *handler) patch(r *http.Request, c call) (*unstructured.Unstructured, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}

	text, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}

	return h.store.change(c.key(), func(was *unstructured.Unstructured) (*unstructured.Unstructured, error) {
		return patched(was, types.PatchType(kind), text)
	})
}

// wanted tells what a list or a watch is about.
func (c call) wanted(r *http.Request) (func(key, *unstructured.Unstructured) bool, error) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}

	of := c.key()

	return func(k key, object *unstructured.Unstructured) bool {
		return k.resource == of.resource && (of.namespace == "" || k.namespace == of.namespace) &&
			(of.name == "" || k.name == of.name) && selector.Matches(labels.Set(object.GetLabels()))
	}, nil
}

func (h *handler) list(w http.ResponseWriter, r *http.Request, c call) {
	wanted, err := c.wanted(r)
	if err != nil {
		refuse(w, err)

		return
	}

	items, at := h.store.list(wanted)
	answer(w, http.StatusOK, map[string]any{
		"kind": c.of.kind + "List", "apiVersion": c.of.GroupVersion.String(),
		"metadata": map[string]any{"resourceVersion": strconv.FormatInt(at, 10)}, "items": items,
	})
}

// watch streams changes. A list as the beginning of a watch is refused: clients list then.
func (h *handler) watch(w http.ResponseWriter, r *http.Request, c call) {
	wanted, err := c.wanted(r)
	if err == nil && r.URL.Query().Has("sendInitialEvents") {
		err = apierrors.NewInvalid(schema.GroupKind{Group: "meta.k8s.io", Kind: "ListOptions"}, "", nil)
	}

	if err != nil {
		refuse(w, err)

		return
	}

	at, err := strconv.ParseInt(r.URL.Query().Get("resourceVersion"), 10, 64)
	if err != nil || at == 0 {
		_, at = h.store.list(wanted)
	}

	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)

	flush := http.NewResponseController(w).Flush
	into := json.NewEncoder(w)

	for err := flush(); err == nil; err = flush() {
		changes, err := h.store.after(r.Context(), at)
		if err != nil {
			if expired := (*apierrors.StatusError)(nil); errors.As(err, &expired) {
				_ = into.Encode(map[string]any{"type": "ERROR", "object": told(expired)})
			}

			return
		}

		for _, change := range changes {
			at = change.version
			if wanted(change.of, change.Object) {
				if err := into.Encode(change); err != nil {
					return
				}
			}
		}
	}
}

func answer(w http.ResponseWriter, code int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(what) // the caller is gone if it fails
}

func refuse(w http.ResponseWriter, err error) {
	status := apierrors.NewInternalError(err)
	_ = errors.As(err, &status)
	answer(w, int(status.ErrStatus.Code), told(status))
}

// told is an error as an object.
func told(err *apierrors.StatusError) metav1.Status {
	status := err.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}

	return status
}
