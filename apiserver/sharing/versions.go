package sharing

import (
	"maps"
	"sync"
	"weak"
)

// fewVersions are not worth looking for those that are gone.
const fewVersions = 1024

// versions are the last versions of things that were decoded, by what they are known by. They hold none of them in memory.
type versions[K comparable, T any] struct {
	mu   sync.Mutex
	last map[K]weak.Pointer[T]
	// most is how many there may be until those are dropped that are not in memory any more.
	most int
}

func newVersions[K comparable, T any]() *versions[K, T] {
	return &versions[K, T]{last: map[K]weak.Pointer[T]{}, most: fewVersions}
}

// before returns the last version, nil if it is not in memory.
func (v *versions[K, T]) before(key K) *T {
	v.mu.Lock()
	defer v.mu.Unlock()

	return v.last[key].Value()
}

// follow makes a version the last. Nobody may write to it from now on what others read.
func (v *versions[K, T]) follow(key K, now *T) {
	v.mu.Lock()
	defer v.mu.Unlock()

	v.put(key, now)
}

// first returns the version that is in memory already, and else this one.
func (v *versions[K, T]) first(key K, now *T) *T {
	v.mu.Lock()
	defer v.mu.Unlock()

	if before := v.last[key].Value(); before != nil {
		return before
	}

	v.put(key, now)

	return now
}

func (v *versions[K, T]) put(key K, now *T) {
	v.last[key] = weak.Make(now)

	if len(v.last) > v.most {
		maps.DeleteFunc(v.last, func(_ K, p weak.Pointer[T]) bool { return p.Value() == nil })
		v.most = max(fewVersions, 2*len(v.last))
	}
}
