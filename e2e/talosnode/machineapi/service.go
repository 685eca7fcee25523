package machineapi

import (
	"context"
	"runtime"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// standIn is what the version says instead of a commit of Talos.
const standIn = "stand-in"

// service is the API of one machine.
type service struct {
	machine.UnimplementedMachineServiceServer

	of Machine
}

// about names the node in an answer to who has asked for nodes by name, as talosctl does.
func (s *service) about(ctx context.Context) *common.Metadata {
	told, _ := metadata.FromIncomingContext(ctx)
	if nodes := told.Get("nodes"); len(nodes) > 0 {
		return &common.Metadata{Hostname: nodes[0]}
	}

	return nil
}

// Version implements machine.MachineServiceServer.
func (s *service) Version(ctx context.Context, _ *emptypb.Empty) (*machine.VersionResponse, error) {
	return &machine.VersionResponse{Messages: []*machine.Version{{
		Metadata: s.about(ctx),
		Version: &machine.VersionInfo{
			Tag: s.of.Release(), Sha: standIn, GoVersion: runtime.Version(), Os: runtime.GOOS, Arch: runtime.GOARCH,
		},
		Platform: &machine.PlatformInfo{Name: "metal", Mode: "metal"},
		Features: &machine.FeaturesInfo{Rbac: true},
	}}}, nil
}

// Hostname implements machine.MachineServiceServer.
func (s *service) Hostname(ctx context.Context, _ *emptypb.Empty) (*machine.HostnameResponse, error) {
	return &machine.HostnameResponse{Messages: []*machine.Hostname{{Metadata: s.about(ctx), Hostname: s.of.Hostname()}}}, nil
}

// SystemStat implements machine.MachineServiceServer.
func (s *service) SystemStat(ctx context.Context, _ *emptypb.Empty) (*machine.SystemStatResponse, error) {
	return &machine.SystemStatResponse{Messages: []*machine.SystemStat{{
		Metadata: s.about(ctx), BootTime: uint64(s.of.Booted().Unix()), //nolint:gosec // it is after 1970
	}}}, nil
}

// ServiceList implements machine.MachineServiceServer.
func (s *service) ServiceList(ctx context.Context, _ *emptypb.Empty) (*machine.ServiceListResponse, error) {
	return &machine.ServiceListResponse{Messages: []*machine.ServiceList{{Metadata: s.about(ctx), Services: s.of.Services()}}}, nil
}

// Bootstrap implements machine.MachineServiceServer.
func (s *service) Bootstrap(ctx context.Context, request *machine.BootstrapRequest) (*machine.BootstrapResponse, error) {
	if request.GetRecoverEtcd() {
		return nil, status.Error(codes.Unimplemented, "this stand-in for Talos recovers no snapshots")
	}

	if err := s.of.Bootstrap(); err != nil {
		return nil, err
	}

	return &machine.BootstrapResponse{Messages: []*machine.Bootstrap{{Metadata: s.about(ctx)}}}, nil
}

// Kubeconfig implements machine.MachineServiceServer.
func (s *service) Kubeconfig(_ *emptypb.Empty, stream grpc.ServerStreamingServer[common.Data]) error {
	text, err := s.of.Kubeconfig()
	if err != nil {
		return err
	}

	packed, err := archive("kubeconfig", text)
	if err != nil {
		return err
	}

	return stream.Send(&common.Data{Metadata: s.about(stream.Context()), Bytes: packed})
}

// Reboot implements machine.MachineServiceServer.
func (s *service) Reboot(ctx context.Context, _ *machine.RebootRequest) (*machine.RebootResponse, error) {
	s.of.Reboot()

	return &machine.RebootResponse{Messages: []*machine.Reboot{{Metadata: s.about(ctx)}}}, nil
}

// Shutdown implements machine.MachineServiceServer.
func (s *service) Shutdown(ctx context.Context, _ *machine.ShutdownRequest) (*machine.ShutdownResponse, error) {
	s.of.Shutdown()

	return &machine.ShutdownResponse{Messages: []*machine.Shutdown{{Metadata: s.about(ctx)}}}, nil
}

// Reset implements machine.MachineServiceServer.
func (s *service) Reset(ctx context.Context, request *machine.ResetRequest) (*machine.ResetResponse, error) {
	if err := s.of.Reset(request); err != nil {
		return nil, err
	}

	return &machine.ResetResponse{Messages: []*machine.Reset{{Metadata: s.about(ctx)}}}, nil
}

// Upgrade implements machine.MachineServiceServer.
func (s *service) Upgrade(ctx context.Context, request *machine.UpgradeRequest) (*machine.UpgradeResponse, error) {
	if err := s.of.Upgrade(request.GetImage()); err != nil {
		return nil, err
	}

	return &machine.UpgradeResponse{Messages: []*machine.Upgrade{{Metadata: s.about(ctx), Ack: "Upgrade request received"}}}, nil
}

// ApplyConfiguration implements machine.MachineServiceServer: it is there from the next start on, whichever way was asked for.
func (s *service) ApplyConfiguration(
	ctx context.Context, request *machine.ApplyConfigurationRequest,
) (*machine.ApplyConfigurationResponse, error) {
	if request.GetDryRun() {
		return nil, status.Error(codes.Unimplemented, "this stand-in for Talos tries nothing out")
	}

	if err := s.of.Apply(request.GetData()); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}

	mode := machine.ApplyConfigurationRequest_STAGED
	if asked := request.GetMode(); asked == machine.ApplyConfigurationRequest_REBOOT || asked == machine.ApplyConfigurationRequest_AUTO {
		mode = machine.ApplyConfigurationRequest_REBOOT

		s.of.Reboot()
	}

	return &machine.ApplyConfigurationResponse{Messages: []*machine.ApplyConfiguration{{Metadata: s.about(ctx), Mode: mode}}}, nil
}
