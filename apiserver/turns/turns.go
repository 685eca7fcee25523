// Package turns keeps lists from taking all processors.
//
// Listing ten thousand objects is a tenth of a second of nothing but computing. Priority and fairness counts the
// requests that are in progress, of which a machine with many processors can have many; on two processors a dozen lists
// at once make each step of every other request wait behind them, and a write has dozens of steps.
package turns

import (
	"net/http"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/endpoints/responsewriter"
)

// Handler lets so many lists be worked on at once, and the others in turn, whatever user they are for. A turn lasts until
// something of the list has been written: so lists advance side by side, a short one does not wait for a long one to be
// complete, and a client that reads slowly takes no turn from anybody.
//
// Only lists of these group-versions take turns. Nothing that they wait for may itself be a list that takes turns, which
// those of custom resources cannot promise: a conversion webhook may ask the API server anything before it answers.
func Handler(next http.Handler, versions []schema.GroupVersion, atOnce int) http.Handler {
	places := make(places, atOnce)
	taking := sets.New(versions...)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || info.Verb != "list" || !taking.Has(schema.GroupVersion{Group: info.APIGroup, Version: info.APIVersion}) {
			next.ServeHTTP(w, r)

			return
		}

		places.take()
		defer places.leave()

		next.ServeHTTP(responsewriter.WrapForHTTP1Or2(&writer{w, places}), r)
	})
}

// places are taken for a turn. Those who wait get one in the order in which they came, because Go's channels do that.
type places chan struct{}

func (p places) take()  { p <- struct{}{} }
func (p places) leave() { <-p }

// writer gives others a turn while it writes.
type writer struct {
	http.ResponseWriter

	places places
}

// Unwrap is the writer inside.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) Write(p []byte) (int, error) {
	w.places.leave()
	defer w.places.take()

	return w.ResponseWriter.Write(p) //nolint:wrapcheck // a writer's own error
}
