package talostest

import (
	"context"
	"path"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/sidero-appliance/sidero-appliance/talosapi"
)

// service is a node's machine API, as far as it goes here.
type service struct {
	machine.UnimplementedMachineServiceServer

	node *Node
}

// note writes down what is called, and refuses what it was told to.
func (n *Node) note(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	var refusal error

	method := path.Base(info.FullMethod)
	n.locked(func() {
		n.calls = append(n.calls, method)
		refusal = n.refuses[method]
	})

	if refusal != nil {
		return nil, refusal
	}

	return handle(ctx, request)
}

// Version implements machine.MachineServiceServer.
func (s *service) Version(context.Context, *emptypb.Empty) (*machine.VersionResponse, error) {
	answer := &machine.Version{Version: &machine.VersionInfo{}}
	s.node.locked(func() { answer.Version.Tag = s.node.version })

	return &machine.VersionResponse{Messages: []*machine.Version{answer}}, nil
}

// ServiceList implements machine.MachineServiceServer. There are kubelet, and etcd as soon as the node has joined it.
func (s *service) ServiceList(context.Context, *emptypb.Empty) (*machine.ServiceListResponse, error) {
	answer := &machine.ServiceList{Services: []*machine.ServiceInfo{
		{Id: "kubelet", State: "Running", Health: &machine.ServiceHealth{Healthy: true}},
	}}

	s.node.locked(func() {
		etcd := &machine.ServiceInfo{Id: "etcd", State: "Preparing", Health: &machine.ServiceHealth{Unknown: true}}
		if s.node.joined() == nil {
			etcd.State, etcd.Health = "Running", &machine.ServiceHealth{Healthy: s.node.healthy}
		}

		answer.Services = append(answer.Services, etcd)
	})

	return &machine.ServiceListResponse{Messages: []*machine.ServiceList{answer}}, nil
}

// Bootstrap implements machine.MachineServiceServer.
func (s *service) Bootstrap(context.Context, *machine.BootstrapRequest) (*machine.BootstrapResponse, error) {
	if err := s.node.cluster.bootstrap(s.node); err != nil {
		return nil, err
	}

	return &machine.BootstrapResponse{Messages: []*machine.Bootstrap{{}}}, nil
}

// EtcdMemberList implements machine.MachineServiceServer.
func (s *service) EtcdMemberList(context.Context, *machine.EtcdMemberListRequest) (*machine.EtcdMemberListResponse, error) {
	answer := &machine.EtcdMembers{}

	var err error

	s.node.locked(func() {
		if err = s.node.joined(); err == nil {
			err = s.node.cluster.majority()
		}

		for _, m := range s.node.cluster.members {
			answer.Members = append(answer.Members, &machine.EtcdMember{
				Id: m.member, Hostname: m.Hostname, PeerUrls: []string{"https://" + m.Address + ":2380"},
			})
		}
	})

	if err != nil {
		return nil, err
	}

	return &machine.EtcdMemberListResponse{Messages: []*machine.EtcdMembers{answer}}, nil
}

// EtcdStatus implements machine.MachineServiceServer.
func (s *service) EtcdStatus(context.Context, *emptypb.Empty) (*machine.EtcdStatusResponse, error) {
	answer := &machine.EtcdMemberStatus{}

	var err error

	s.node.locked(func() {
		err = s.node.joined()
		answer.MemberId = s.node.member

		if s.node.cluster.majority() == nil {
			answer.Leader = s.node.cluster.members[0].member
		}

		if !s.node.healthy {
			answer.Errors = []string{"NOSPACE"}
		}
	})

	if err != nil {
		return nil, err
	}

	return &machine.EtcdStatusResponse{Messages: []*machine.EtcdStatus{{MemberStatus: answer}}}, nil
}

// EtcdForfeitLeadership implements machine.MachineServiceServer.
func (s *service) EtcdForfeitLeadership(
	context.Context, *machine.EtcdForfeitLeadershipRequest,
) (*machine.EtcdForfeitLeadershipResponse, error) {
	return &machine.EtcdForfeitLeadershipResponse{Messages: []*machine.EtcdForfeitLeadership{{}}}, nil
}

// EtcdLeaveCluster implements machine.MachineServiceServer.
func (s *service) EtcdLeaveCluster(context.Context, *machine.EtcdLeaveClusterRequest) (*machine.EtcdLeaveClusterResponse, error) {
	var id uint64

	s.node.locked(func() { id = s.node.member })

	if err := s.node.cluster.remove(id); err != nil {
		return nil, err
	}

	return &machine.EtcdLeaveClusterResponse{Messages: []*machine.EtcdLeaveCluster{{}}}, nil
}

// EtcdRemoveMemberByID implements machine.MachineServiceServer.
func (s *service) EtcdRemoveMemberByID(
	_ context.Context, request *machine.EtcdRemoveMemberByIDRequest,
) (*machine.EtcdRemoveMemberByIDResponse, error) {
	if err := s.node.cluster.remove(request.GetMemberId()); err != nil {
		return nil, err
	}

	return &machine.EtcdRemoveMemberByIDResponse{Messages: []*machine.EtcdRemoveMemberByID{{}}}, nil
}

// Reset implements machine.MachineServiceServer.
func (s *service) Reset(_ context.Context, request *machine.ResetRequest) (*machine.ResetResponse, error) {
	how := talosapi.Reset{
		Graceful: request.GetGraceful(), Reboot: request.GetReboot(),
		SystemDiskOnly: request.GetMode() == machine.ResetRequest_SYSTEM_DISK,
	}
	for _, partition := range request.GetSystemPartitionsToWipe() {
		how.Partitions = append(how.Partitions, partition.GetLabel())
	}

	s.node.locked(func() { s.node.resets = append(s.node.resets, how) })

	return &machine.ResetResponse{Messages: []*machine.Reset{{}}}, nil
}

// Reboot implements machine.MachineServiceServer.
func (s *service) Reboot(context.Context, *machine.RebootRequest) (*machine.RebootResponse, error) {
	return &machine.RebootResponse{Messages: []*machine.Reboot{{}}}, nil
}

// Upgrade implements machine.MachineServiceServer: the node runs at once what the image's tag names.
func (s *service) Upgrade(_ context.Context, request *machine.UpgradeRequest) (*machine.UpgradeResponse, error) {
	s.node.locked(func() {
		if !s.node.rollsBack {
			s.node.version = tag(request.GetImage())
		}
	})

	return &machine.UpgradeResponse{Messages: []*machine.Upgrade{{}}}, nil
}
