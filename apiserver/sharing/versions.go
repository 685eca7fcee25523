package sharing

import (
	"maps"
	"sync"
	"weak"

	"k8s.io/apimachinery/pkg/types"
)

// fewVersions are not worth looking for those that are gone.
const fewVersions = 1024

// versions are the last versions of objects that were decoded, by the objects' UIDs. They hold none of them in memory.
type versions[T any] struct {
	mu   sync.Mutex
	last map[types.UID]weak.Pointer[T]
	// most is how many there may be until those are dropped that are not in memory any more.
	most int
}

func newVersions[T any]() *versions[T] {
	return &versions[T]{last: map[types.UID]weak.Pointer[T]{}, most: fewVersions}
}

// follow returns the version before this one, nil if it is not in memory.
func (v *versions[T]) follow(uid types.UID, now *T) *T {
	v.mu.Lock()
	defer v.mu.Unlock()

	before := v.last[uid].Value()
	v.last[uid] = weak.Make(now)

	if len(v.last) > v.most {
		maps.DeleteFunc(v.last, func(_ types.UID, p weak.Pointer[T]) bool { return p.Value() == nil })
		v.most = max(fewVersions, 2*len(v.last))
	}

	return before
}
