package machineapi

import (
	"context"
	"path"

	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// everyone are the roles of those who may read.
func everyone() []role.Role { return []role.Role{role.Admin, role.Operator, role.Reader} }

// operators may also restart nodes.
func operators() []role.Role { return []role.Role{role.Admin, role.Operator} }

// roles are those that may call a method. What is not named is an administrator's.
func roles(method string) []role.Role {
	switch method {
	case "Version", "ServiceList", "Hostname", "SystemStat", "EtcdMemberList", "EtcdStatus", "EtcdAlarmList":
		return everyone()
	case "Reboot", "Shutdown", "EtcdForfeitLeadership":
		return operators()
	default:
		return []role.Role{role.Admin}
	}
}

// allowed refuses callers without a role for a method, and calls that are meant for other nodes.
func allowed(ctx context.Context, method string, of Machine) error {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return status.Error(codes.Unauthenticated, "the caller is not known")
	}

	secured, ok := caller.AuthInfo.(credentials.TLSInfo)
	if !ok || len(secured.State.PeerCertificates) == 0 {
		return status.Error(codes.Unauthenticated, "the caller has no certificate")
	}

	has, _ := role.Parse(secured.State.PeerCertificates[0].Subject.Organization)
	if !has.IncludesAny(role.MakeSet(roles(path.Base(method))...)) {
		return status.Error(codes.PermissionDenied, "not authorized")
	}

	told, _ := metadata.FromIncomingContext(ctx)
	for _, node := range append(told.Get("nodes"), told.Get("node")...) {
		if !of.Owns(node) {
			return status.Errorf(codes.Unimplemented, "this stand-in for Talos passes no calls on to other nodes, such as %s", node)
		}
	}

	return nil
}
