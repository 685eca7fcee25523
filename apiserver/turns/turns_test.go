package turns_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/runtime/schema"
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
		var served int

		handler := turns.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("one"))
			served++
		}), []schema.GroupVersion{taking}, 1)

		client := slow{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
		go handler.ServeHTTP(client, ask("list", taking))
		<-client.writing

		handler.ServeHTTP(httptest.NewRecorder(), ask("list", taking))

		if served != 1 {
			t.Fatalf("%d lists were served beside one that is not read, want 1", served)
		}

		client.read <- struct{}{}
		synctest.Wait()

		if served != 2 {
			t.Error("the slow client's list does not go on")
		}
	})
}
