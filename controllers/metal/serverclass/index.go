package serverclass

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/membership"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// index knows the members of classes and keeps up with servers one by one: to go through 10,000 of them for each change of
// one, for each of its classes, takes a second, and minutes when they are judged by an expression. It is safe for concurrent
// use.
type index struct {
	mu      sync.Mutex
	classes map[string]*listed
}

// listed is a class as it is specified now, with its servers.
type listed struct {
	uid        types.UID
	generation int64
	matcher    *membership.Matcher
	places     map[string]membership.Place // of those that are not outside, by their names
	accepts    map[string]bool             // those that it is to accept
	// curious is a class with an expression about what changes often.
	curious bool
}

func newIndex() *index { return &index{classes: map[string]*listed{}} }

// listing is what a class's reconciler goes by.
type listing struct {
	membership.Members

	// accepts are the servers that the class is to accept, by its matcher.
	accepts []string
	matcher *membership.Matcher
}

// list returns what there is of a class. All servers are asked for when the class is new, or specified in another way than
// before. The error tells what of the class cannot be understood, or is that of servers.
func (x *index) list(class *v1alpha2.ServerClass, servers func() ([]v1alpha2.Server, error)) (listing, error) {
	x.mu.Lock()
	defer x.mu.Unlock()

	l := x.classes[class.Name]
	if l == nil || l.uid != class.UID || l.generation != class.Generation {
		delete(x.classes, class.Name)

		var err error
		if l, err = list(class, servers); err != nil {
			return listing{}, err
		}

		x.classes[class.Name] = l
	}

	return listing{l.members(), slices.Sorted(maps.Keys(l.accepts)), l.matcher}, nil
}

// list goes through all servers. Changes have to wait meanwhile: what they tell comes after what is listed, or is in it.
func list(class *v1alpha2.ServerClass, servers func() ([]v1alpha2.Server, error)) (*listed, error) {
	matcher, err := membership.NewMatcher(class.Spec)
	if err != nil {
		return nil, &misunderstoodError{err}
	}

	all, err := servers()
	if err != nil {
		return nil, err
	}

	l := &listed{
		uid: class.UID, generation: class.Generation, matcher: matcher,
		places: map[string]membership.Place{}, accepts: map[string]bool{},
		curious: strings.Contains(class.Spec.Expression, "status") || strings.Contains(class.Spec.Expression, "metadata"),
	}
	for i := range all {
		l.put(&all[i])
	}

	return l, nil
}

// misunderstoodError is what is wrong with a class.
type misunderstoodError struct{ error }

func (e *misunderstoodError) Unwrap() error { return e.error }

// forget drops a class that is gone.
func (x *index) forget(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()

	delete(x.classes, name)
}

// change notes what a server is now and returns the classes that have to be looked at because of it. Of slight changes most
// classes need not know.
func (x *index) change(s *v1alpha2.Server, slight bool) []string {
	x.mu.Lock()
	defer x.mu.Unlock()

	var of []string

	for name, l := range x.classes {
		if (!slight || l.curious) && l.put(s) {
			of = append(of, name)
		}
	}

	return of
}

// remove notes that a server is gone and returns the classes that it was in.
func (x *index) remove(server string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()

	var of []string

	for name, l := range x.classes {
		if l.places[server] != membership.Outside {
			of = append(of, name)
		}

		delete(l.places, server)
		delete(l.accepts, server)
	}

	return of
}

// put notes what a server is, and tells whether its class has to be looked at: it is listed otherwise, or to be accepted.
func (l *listed) put(s *v1alpha2.Server) bool {
	before, now := l.places[s.Name], l.matcher.Place(s)
	if now == membership.Outside {
		delete(l.places, s.Name)
	} else {
		l.places[s.Name] = now
	}

	accepts := l.matcher.Accepts(s)
	if accepts {
		l.accepts[s.Name] = true
	} else {
		delete(l.accepts, s.Name)
	}

	return before != now || accepts
}

func (l *listed) members() membership.Members {
	m := membership.Members{Available: []string{}, InUse: []string{}}

	for name, place := range l.places {
		if place == membership.InUse {
			m.InUse = append(m.InUse, name)
		} else {
			m.Available = append(m.Available, name)
		}
	}

	slices.Sort(m.Available)
	slices.Sort(m.InUse)

	return m
}
