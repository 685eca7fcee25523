package talosapi

import (
	"context"
	"fmt"

	cosi "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
)

// node is a Node by gRPC.
type node struct {
	address    string
	connection *grpc.ClientConn
	api        machine.MachineServiceClient
	resources  cosi.StateClient
}

// Close implements Node.
func (n *node) Close() error {
	if err := n.connection.Close(); err != nil {
		return fmt.Errorf("close connection to %s: %w", n.address, err)
	}

	return nil
}

// Version implements Node.
func (n *node) Version(ctx context.Context) (string, error) {
	answer, err := ask(ctx, n.to("tell version"), n.api.Version, &emptypb.Empty{})
	if err != nil {
		return "", err
	}

	return answer.GetVersion().GetTag(), nil
}

// Services implements Node.
func (n *node) Services(ctx context.Context) ([]Service, error) {
	answer, err := ask(ctx, n.to("list services"), n.api.ServiceList, &emptypb.Empty{})
	if err != nil {
		return nil, err
	}

	var services []Service

	for _, s := range answer.GetServices() {
		health := s.GetHealth()
		services = append(services, Service{
			ID: s.GetId(), State: s.GetState(), Message: health.GetLastMessage(),
			Healthy: health.GetHealthy() || health.GetUnknown() && s.GetState() == "Running",
		})
	}

	return services, nil
}

// Bootstrap implements Node.
func (n *node) Bootstrap(ctx context.Context) error {
	_, err := ask(ctx, n.to("bootstrap"), n.api.Bootstrap, &machine.BootstrapRequest{})
	if code(err) == codes.AlreadyExists {
		return fmt.Errorf("%w: %w", ErrBootstrapped, err)
	}

	return err
}

// EtcdMembers implements Node.
func (n *node) EtcdMembers(ctx context.Context) ([]Member, error) {
	answer, err := ask(ctx, n.to("list members of etcd"), n.api.EtcdMemberList, &machine.EtcdMemberListRequest{})
	if err != nil {
		return nil, err
	}

	var members []Member
	for _, m := range answer.GetMembers() {
		members = append(members, Member{ID: m.GetId(), Hostname: m.GetHostname(), PeerURLs: m.GetPeerUrls(), Learner: m.GetIsLearner()})
	}

	return members, nil
}

// EtcdStatus implements Node.
func (n *node) EtcdStatus(ctx context.Context) (EtcdStatus, error) {
	answer, err := ask(ctx, n.to("tell status of etcd"), n.api.EtcdStatus, &emptypb.Empty{})
	if err != nil {
		return EtcdStatus{}, err
	}

	s := answer.GetMemberStatus()

	return EtcdStatus{ID: s.GetMemberId(), Leader: s.GetLeader(), Learner: s.GetIsLearner(), Errors: s.GetErrors()}, nil
}

// EtcdForfeitLeadership implements Node.
func (n *node) EtcdForfeitLeadership(ctx context.Context) error {
	_, err := ask(ctx, n.to("give up leadership of etcd"), n.api.EtcdForfeitLeadership, &machine.EtcdForfeitLeadershipRequest{})

	return err
}

// EtcdLeave implements Node.
func (n *node) EtcdLeave(ctx context.Context) error {
	_, err := ask(ctx, n.to("leave etcd").slowly(), n.api.EtcdLeaveCluster, &machine.EtcdLeaveClusterRequest{})

	return err
}

// EtcdRemoveMember implements Node.
func (n *node) EtcdRemoveMember(ctx context.Context, id uint64) error {
	_, err := ask(ctx, n.to("remove member of etcd"), n.api.EtcdRemoveMemberByID, &machine.EtcdRemoveMemberByIDRequest{MemberId: id})

	return err
}

// Reset implements Node.
func (n *node) Reset(ctx context.Context, how Reset) error {
	request := &machine.ResetRequest{Graceful: how.Graceful, Reboot: how.Reboot}
	if how.SystemDiskOnly {
		request.Mode = machine.ResetRequest_SYSTEM_DISK
	}

	for _, label := range how.Partitions {
		request.SystemPartitionsToWipe = append(request.SystemPartitionsToWipe, &machine.ResetPartitionSpec{Label: label, Wipe: true})
	}

	_, err := ask(ctx, n.to("reset").slowly(), n.api.Reset, request)

	return err
}

// Reboot implements Node.
func (n *node) Reboot(ctx context.Context) error {
	_, err := ask(ctx, n.to("reboot"), n.api.Reboot, &machine.RebootRequest{})

	return err
}

// Upgrade implements Node.
func (n *node) Upgrade(ctx context.Context, image string) error {
	//nolint:staticcheck // what is to come in its place is known to the newest nodes only
	_, err := ask(ctx, n.to("upgrade").slowly(), n.api.Upgrade, &machine.UpgradeRequest{Image: image, Preserve: true})

	return err
}
