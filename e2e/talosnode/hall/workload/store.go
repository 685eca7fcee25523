package workload

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	jsonpatch "github.com/evanphx/json-patch"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// key of an object.
type key struct {
	resource        schema.GroupResource
	namespace, name string
}

// event is a change, as a watch tells it.
type event struct {
	of      key
	version int64
	Type    string                     `json:"type"`
	Object  *unstructured.Unstructured `json:"object"`
}

// Store are the objects of one cluster.
type Store struct {
	mu      sync.Mutex
	version int64
	objects map[key]*unstructured.Unstructured
	changes []event
	changed chan struct{} // closed at the next change
}

// NewStore makes an empty one.
func NewStore() *Store {
	return &Store{version: 1, objects: map[key]*unstructured.Unstructured{}, changed: make(chan struct{})}
}

// keptChanges are how many a watch may lag behind.
const keptChanges = 10000

// write notes a change. The mutex is held.
func (s *Store) write(k key, kind string, object *unstructured.Unstructured) *unstructured.Unstructured {
	s.version++
	object.SetResourceVersion(strconv.FormatInt(s.version, 10))

	if kind == "DELETED" {
		delete(s.objects, k)
	} else {
		s.objects[k] = object
	}

	s.changes = append(s.changes, event{of: k, version: s.version, Type: kind, Object: object})
	if len(s.changes) > keptChanges {
		s.changes = slices.Clone(s.changes[len(s.changes)-keptChanges/2:])
	}

	close(s.changed)
	s.changed = make(chan struct{})

	return object
}

func (s *Store) create(k key, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if _, there := s.objects[k]; there {
		return nil, apierrors.NewAlreadyExists(k.resource, k.name)
	}

	object = object.DeepCopy()
	object.SetNamespace(k.namespace)
	object.SetUID(types.UID(uuid.NewString()))
	object.SetCreationTimestamp(now())

	return s.write(k, "ADDED", object), nil
}

func (s *Store) get(k key) (*unstructured.Unstructured, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	object, there := s.objects[k]
	if !there {
		return nil, apierrors.NewNotFound(k.resource, k.name)
	}

	return object.DeepCopy(), nil
}

// change replaces an object by what another is made of it. One that comes with a resource version must be of that.
func (s *Store) change(k key, how func(*unstructured.Unstructured) (*unstructured.Unstructured, error)) (*unstructured.Unstructured, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	was, there := s.objects[k]
	if !there {
		return nil, apierrors.NewNotFound(k.resource, k.name)
	}

	is, err := how(was.DeepCopy())
	if err != nil {
		return nil, err
	}

	if version := is.GetResourceVersion(); version != "" && version != was.GetResourceVersion() {
		return nil, apierrors.NewConflict(k.resource, k.name, fmt.Errorf("it is of version %s", was.GetResourceVersion()))
	}

	is.SetUID(was.GetUID())
	is.SetCreationTimestamp(was.GetCreationTimestamp())

	if len(was.GetFinalizers()) > 0 && len(is.GetFinalizers()) == 0 && is.GetDeletionTimestamp() != nil {
		return s.write(k, "DELETED", is), nil
	}

	return s.write(k, "MODIFIED", is), nil
}

func (s *Store) remove(k key) (*unstructured.Unstructured, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	object, there := s.objects[k]
	if !there {
		return nil, apierrors.NewNotFound(k.resource, k.name)
	}

	object = object.DeepCopy()
	if len(object.GetFinalizers()) == 0 {
		return s.write(k, "DELETED", object), nil
	}

	at := now()
	object.SetDeletionTimestamp(&at)

	return s.write(k, "MODIFIED", object), nil
}

// list are the objects that are wanted, in the order of their names, and the version of the list.
func (s *Store) list(wanted func(key, *unstructured.Unstructured) bool) ([]*unstructured.Unstructured, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()

	names := slices.SortedFunc(maps.Keys(s.objects), compare)
	all := []*unstructured.Unstructured{}

	for _, k := range names {
		if wanted(k, s.objects[k]) {
			all = append(all, s.objects[k])
		}
	}

	return all, s.version
}

// after waits for changes after a version. An expired version is an error.
func (s *Store) after(ctx context.Context, version int64) ([]event, error) {
	for {
		s.mu.Lock()
		at, _ := slices.BinarySearchFunc(s.changes, version+1, func(e event, v int64) int { return int(e.version - v) })
		found, changed := slices.Clone(s.changes[at:]), s.changed
		expired := version < s.version && (at == len(s.changes) || s.changes[at].version != version+1)
		s.mu.Unlock()

		if expired {
			return nil, apierrors.NewResourceExpired("too old resource version")
		}

		if len(found) > 0 {
			return found, nil
		}

		select {
		case <-ctx.Done():
			return nil, ctx.Err() //nolint:wrapcheck // the caller's own
		case <-changed:
		}
	}
}

// patched applies a patch of any of Kubernetes's kinds but apply.
func patched(object *unstructured.Unstructured, kind types.PatchType, patch []byte) (*unstructured.Unstructured, error) {
	was, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("write object: %w", err)
	}

	var is []byte

	switch {
	case kind == types.StrategicMergePatchType && object.GetKind() == "Node":
		is, err = strategicpatch.StrategicMergePatch(was, patch, corev1.Node{})
	case kind == types.MergePatchType, kind == types.StrategicMergePatchType:
		is, err = jsonpatch.MergePatch(was, patch)
	case kind == types.JSONPatchType:
		var steps jsonpatch.Patch
		if steps, err = jsonpatch.DecodePatch(patch); err == nil {
			is, err = steps.Apply(was)
		}
	default:
		return nil, apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "patch", schema.GroupResource{}, object.GetName(),
			"the stand-in knows no patches of type "+string(kind), 0, false)
	}

	if err != nil {
		return nil, apierrors.NewBadRequest("apply patch: " + err.Error())
	}

	made := &unstructured.Unstructured{}
	if err := made.UnmarshalJSON(is); err != nil {
		return nil, apierrors.NewBadRequest("apply patch: " + err.Error())
	}

	return made, nil
}

func compare(a, b key) int {
	return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name))
}

// now is the time as objects have it.
func now() metav1.Time { return metav1.Now().Rfc3339Copy() }
