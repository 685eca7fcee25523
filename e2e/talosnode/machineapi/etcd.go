package machineapi

import (
	"context"
	"fmt"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// EtcdMemberList implements machine.MachineServiceServer.
func (s *service) EtcdMemberList(ctx context.Context, _ *machine.EtcdMemberListRequest) (*machine.EtcdMemberListResponse, error) {
	client, _, err := s.of.Etcd()
	if err != nil {
		return nil, err
	}

	list, err := client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list members of etcd: %w", err)
	}

	answer := &machine.EtcdMembers{Metadata: s.about(ctx)}

	for _, m := range list.Members {
		answer.LegacyMembers = append(answer.LegacyMembers, m.Name)
		answer.Members = append(answer.Members, &machine.EtcdMember{
			Id: m.ID, Hostname: m.Name, PeerUrls: m.PeerURLs, ClientUrls: m.ClientURLs, IsLearner: m.IsLearner,
		})
	}

	return &machine.EtcdMemberListResponse{Messages: []*machine.EtcdMembers{answer}}, nil
}

// EtcdStatus implements machine.MachineServiceServer.
func (s *service) EtcdStatus(ctx context.Context, _ *emptypb.Empty) (*machine.EtcdStatusResponse, error) {
	client, id, err := s.of.Etcd()
	if err != nil {
		return nil, err
	}

	is, err := client.Status(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("tell status of etcd: %w", err)
	}

	return &machine.EtcdStatusResponse{Messages: []*machine.EtcdStatus{{
		Metadata: s.about(ctx),
		MemberStatus: &machine.EtcdMemberStatus{
			MemberId: id, ProtocolVersion: is.Version, StorageVersion: is.StorageVersion, DbSize: is.DbSize, DbSizeInUse: is.DbSizeInUse,
			Leader: is.Leader, RaftIndex: is.RaftIndex, RaftTerm: is.RaftTerm, RaftAppliedIndex: is.RaftAppliedIndex,
			Errors: is.Errors, IsLearner: is.IsLearner,
		},
	}}}, nil
}

// EtcdForfeitLeadership implements machine.MachineServiceServer.
func (s *service) EtcdForfeitLeadership(
	ctx context.Context, _ *machine.EtcdForfeitLeadershipRequest,
) (*machine.EtcdForfeitLeadershipResponse, error) {
	client, id, err := s.of.Etcd()
	if err != nil {
		return nil, err
	}

	list, err := client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list members of etcd: %w", err)
	}

	answer := &machine.EtcdForfeitLeadership{Metadata: s.about(ctx)}

	is, err := client.Status(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("tell status of etcd: %w", err)
	}

	if is.Leader == id {
		next := successor(list.Members, id)
		if next == nil {
			return nil, status.Error(codes.FailedPrecondition, "cannot forfeit leadership, only one member")
		}

		if _, err := client.MoveLeader(ctx, next.ID); err != nil {
			return nil, fmt.Errorf("give up leadership of etcd: %w", err)
		}

		answer.Member = next.Name
	}

	return &machine.EtcdForfeitLeadershipResponse{Messages: []*machine.EtcdForfeitLeadership{answer}}, nil
}

// successor is another member that may lead.
func successor(members []*etcdserverpb.Member, but uint64) *etcdserverpb.Member {
	for _, m := range members {
		if m.ID != but && !m.IsLearner && m.Name != "" {
			return m
		}
	}

	return nil
}

// EtcdLeaveCluster implements machine.MachineServiceServer.
func (s *service) EtcdLeaveCluster(ctx context.Context, _ *machine.EtcdLeaveClusterRequest) (*machine.EtcdLeaveClusterResponse, error) {
	if err := s.of.LeaveEtcd(ctx); err != nil {
		return nil, err
	}

	return &machine.EtcdLeaveClusterResponse{Messages: []*machine.EtcdLeaveCluster{{Metadata: s.about(ctx)}}}, nil
}

// EtcdRemoveMemberByID implements machine.MachineServiceServer.
func (s *service) EtcdRemoveMemberByID(
	ctx context.Context, request *machine.EtcdRemoveMemberByIDRequest,
) (*machine.EtcdRemoveMemberByIDResponse, error) {
	client, _, err := s.of.Etcd()
	if err != nil {
		return nil, err
	}

	if _, err := client.MemberRemove(ctx, request.GetMemberId()); err != nil {
		return nil, fmt.Errorf("remove member of etcd: %w", err)
	}

	return &machine.EtcdRemoveMemberByIDResponse{Messages: []*machine.EtcdRemoveMemberByID{{Metadata: s.about(ctx)}}}, nil
}

// EtcdAlarmList implements machine.MachineServiceServer.
func (s *service) EtcdAlarmList(ctx context.Context, _ *emptypb.Empty) (*machine.EtcdAlarmListResponse, error) {
	client, _, err := s.of.Etcd()
	if err != nil {
		return nil, err
	}

	list, err := client.AlarmList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list alarms of etcd: %w", err)
	}

	answer := &machine.EtcdAlarm{Metadata: s.about(ctx)}
	for _, a := range list.Alarms {
		answer.MemberAlarms = append(answer.MemberAlarms, &machine.EtcdMemberAlarm{
			MemberId: a.MemberID, Alarm: machine.EtcdMemberAlarm_AlarmType(a.Alarm),
		})
	}

	return &machine.EtcdAlarmListResponse{Messages: []*machine.EtcdAlarm{answer}}, nil
}
