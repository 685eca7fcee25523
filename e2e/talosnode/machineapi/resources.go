package machineapi

import (
	"context"

	cosi "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/api/resource/config"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// resources are those of a node's runtime that the stand-in has: its configuration alone.
type resources struct {
	cosi.UnimplementedStateServer

	of Machine
}

// Get implements cosi.StateServer.
func (r *resources) Get(_ context.Context, request *cosi.GetRequest) (*cosi.GetResponse, error) {
	if request.GetType() != "MachineConfigs.config.talos.dev" || request.GetNamespace() != "config" || request.GetId() != "v1alpha1" {
		return nil, status.Error(codes.NotFound, "this stand-in for Talos has no resource but its configuration")
	}

	configuration, err := r.of.Configuration()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}

	spec, err := proto.Marshal(&config.MachineConfigSpec{YamlMarshalled: configuration})
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}

	return &cosi.GetResponse{Resource: &cosi.Resource{Spec: &cosi.Spec{ProtoSpec: spec}}}, nil
}
