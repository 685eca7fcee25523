package turns

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"k8s.io/apiserver/pkg/endpoints/request"
)

// list is one that was asked for.
type list struct {
	user string
	// number is less than that of every list that came later.
	number int
}

// queue is of the lists that wait for one of a few places. While there is a free place, none waits.
type queue struct {
	mu      sync.Mutex
	free    int
	arrived int
	// lines are the users who have lists that wait. The first is the one who has not had a turn for longest.
	lines []line
}

// line is of a user's lists that wait, the oldest first.
type line struct {
	user    string
	waiting []waiting
}

type waiting struct {
	list
	// turn is closed when there is a place for it.
	turn chan struct{}
}

// arrive is a list that is asked for now.
func (q *queue) arrive(ctx context.Context) list {
	q.mu.Lock()
	defer q.mu.Unlock()

	q.arrived++
	l := list{number: q.arrived}

	if user, ok := request.UserFrom(ctx); ok {
		l.user = user.GetName()
	}

	return l
}

// wait tells whether a list has got a place, which it has to give to the next. It has none when ctx ends before.
func (q *queue) wait(ctx context.Context, l list) bool {
	turn := q.join(l)

	select {
	case <-turn:
		return true
	case <-ctx.Done():
		return !q.quit(l)
	}
}

// join returns what is closed when the list has a place.
func (q *queue) join(l list) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()

	w := waiting{l, make(chan struct{})}

	if q.free > 0 {
		q.free--
		close(w.turn)

		return w.turn
	}

	at := q.line(l.user)
	if at < 0 {
		at = len(q.lines)
		q.lines = append(q.lines, line{user: l.user})
	}

	mine := &q.lines[at]
	place, _ := slices.BinarySearchFunc(mine.waiting, l.number, func(w waiting, number int) int { return cmp.Compare(w.number, number) })
	mine.waiting = slices.Insert(mine.waiting, place, w)

	return w.turn
}

// quit tells whether a list has left the queue: it has not, if it has got a place meanwhile.
func (q *queue) quit(l list) bool {
	q.mu.Lock()
	defer q.mu.Unlock()

	at := q.line(l.user)
	if at < 0 {
		return false
	}

	mine := &q.lines[at]
	before := len(mine.waiting)
	mine.waiting = slices.DeleteFunc(mine.waiting, func(w waiting) bool { return w.list == l })
	left := len(mine.waiting) < before

	if len(mine.waiting) == 0 {
		q.lines = slices.Delete(q.lines, at, at+1)
	}

	return left
}

func (q *queue) line(user string) int {
	return slices.IndexFunc(q.lines, func(l line) bool { return l.user == user })
}

// leave gives the place of a list to whoever is next: another user before its own.
func (q *queue) leave(l list) {
	q.mu.Lock()
	defer q.mu.Unlock()

	if at := q.line(l.user); at >= 0 {
		mine := q.lines[at]
		q.lines = append(slices.Delete(q.lines, at, at+1), mine)
	}

	if len(q.lines) == 0 {
		q.free++

		return
	}

	first := q.lines[0]
	close(first.waiting[0].turn)

	first.waiting = slices.Delete(first.waiting, 0, 1)
	q.lines = slices.Delete(q.lines, 0, 1)

	if len(first.waiting) > 0 {
		q.lines = append(q.lines, first)
	}
}
