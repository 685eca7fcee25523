package leniency

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Handler rewrites the bodies of requests that write ServerClasses and hands all requests on. It reads at most limit bytes
// of a body: a longer one, which will be refused, is handed on as it is.
func Handler(next http.Handler, limit int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if writesClass(r) {
			rewriteBody(r, limit)
		}

		next.ServeHTTP(w, r)
	})
}

func writesClass(r *http.Request) bool {
	info, ok := request.RequestInfoFrom(r.Context())
	if !ok || info.APIGroup != v1alpha2.GroupName || info.Resource != "serverclasses" || info.Subresource != "" || r.Body == nil {
		return false
	}

	return info.Verb == "create" || info.Verb == "update" || info.Verb == "patch"
}

// formOf tells what the body of a request is.
func formOf(r *http.Request) form {
	info, _ := request.RequestInfoFrom(r.Context())

	return form{
		lists: listsOf(info.APIVersion),
		merge: strings.HasPrefix(r.Header.Get("Content-Type"), string(types.MergePatchType)),
	}
}

func rewriteBody(r *http.Request, limit int64) {
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err == nil && int64(len(body)) <= limit {
		if rewritten, warnings := rewrite(body, formOf(r)); warnings != nil {
			for _, text := range warnings {
				warning.AddWarning(r.Context(), "", text)
			}

			body = rewritten
			r.ContentLength = int64(len(body))
			r.Header.Del("Content-Length")
		}
	}

	r.Body = again{io.MultiReader(bytes.NewReader(body), failing{err}, r.Body), r.Body}
}

// again is a body whose beginning has been read.
type again struct {
	io.Reader
	io.Closer
}

// failing gives again the error that ended a first reading.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil || errors.Is(f.err, io.EOF) {
		return 0, io.EOF
	}

	return 0, f.err
}
