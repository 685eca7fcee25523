package talostest

import (
	"context"

	cosi "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/api/resource/config"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// resources are a node's: there is its configuration only.
type resources struct {
	cosi.UnimplementedStateServer

	node *Node
}

// Get implements cosi.StateServer.
func (r *resources) Get(_ context.Context, request *cosi.GetRequest) (*cosi.GetResponse, error) {
	if request.GetType() != "MachineConfigs.config.talos.dev" || request.GetNamespace() != "config" || request.GetId() != "v1alpha1" {
		return nil, status.Error(codes.NotFound, "resource doesn't exist") //nolint:wrapcheck // it is the answer
	}

	spec, err := proto.Marshal(&config.MachineConfigSpec{YamlMarshalled: r.node.Configuration()})
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error()) //nolint:wrapcheck // it is the answer
	}

	return &cosi.GetResponse{Resource: &cosi.Resource{Spec: &cosi.Spec{ProtoSpec: spec}}}, nil
}

// ApplyConfiguration implements machine.MachineServiceServer: the node runs by it at once.
func (s *service) ApplyConfiguration(
	_ context.Context, request *machine.ApplyConfigurationRequest,
) (*machine.ApplyConfigurationResponse, error) {
	if request.GetMode() != machine.ApplyConfigurationRequest_NO_REBOOT {
		return nil, status.Error(codes.InvalidArgument, "nobody asked for a restart") //nolint:wrapcheck // it is the answer
	}

	s.node.locked(func() { s.node.config = request.GetData() })

	return &machine.ApplyConfigurationResponse{Messages: []*machine.ApplyConfiguration{{}}}, nil
}

// List implements machine.MachineServiceServer for the folder of etcd's data.
func (s *service) List(request *machine.ListRequest, files grpc.ServerStreamingServer[machine.FileInfo]) error {
	if request.GetRoot() != "/var/lib/etcd" {
		return status.Error(codes.NotFound, "no such file or directory") //nolint:wrapcheck // it is the answer
	}

	var data bool

	s.node.locked(func() { data = s.node.member != 0 })

	found := []*machine.FileInfo{{Name: request.GetRoot(), RelativeName: ".", IsDir: true}}
	if data {
		found = append(found, &machine.FileInfo{Name: request.GetRoot() + "/member", RelativeName: "member", IsDir: true})
	}

	for _, file := range found {
		if err := files.Send(file); err != nil {
			return err //nolint:wrapcheck // it is the answer
		}
	}

	return nil
}
