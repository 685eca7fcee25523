package sharing

import (
	"maps"
	"runtime"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kuberuntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// custom has copies of the last versions of custom resources, by their UIDs, for as long as these are in memory.
//
// They are copies because who has decoded an object writes its resource version into its metadata. What is below is never
// written to.
type custom struct {
	mu   sync.Mutex
	last map[types.UID]copied
	made uint64
}

func newCustom() *custom { return &custom{last: map[types.UID]copied{}} }

// copied is an object's own maps, of which it shares no other with the versions before and after.
type copied struct {
	object, metadata map[string]any

	number uint64
}

func (c *custom) share(object kuberuntime.Object) {
	now, ok := object.(*unstructured.Unstructured)
	if !ok {
		return
	}

	uid := now.GetUID()
	metadata, ok := now.Object["metadata"].(map[string]any)

	if uid == "" || !ok {
		return
	}

	c.mu.Lock()
	before, known := c.last[uid]
	c.mu.Unlock()

	if known {
		shareMap(before.metadata, metadata)
		delete(now.Object, "metadata")
		shareMap(before.object, now.Object)
		now.Object["metadata"] = metadata
	}

	kept := copied{object: maps.Clone(now.Object), metadata: maps.Clone(metadata)}
	delete(kept.object, "metadata")

	c.mu.Lock()
	defer c.mu.Unlock()

	c.made++
	kept.number = c.made
	c.last[uid] = kept

	runtime.AddCleanup(now, func(number uint64) { c.forget(uid, number) }, kept.number)
}

// forget drops the copies of a version, if there is none after it.
func (c *custom) forget(uid types.UID, number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.last[uid].number == number {
		delete(c.last, uid)
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
