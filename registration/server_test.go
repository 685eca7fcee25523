package registration

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// connect serves a service that has nothing behind it on the loopback, and returns a client and the log.
func connect(t *testing.T) (api.AgentClient, *bytes.Buffer) {
	t.Helper()

	log := &bytes.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	server := NewServer(New(Config{Logger: logger}), logger)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	done := make(chan error, 1)

	go func() { done <- server.Serve(listener) }()

	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		connection.Close()
		server.Stop()
		<-done
	})

	return api.NewAgentClient(connection), log
}

func TestPanicIsAnAnswer(t *testing.T) {
	client, log := connect(t)

	// The service has no client for the API, so it panics.
	_, err := client.Heartbeat(t.Context(), &api.HeartbeatRequest{Uuid: "4c4c4544-0042-3510-8051-b4c04f564432"})
	if status.Code(err) != codes.Internal {
		t.Errorf("got %v", err)
	}

	if !strings.Contains(log.String(), "panicked") {
		t.Errorf("the log says %q", log)
	}
}

func TestOneAddressIsLimited(t *testing.T) {
	client, _ := connect(t)

	for range requestsAtOnce * 10 {
		if _, err := client.CreateServer(context.Background(), &api.CreateServerRequest{}); status.Code(err) == codes.ResourceExhausted {
			return
		}
	}

	t.Error("one address may ask for ever")
}

func TestOversizedRequest(t *testing.T) {
	client, _ := connect(t)

	_, err := client.CreateServer(t.Context(), &api.CreateServerRequest{Hostname: strings.Repeat("h", maxRequest)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}
