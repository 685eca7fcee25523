package tftp

import (
	"slices"
	"testing"
)

func taken(w *window) (blocks []int64) {
	for {
		block, ok := w.take()
		if !ok {
			return blocks
		}
		blocks = append(blocks, block)
	}
}

func TestWindow(t *testing.T) {
	type step struct {
		acknowledge int // a block number; rewind for a silence
		sends       []int64
	}
	const rewind = -1
	for _, test := range []struct {
		name         string
		size, blocks int64
		first        []int64
		steps        []step
		done         bool
	}{
		{"lock step", 1, 3, []int64{1}, []step{{1, []int64{2}}, {2, []int64{3}}, {3, nil}}, true},
		{"lock step, repeated acknowledgement", 1, 3, []int64{1}, []step{{1, []int64{2}}, {1, nil}, {1, nil}, {2, []int64{3}}}, false},
		{"lock step, lost packet", 1, 3, []int64{1}, []step{{rewind, []int64{1}}, {1, []int64{2}}}, false},
		{"lock step, acknowledgement of the future", 1, 3, []int64{1}, []step{{2, nil}, {77, nil}, {1, []int64{2}}}, false},
		{"window of 4", 4, 6, []int64{1, 2, 3, 4}, []step{{4, []int64{5, 6}}, {6, nil}}, true},
		{"window of 4, third lost", 4, 6, []int64{1, 2, 3, 4}, []step{{2, []int64{3, 4, 5, 6}}, {6, nil}}, true},
		{"window of 4, first lost", 4, 6, []int64{1, 2, 3, 4}, []step{{0, []int64{1, 2, 3, 4}}, {0, nil}, {4, []int64{5, 6}}}, false},
		{"window of 4, everything lost", 4, 6, []int64{1, 2, 3, 4}, []step{{rewind, []int64{1, 2, 3, 4}}, {rewind, []int64{1, 2, 3, 4}}}, false},
		{"window of 4, late acknowledgement", 4, 9, []int64{1, 2, 3, 4}, []step{{4, []int64{5, 6, 7, 8}}, {2, nil}, {8, []int64{9}}}, false},
		{"short file", 4, 1, []int64{1}, []step{{1, nil}}, true},
	} {
		w := newWindow(test.size, test.blocks)
		if got := taken(&w); !slices.Equal(got, test.first) {
			t.Errorf("%s: starts with %v, want %v", test.name, got, test.first)
		}
		for i, s := range test.steps {
			if s.acknowledge == rewind {
				w.rewind()
			} else {
				w.acknowledge(uint16(s.acknowledge))
			}
			if got := taken(&w); !slices.Equal(got, s.sends) {
				t.Errorf("%s, step %d: sends %v, want %v", test.name, i, got, s.sends)
			}
		}
		if w.done() != test.done {
			t.Errorf("%s: done %t, want %t", test.name, w.done(), test.done)
		}
	}
}
