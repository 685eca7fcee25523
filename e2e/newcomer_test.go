//go:build e2e

package e2e_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// connect is the connection of processes that stand for machines.
func connect(t testing.TB, i *installation.Installation) api.AgentClient {
	t.Helper()

	conn, err := i.Machines()
	conn = must(t, conn, err)
	t.Cleanup(func() { _ = conn.Close() })

	return api.NewAgentClient(conn)
}

// newcomer is the UUID of the n-th machine that is only a process.
func newcomer(n int) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, binary.BigEndian.AppendUint64([]byte("newcomer"), uint64(n))).String()
}

// registerOnce registers a machine with its address, as the agent does.
func registerOnce(ctx context.Context, agents api.AgentClient, name string) error {
	_, err := agents.CreateServer(ctx, &api.CreateServerRequest{Hardware: &api.HardwareInformation{
		System: &api.SystemInformation{Uuid: name, SerialNumber: serial(name)},
		Memory: &api.MemoryInformation{TotalSize: 4096},
	}})
	if err != nil {
		return fmt.Errorf("register %s: %w", name, err)
	}

	_, err = agents.ReconcileServerAddresses(ctx, &api.ReconcileServerAddressesRequest{
		Uuid: name, Address: []*api.Address{{Type: "InternalIP", Address: newcomersAddress}},
	})
	if err != nil {
		return fmt.Errorf("report address of %s: %w", name, err)
	}

	return nil
}

const newcomersAddress = "172.30.0.200"

func serial(name string) string { return "S-" + name[:8] }

func register(ctx context.Context, t testing.TB, agents api.AgentClient, name string) {
	t.Helper()

	if err := registerOnce(ctx, agents, name); err != nil {
		t.Fatal(err)
	}
}
