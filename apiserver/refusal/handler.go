package refusal

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// Handler rewrites the refusals of patches; all other answers pass as they are.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || !info.IsResourceRequest || info.Verb != "patch" {
			next.ServeHTTP(w, r)

			return
		}

		held := &holder{ResponseWriter: w}
		sent := record(r)
		next.ServeHTTP(held, r)
		held.release(info, sent.Bytes())
	})
}

// record keeps a copy of a JSON patch as it is read: who is told that it does not apply wants to know what of it.
func record(r *http.Request) *bytes.Buffer {
	copied := &bytes.Buffer{}

	if r.Body != nil && strings.HasPrefix(r.Header.Get("Content-Type"), string(types.JSONPatchType)) {
		r.Body = recorded{io.TeeReader(r.Body, copied), r.Body}
	}

	return copied
}

type recorded struct {
	io.Reader
	io.Closer
}

// holder passes an answer on at once, unless it is a refusal in JSON: that one is kept back until it is whole.
type holder struct {
	http.ResponseWriter

	status  int
	refusal bytes.Buffer
}

func (h *holder) WriteHeader(status int) {
	if h.status != 0 {
		return
	}

	h.status = status
	if !h.refused() {
		h.ResponseWriter.WriteHeader(status)
	}
}

func (h *holder) Write(p []byte) (int, error) {
	if h.status == 0 {
		h.WriteHeader(http.StatusOK)
	}

	if h.refused() {
		return h.refusal.Write(p)
	}

	return h.ResponseWriter.Write(p)
}

// Unwrap implements what http.ResponseController asks for.
func (h *holder) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *holder) refused() bool {
	return h.status == http.StatusUnprocessableEntity &&
		strings.HasPrefix(h.Header().Get("Content-Type"), "application/json") && h.Header().Get("Content-Encoding") == ""
}

func (h *holder) release(info *request.RequestInfo, patch []byte) {
	if !h.refused() {
		return
	}

	answer := h.refusal.Bytes()

	var status metav1.Status
	if json.Unmarshal(answer, &status) == nil && rewrite(&status, info, patch) {
		if text, err := json.Marshal(&status); err == nil {
			answer = append(text, '\n')
		}
	}

	h.Header().Del("Content-Length")
	h.ResponseWriter.WriteHeader(h.status)
	_, _ = h.ResponseWriter.Write(answer) // whom it is for may be gone
}
