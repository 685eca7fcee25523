package sharing

import (
	"maps"
	"runtime"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kuberuntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Custom is a codec of custom resources, whose objects share what is equal with the version of them that was decoded before, if
// that is still in memory. Which are shared and which are not is as it is with Codec.
func Custom(codec kuberuntime.Codec) kuberuntime.Codec {
	return custom{codec, &shallow{last: map[types.UID]copied{}}}
}

type custom struct {
	kuberuntime.Codec

	shallow *shallow
}

// Decode implements runtime.Decoder.
func (c custom) Decode(data []byte, defaults *schema.GroupVersionKind, into kuberuntime.Object) (kuberuntime.Object, *schema.GroupVersionKind, error) {
	object, kind, err := c.Codec.Decode(data, defaults, into)
	if err != nil || into != nil {
		return object, kind, err //nolint:wrapcheck // a codec's own error
	}

	if now, ok := object.(*unstructured.Unstructured); ok {
		c.shallow.share(now)
	}

	return object, kind, nil
}

// shallow has copies of the last versions of objects, by the objects' UIDs, for as long as these are in memory.
//
// They are copies because who has decoded an object writes its resource version into its metadata. What is below is never
// written to.
type shallow struct {
	mu   sync.Mutex
	last map[types.UID]copied
	made uint64
}

// copied is an object's own maps, of which it shares no other with the versions before and after.
type copied struct {
	object, metadata map[string]any

	number uint64
}

func (s *shallow) share(now *unstructured.Unstructured) {
	uid := now.GetUID()
	metadata, ok := now.Object["metadata"].(map[string]any)

	if uid == "" || !ok {
		return
	}

	s.mu.Lock()
	before, known := s.last[uid]
	s.mu.Unlock()

	if known {
		shareMap(before.metadata, metadata)
		delete(now.Object, "metadata")
		shareMap(before.object, now.Object)
		now.Object["metadata"] = metadata
	}

	kept := copied{object: maps.Clone(now.Object), metadata: maps.Clone(metadata)}
	delete(kept.object, "metadata")

	s.mu.Lock()
	defer s.mu.Unlock()

	s.made++
	kept.number = s.made
	s.last[uid] = kept

	runtime.AddCleanup(now, func(number uint64) { s.forget(uid, number) }, kept.number)
}

// forget drops the copies of a version, if there is none after it.
func (s *shallow) forget(uid types.UID, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.last[uid].number == number {
		delete(s.last, uid)
	}
}

// shareMap has the values of a map be those of the map before, where they say the same, and tells whether all do.
func shareMap(before, now map[string]any) (all bool) {
	all = len(before) == len(now) && (before == nil) == (now == nil)

	for key, value := range now {
		was, known := before[key]
		if !known {
			all = false

			continue
		}

		shared, same := shareValue(was, value)
		now[key] = shared
		all = all && same
	}

	return all
}

func shareSlice(before, now []any) (all bool) {
	all = len(before) == len(now) && (before == nil) == (now == nil)

	for i := range min(len(before), len(now)) {
		shared, same := shareValue(before[i], now[i])
		now[i] = shared
		all = all && same
	}

	return all
}

// shareValue returns the value before, if the value now says the same. Values are what JSON has.
func shareValue(before, now any) (value any, same bool) {
	switch now := now.(type) {
	case map[string]any:
		if before, ok := before.(map[string]any); ok && shareMap(before, now) {
			return before, true
		}
	case []any:
		if before, ok := before.([]any); ok && shareSlice(before, now) {
			return before, true
		}
	default:
		if before == now {
			return before, true
		}
	}

	return now, false
}
