package hall

import (
	"context"
	"net"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/machineapi"
)

// etcd is a client of a cluster's list of members.
type etcd struct{ cluster *cluster }

var _ machineapi.Etcd = etcd{}

// MemberList implements machineapi.Etcd.
func (e etcd) MemberList(context.Context, ...clientv3.OpOption) (*clientv3.MemberListResponse, error) {
	list := &clientv3.MemberListResponse{}
	for _, m := range e.cluster.list() {
		list.Members = append(list.Members, &etcdserverpb.Member{
			ID: m.id, Name: m.name, PeerURLs: []string{"https://" + net.JoinHostPort(m.address, "2380")},
			ClientURLs: []string{"https://" + net.JoinHostPort(m.address, "2379")},
		})
	}

	return list, nil
}

// MemberRemove implements machineapi.Etcd.
func (e etcd) MemberRemove(_ context.Context, id uint64) (*clientv3.MemberRemoveResponse, error) {
	return &clientv3.MemberRemoveResponse{}, e.cluster.remove(id)
}

// Status implements machineapi.Etcd.
func (e etcd) Status(context.Context, string) (*clientv3.StatusResponse, error) {
	is := &clientv3.StatusResponse{}
	if members := e.cluster.list(); len(members) > 0 {
		is.Leader = members[0].id
	}

	return is, nil
}

// MoveLeader implements machineapi.Etcd.
func (e etcd) MoveLeader(_ context.Context, to uint64) (*clientv3.MoveLeaderResponse, error) {
	return &clientv3.MoveLeaderResponse{}, e.cluster.lead(to)
}

// AlarmList implements machineapi.Etcd.
func (etcd) AlarmList(context.Context) (*clientv3.AlarmResponse, error) {
	return &clientv3.AlarmResponse{}, nil
}
