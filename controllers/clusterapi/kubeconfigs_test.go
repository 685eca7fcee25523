package clusterapi

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/kubeconfig"
)

// TestKubeconfigs: a Secret cannot make the reconcilers use what lies on this machine.
func TestKubeconfigs(t *testing.T) {
	const text = `{"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:6443"%s}}],"users":[{"name":"u","user":{%s}}]}`

	for name, c := range map[string]struct {
		cluster, user string
		refused       bool
	}{
		"token":             {"", `"token":"t"`, false},
		"data":              {`,"certificate-authority-data":"YQ=="`, `"client-certificate-data":"YQ==","client-key-data":"YQ=="`, false},
		"certificate":       {"", `"client-certificate":"/var/lib/sidero-appliance/pki/owner.crt"`, true},
		"key":               {"", `"client-key":"/k"`, true},
		"token file":        {"", `"tokenFile":"/etc/shadow"`, true},
		"authority":         {`,"certificate-authority":"/c"`, "", true},
		"program":           {"", `"exec":{"command":"sh","apiVersion":"client.authentication.k8s.io/v1","interactiveMode":"Never"}`, true},
		"provider of login": {"", `"auth-provider":{"name":"gcp"}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "c1-kubeconfig"},
				Data:       map[string][]byte{"value": fmt.Appendf(nil, text, c.cluster, c.user)},
			}
			reader := kubeconfigs{fake.NewClientBuilder().WithObjects(secret).Build()}

			err := reader.Get(t.Context(), client.ObjectKeyFromObject(secret), &corev1.Secret{})
			if refused := errors.Is(err, kubeconfig.ErrReadsFiles) || errors.Is(err, kubeconfig.ErrRunsPrograms); c.refused != refused || !c.refused && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}
