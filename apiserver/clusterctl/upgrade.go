package clusterctl

import (
	"encoding/json"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RefuseUpgrades tells clusterctl why it cannot upgrade a provider here. Before it does so it scales the provider's
// Deployments down, and without this it says that there are none of such a kind, and no more.
//
// It looks for the kind in discovery, and drops the text of an answer 404. So it gets another answer when it asks for the
// group that Deployments are in, and, so that it asks, an older form of discovery, in which it asks for each group. All
// other requests are for the next handler as they are.
func RefuseUpgrades(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.UserAgent(), "clusterctl/") {
			next.ServeHTTP(w, r)

			return
		}

		switch r.URL.Path {
		case "/apis/apps/v1":
			writeRefusal(w)
		case "/api", "/apis":
			r = r.Clone(r.Context())
			r.Header.Set("Accept", "application/json")

			fallthrough
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func writeRefusal(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	json.NewEncoder(w).Encode(metav1.Status{ //nolint:errcheck // the client is gone
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure,
		Reason:   metav1.StatusReasonForbidden,
		Code:     http.StatusForbidden,
		Message:  "the appliance runs no Deployments. " + reason,
	})
}
