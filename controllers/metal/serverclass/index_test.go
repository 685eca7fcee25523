package serverclass

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/membership"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// classes are of several kinds. The last cannot be understood.
func classes() []*v1alpha2.ServerClass {
	kinds := []v1alpha2.ServerClassSpec{
		{},
		{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"rack": "1"}}},
		{Expression: `server.spec.hostname == "rack-1"`, Accept: true},
		{Expression: `has(server.status.power) && server.status.power == "on"`},
		{Expression: `(`},
	}

	var all []*v1alpha2.ServerClass
	for n, spec := range kinds {
		all = append(all, &v1alpha2.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(n), Generation: 1}, Spec: spec})
	}

	return all
}

// hall is all servers that there are.
type hall map[string]*v1alpha2.Server

func (h hall) list() ([]v1alpha2.Server, error) {
	var list []v1alpha2.Server
	for _, name := range slices.Sorted(maps.Keys(h)) {
		list = append(list, *h[name])
	}

	return list, nil
}

// disturb makes, changes or removes a server, and tells the index. It returns what the index has to say.
func (h hall) disturb(x *index, random *rand.Rand) []string {
	name := fmt.Sprint(random.IntN(30))

	old := h[name]
	if old != nil && random.IntN(10) == 0 {
		delete(h, name)

		return x.remove(name)
	}

	now := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if old != nil {
		now = old.DeepCopy()
	}

	rack := fmt.Sprint(random.IntN(3))

	switch random.IntN(5) {
	case 0:
		now.Labels = map[string]string{"rack": rack}
	case 1:
		now.Spec.Hostname = "rack-" + rack
		now.Generation++
	case 2:
		now.Spec.Accepted = !now.Spec.Accepted
		now.Generation++
	case 3:
		now.Status.InUse = !now.Status.InUse
	case 4:
		now.Status.Power = []string{"on", "off"}[random.IntN(2)]
	}

	h[name] = now

	return x.change(now, old != nil && sameToClasses(old, now))
}

// TestIndex holds what is known of each class after each of many changes to what going through all servers tells, and what
// has to be looked at to what has really changed.
func TestIndex(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)

	random := rand.New(rand.NewPCG(seed, 0))
	x, servers := newIndex(), hall{}
	before := map[string]listing{}

	for n := range 600 {
		looks := servers.disturb(x, random)

		for _, class := range classes() {
			now, err := x.list(class, servers.list)

			matcher, wrong := membership.NewMatcher(class.Spec)
			if wrong != nil {
				if misunderstood := new(misunderstoodError); !errors.As(err, &misunderstood) {
					t.Fatalf("class %s: %v", class.Name, err)
				}

				continue
			}

			if err != nil {
				t.Fatal(err)
			}

			checkListing(t, now, matcher, servers)

			was, known := before[class.Name]
			if changed := !cmp.Equal(was.Members, now.Members); known && changed && !slices.Contains(looks, class.Name) {
				t.Fatalf("change %d: class %s is not looked at, and is %v after %v", n, class.Name, now.Members, was.Members)
			}

			before[class.Name] = now
		}
	}
}

func checkListing(t *testing.T, now listing, matcher *membership.Matcher, servers hall) {
	t.Helper()

	all, _ := servers.list()
	if diff := cmp.Diff(matcher.Members(all), now.Members); diff != "" {
		t.Fatal(diff)
	}

	var accepts []string

	for i := range all {
		if matcher.Accepts(&all[i]) {
			accepts = append(accepts, all[i].Name)
		}
	}

	if !slices.Equal(accepts, now.accepts) {
		t.Fatalf("to accept: %v, want %v", now.accepts, accepts)
	}
}

// TestIndexOfChangedClass: a class that is specified in another way, or made anew, has all servers looked at again.
func TestIndexOfChangedClass(t *testing.T) {
	x := newIndex()
	class := classes()[0]
	servers := hall{"a": {ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha2.ServerSpec{Accepted: true}}}

	has := func(want int) {
		t.Helper()

		if now, err := x.list(class, servers.list); err != nil || len(now.Available) != want {
			t.Errorf("%v %v, want %d", now.Members, err, want)
		}
	}

	has(1)

	class.Generation, class.Spec.Expression = 2, `server.spec.hostname == "b"`
	has(0)

	class.UID, class.Generation, class.Spec.Expression = "other", 2, ""
	has(1)

	class.Spec.Expression, class.Generation = "(", 3
	if _, err := x.list(class, servers.list); err == nil {
		t.Error("it is understood")
	}

	if looks := x.change(servers["a"], false); len(looks) > 0 {
		t.Errorf("classes %v, which are not understood, are looked at", looks)
	}

	broken := errors.New("no servers")
	class.Spec.Expression, class.Generation = "", 4
	if _, err := x.list(class, func() ([]v1alpha2.Server, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}

	has(1)
	x.forget(class.Name)

	if looks := x.remove("a"); len(looks) > 0 {
		t.Errorf("classes %v, which are gone, are looked at", looks)
	}
}

// TestSameToClasses: what a class may go by is no slight change, and another server of the same name is none at all.
func TestSameToClasses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*v1alpha2.Server)
		same   bool
	}{
		"power":     {func(s *v1alpha2.Server) { s.Status.Power = "on" }, true},
		"spec":      {func(s *v1alpha2.Server) { s.Generation++ }, false},
		"labels":    {func(s *v1alpha2.Server) { s.Labels = map[string]string{"rack": "1"} }, false},
		"in use":    {func(s *v1alpha2.Server) { s.Status.InUse = true }, false},
		"accepted":  {func(s *v1alpha2.Server) { s.Status.AcceptedAt = new(metav1.Now()) }, false},
		"made anew": {func(s *v1alpha2.Server) { s.UID = "2" }, false},
	} {
		old := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "1", Generation: 1}}
		now := old.DeepCopy()
		c.change(now)

		if got := sameToClasses(old, now); got != c.same {
			t.Errorf("%s: same %v", name, got)
		}
	}
}
