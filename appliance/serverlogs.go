package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
	"github.com/sidero-appliance/sidero-appliance/metadata/logs"
)

const (
	// logBytes and oldLogs bound what is kept of a machine: a boot logs some 200 KiB.
	logBytes = 2 << 20
	oldLogs  = 2
)

// logFiles are where the logs of machines are.
func logFiles(s site) *logs.Files {
	return &logs.Files{Dir: filepath.Join(s.DataDir, "logs"), MaxBytes: logBytes, Old: oldLogs}
}

// serverLogs are the logs as the API serves them.
type serverLogs struct{ files *logs.Files }

var _ registry.Logs = serverLogs{}

// Print implements registry.Logs.
func (l serverLogs) Print(server string, to io.Writer) error {
	return answer(server, l.files.Print(server, to))
}

// Follow implements registry.Logs.
func (l serverLogs) Follow(ctx context.Context, server string, to io.Writer) error {
	return answer(server, l.files.Follow(ctx, server, to))
}

// answer is what the API says of an error.
func answer(server string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, logs.ErrNone) {
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
			// Without a name it would be the kind that is not there, which is what another API than an appliance's says.
			Details: &metav1.StatusDetails{Group: v1alpha2.GroupName, Kind: "servers", Name: server},
			Message: fmt.Sprintf("the machine of server %s has logged nothing: it does when it runs Talos 1.5 or newer in a cluster, and reaches this appliance by SideroLink", server),
		}}
	}
	return apierrors.NewInternalError(err)
}
