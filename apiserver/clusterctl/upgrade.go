package clusterctl

import (
	"encoding/json"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// workloads is where clusterctl looks for the Deployments of a provider, which it scales down before it upgrades it.
const workloads = "/apis/apps/v1"

// RefuseUpgrades tells clusterctl that it cannot upgrade anything here, and why, when it asks for the Deployments of a
// provider. Otherwise it would be told only that there is no such kind. All other requests are for the next handler.
func RefuseUpgrades(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != workloads || !strings.HasPrefix(r.UserAgent(), "clusterctl/") {
			next.ServeHTTP(w, r)

			return
		}

		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)      // 404 would be taken for an answer, and its text be dropped
		json.NewEncoder(w).Encode(metav1.Status{ //nolint:errcheck // the client is gone
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
			Status:   metav1.StatusFailure,
			Reason:   metav1.StatusReasonForbidden,
			Code:     http.StatusForbidden,
			Message:  "the appliance runs no Deployments. " + reason,
		})
	})
}
