package appliance

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sidero-appliance/sidero-appliance/metadata/logs"
)

// A machine that has logged nothing is told apart from an API that has no Servers, by the name in the answer.
func TestAnswer(t *testing.T) {
	if answer("a", nil) != nil {
		t.Error("nothing is an error")
	}
	var status apierrors.APIStatus
	if err := answer("a", logs.ErrNone); !apierrors.IsNotFound(err) || !errors.As(err, &status) || status.Status().Details.Name != "a" {
		t.Errorf("nothing logged: %v", err)
	}
	if err := answer("a", errors.New("disk")); !apierrors.IsInternalError(err) {
		t.Errorf("a broken disk: %v", err)
	}
}
