package turns_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/sidero-appliance/sidero-appliance/apiserver/turns"
)

var taking = schema.GroupVersion{Group: "metal.sidero.dev", Version: "v1alpha2"}

// ask is a request for servers of a version.
func ask(verb string, version schema.GroupVersion) *http.Request {
	info := &request.RequestInfo{Verb: verb, APIGroup: version.Group, APIVersion: version.Version, Resource: "servers"}

	return httptest.NewRequest(http.MethodGet, "/", nil).WithContext(request.WithRequestInfo(context.Background(), info))
}

// stage is a handler whose requests come in, and go on when they are told.
type stage struct{ in, on chan struct{} }

func (s stage) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.in <- struct{}{}
	<-s.on

	_, _ = w.Write([]byte("part"))
}

func (s stage) waiting() bool {
	synctest.Wait()

	select {
	case <-s.in:
		return true
	default:
		return false
	}
}

func TestListsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stage{make(chan struct{}), make(chan struct{})}
		handler := turns.Handler(s, []schema.GroupVersion{taking}, 1)
		serve := func(r *http.Request) { go handler.ServeHTTP(httptest.NewRecorder(), r) }

		serve(ask("list", taking))

		if !s.waiting() {
			t.Fatal("the first list does not begin")
		}

		serve(ask("list", taking))

		if s.waiting() {
			t.Fatal("two lists are worked on at once")
		}

		others := []*http.Request{
			ask("get", taking), ask("watch", taking), ask("list", schema.GroupVersion{Group: taking.Group, Version: "v1"}),
			httptest.NewRequest(http.MethodGet, "/", nil),
		}
		for _, other := range others {
			serve(other)

			if !s.waiting() {
				t.Errorf("%v waits for a turn", other.Context())
			}
		}

		for range len(others) + 1 { // and the first list
			s.on <- struct{}{}
		}

		if !s.waiting() {
			t.Fatal("the second list does not begin after the first")
		}

		s.on <- struct{}{}
	})
}

// TestWhoseTurn has a user's lists come one after the other, and another user's between them.
func TestWhoseTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const parts = 3

		var order []string

		handler := turns.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range parts {
				time.Sleep(100 * time.Millisecond) // which stands for computing
				order = append(order, r.Header.Get("name"))
				_, _ = w.Write(make([]byte, 100<<10)) // more than a part
			}
		}), []schema.GroupVersion{taking}, 1)

		for _, list := range []string{"a1", "a2", "a3", "b1"} {
			r := ask("list", taking)
			r.Header.Set("name", list)
			r = r.WithContext(request.WithUser(r.Context(), &user.DefaultInfo{Name: list[:1]}))

			go handler.ServeHTTP(httptest.NewRecorder(), r)
			synctest.Wait()
		}

		time.Sleep(time.Minute)

		// While a part of the one is written, the next may begin.
		want := []string{"a1", "b1", "a1", "b1", "a1", "b1"}
		if len(order) != 12 || !slices.Equal(order[:6], want) || order[11] != "a3" {
			t.Errorf("parts of %q, want of %q before others", order, want)
		}
	})
}

// slow is a client that does not read until it is told.
type slow struct {
	http.ResponseWriter

	writing, read chan struct{}
}

func (s slow) Write(p []byte) (int, error) {
	s.writing <- struct{}{}
	<-s.read

	return len(p), nil
}

func TestSlowClientTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := turns.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("one"))
		}), []schema.GroupVersion{taking}, 1)

		client := slow{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
		go handler.ServeHTTP(client, ask("list", taking))
		<-client.writing

		begin := time.Now()
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, ask("list", taking))

		if waited := time.Since(begin); waited != 0 || answer.Body.String() != "one" {
			t.Errorf("a list beside one that is not read waited %s and is %q", waited, answer.Body)
		}

		client.read <- struct{}{}
	})
}

// TestTurnsAreNotWaitedForForever: whoever has a turn may be waiting himself, for ever.
func TestTurnsAreNotWaitedForForever(t *testing.T) {
	const turn = 4 * time.Second

	synctest.Test(t, func(t *testing.T) {
		s := stage{make(chan struct{}, 2), make(chan struct{})}
		handler := turns.Handler(s, []schema.GroupVersion{taking}, 1)

		go handler.ServeHTTP(httptest.NewRecorder(), ask("list", taking))
		<-s.in

		begin := time.Now()
		go handler.ServeHTTP(httptest.NewRecorder(), ask("list", taking))
		<-s.in

		if waited := time.Since(begin); waited != turn {
			t.Errorf("waited %s", waited)
		}

		begin = time.Now()
		for range 2 {
			go handler.ServeHTTP(httptest.NewRecorder(), ask("list", taking))
		}

		for n := range 2 { // one after the other, however long they wait
			<-s.in

			if waited := time.Since(begin); waited != time.Duration(n+1)*turn {
				t.Errorf("number %d waited %s", n, waited)
			}
		}

		gone, leave := context.WithCancel(ask("list", taking).Context())
		leave()

		begin = time.Now()
		go handler.ServeHTTP(httptest.NewRecorder(), ask("list", taking).WithContext(gone))
		<-s.in

		if waited := time.Since(begin); waited != 0 {
			t.Errorf("a request whose client has gone waited %s", waited)
		}

		for range 5 {
			s.on <- struct{}{}
		}
	})
}

// TestSmallWritesShareATurn: encoders write a few hundred bytes at a time. A list must not wait for a turn with each.
func TestSmallWritesShareATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writes, size = 2000, 100

		handler := turns.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range writes {
				_, _ = w.Write(make([]byte, size))
				if r.Header.Get("busy") != "" {
					time.Sleep(time.Millisecond) // which stands for computing
				}
			}
		}), []schema.GroupVersion{taking}, 1)

		busy := ask("list", taking)
		busy.Header.Set("busy", "yes")
		ended := make(chan struct{})

		go func() {
			handler.ServeHTTP(httptest.NewRecorder(), busy)
			close(ended)
		}()
		synctest.Wait()

		begin := time.Now()
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, ask("list", taking))

		// Four parts, each of which waits for one of the other's, of 656 writes.
		if waited := time.Since(begin); waited > 4*time.Second || answer.Body.Len() != writes*size {
			t.Errorf("the list of %d bytes took %s", answer.Body.Len(), waited)
		}

		<-ended
	})
}

func TestPanicLosesNoPlace(t *testing.T) {
	handler := turns.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("part"))
		panic(http.ErrAbortHandler)
	}), []schema.GroupVersion{taking}, 1)

	for range 3 {
		func() {
			defer func() { _ = recover() }()

			handler.ServeHTTP(httptest.NewRecorder(), ask("list", taking))
		}()
	}
}
