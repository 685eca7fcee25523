package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Logs are what the machines of objects have logged. Their errors are for who asks.
type Logs interface {
	// Print writes all that is kept of an object's machine, oldest first.
	Print(object string, to io.Writer) error
	// Follow is Print, and then writes what comes until the context ends.
	Follow(ctx context.Context, object string, to io.Writer) error
}

// follow is the parameter, a boolean, that asks for what is still to come, as with the logs of Pods.
const follow = "follow"

// logs serve what the machines of a kind's objects have logged, as text.
type logs struct {
	store *genericregistry.Store
	logs  Logs
	empty func() runtime.Object
}

var _ rest.Connecter = (*logs)(nil)

// New implements rest.Storage.
func (l *logs) New() runtime.Object { return l.empty() }

// Destroy does nothing: the main store does it.
func (*logs) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (*logs) ConnectMethods() []string { return []string{http.MethodGet} }

// NewConnectOptions implements rest.Connecter: the handler reads the only one itself.
func (*logs) NewConnectOptions() (options runtime.Object, subpath bool, parameter string) {
	return nil, false, ""
}

// ProducesMIMETypes implements rest.StorageMetadata.
func (*logs) ProducesMIMETypes(string) []string { return []string{"text/plain"} }

// ProducesObject implements rest.StorageMetadata.
func (*logs) ProducesObject(string) any { return "" }

// Connect implements rest.Connecter.
func (l *logs) Connect(ctx context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	if _, err := l.store.Get(ctx, name, &metav1.GetOptions{}); err != nil {
		return nil, err //nolint:wrapcheck // an answer of the API
	}

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := &stream{ResponseWriter: w, flush: http.NewResponseController(w).Flush}

		if err := l.write(r, name, to); err != nil && !to.began {
			responder.Error(err)
		}
	}), nil
}

func (l *logs) write(r *http.Request, name string, to *stream) error {
	text := r.URL.Query().Get(follow)
	if text == "" {
		text = "false"
	}

	wanted, err := strconv.ParseBool(text)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("%s: %q is neither true nor false", follow, text))
	}

	if !wanted {
		return l.logs.Print(name, to) //nolint:wrapcheck // an answer of the API
	}

	to.start() // a client that waits is told that it does so rightly

	return l.logs.Follow(r.Context(), name, to) //nolint:wrapcheck // an answer of the API
}

// stream sends what is written at once.
type stream struct {
	http.ResponseWriter

	flush func() error
	began bool
}

func (s *stream) start() {
	if s.began {
		return
	}

	s.began = true
	s.Header().Set("Content-Type", "text/plain; charset=utf-8")
	s.WriteHeader(http.StatusOK)
	_ = s.flush() //nolint:errcheck // what is written next fails
}

// Write implements io.Writer.
func (s *stream) Write(text []byte) (int, error) {
	s.start()

	n, err := s.ResponseWriter.Write(text)
	if err != nil {
		return n, err //nolint:wrapcheck // the client has gone
	}

	return n, s.flush()
}
