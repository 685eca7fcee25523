package talosapi

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/constants"
)

// EtcdData implements Node. Talos itself goes by the same when it is told to bootstrap: whether the folder is empty.
func (n *node) EtcdData(ctx context.Context) (bool, error) {
	q := n.to("look for data of etcd")

	ctx, cancel := context.WithTimeout(ctx, q.within)
	defer cancel()

	files, err := n.api.List(ctx, &machine.ListRequest{Root: constants.EtcdDataPath})
	if err != nil {
		return false, q.failure(err)
	}

	for {
		file, err := files.Recv()

		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil && strings.Contains(err.Error(), missing):
			return false, nil
		case err != nil:
			return false, q.failure(err)
		case strings.Contains(file.GetError(), missing):
			return false, nil
		case file.GetError() != "":
			return false, q.failure(errors.New(file.GetError()))
		case file.GetRelativeName() != ".": // the folder itself comes first
			return true, nil
		}
	}
}

// missing is what nodes say of a file that is not there, for which gRPC has no code here.
const missing = "no such file or directory"
