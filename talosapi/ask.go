package talosapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// answersWithin bounds a call.
	answersWithin = 10 * time.Second
	// worksWithin bounds a call that is answered when the node has done what it can take some time for: to leave etcd, or to
	// fetch an image.
	worksWithin = 5 * time.Minute
)

// question is what a node is asked.
type question struct {
	node   *node
	what   string
	within time.Duration
}

func (n *node) to(what string) question { return question{n, what, answersWithin} }

func (q question) slowly() question {
	q.within = worksWithin

	return q
}

// answer is one node's part of a response. As the node is asked itself there is one part.
type answer interface{ GetMetadata() *common.Metadata }

type response[A answer] interface{ GetMessages() []A }

// ask calls a method.
func ask[Q any, A answer, R response[A]](
	ctx context.Context, q question, method func(context.Context, Q, ...grpc.CallOption) (R, error), request Q,
) (A, error) {
	var none A

	ctx, cancel := context.WithTimeout(ctx, q.within)
	defer cancel()

	got, err := method(ctx, request)
	if err != nil {
		return none, q.failure(err)
	}

	parts := got.GetMessages()
	if len(parts) == 0 {
		return none, q.failure(errors.New("the answer is empty"))
	}

	if failed := parts[0].GetMetadata().GetError(); failed != "" {
		return none, q.failure(errors.New(failed))
	}

	return parts[0], nil
}

// failure says what failed, and is one of the package's errors where it can be.
func (q question) failure(err error) error {
	told := fmt.Errorf("%s %s: %w", q.node.address, q.what, err)

	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unauthenticated, codes.PermissionDenied:
		return fmt.Errorf("%w: %w", ErrUnreachable, told)
	case codes.Unimplemented, codes.FailedPrecondition:
		return fmt.Errorf("%w: %w", ErrNotReady, told)
	default:
		return told
	}
}

// code is that of the gRPC error within err.
func code(err error) codes.Code {
	var said interface{ GRPCStatus() *status.Status }
	if errors.As(err, &said) {
		return said.GRPCStatus().Code()
	}

	return codes.OK
}
