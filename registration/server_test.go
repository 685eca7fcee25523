package registration

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// served is a service that has nothing behind it, on the loopback.
type served struct {
	*grpc.ClientConn
	log *lockedBuffer
	// counted is how often each method ended with each code.
	counted func(call string) int
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.text.String()
}

// connect serves over HTTP/2 as the HTTP boot server does.
func connect(t *testing.T) served {
	t.Helper()

	var mu sync.Mutex

	counts, log := map[string]int{}, &lockedBuffer{}
	handler := NewServer(New(Config{
		Logger: slog.New(slog.NewTextHandler(log, nil)),
		Observe: func(method, code string) {
			mu.Lock()
			defer mu.Unlock()
			counts[method+" "+code]++
		},
	}))

	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()

	connection, err := grpc.NewClient(server.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		connection.Close()
		server.Close()
	})

	return served{connection, log, func(call string) int {
		mu.Lock()
		defer mu.Unlock()

		return counts[call]
	}}
}

func TestPanicIsAnAnswer(t *testing.T) {
	server := connect(t)
	client, log := api.NewAgentClient(server), server.log

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
	client := api.NewAgentClient(connect(t))

	for range requestsAtOnce * 10 {
		if _, err := client.CreateServer(context.Background(), &api.CreateServerRequest{}); status.Code(err) == codes.ResourceExhausted {
			return
		}
	}

	t.Error("one address may ask for ever")
}

// rawCodec sends bytes as they are.
type rawCodec struct{ encoding.CodecV2 }

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

// TestWhatCannotBeDecoded: grpc refuses it by itself; it is logged and counted all the same.
func TestWhatCannotBeDecoded(t *testing.T) {
	const create = "/api.Agent/CreateServer"

	for name, test := range map[string]struct {
		method, request string
		code            codes.Code
		call            string
	}{
		"garbage":        {create, "\x0a\xff\xff\xff", codes.Internal, "CreateServer Internal"},
		"not UTF-8":      {create, "\x1a\x02\xff\xfe", codes.Internal, "CreateServer Internal"},
		"too large":      {create, strings.Repeat("\x12\x00", maxRequest), codes.ResourceExhausted, "CreateServer ResourceExhausted"},
		"unknown method": {"/api.Agent/Explode", "", codes.Unimplemented, "unknown Unimplemented"},
		"no UUID":        {create, "", codes.InvalidArgument, "CreateServer InvalidArgument"},
	} {
		t.Run(name, func(t *testing.T) {
			server := connect(t)

			err := server.Invoke(t.Context(), test.method, []byte(test.request), &api.CreateServerResponse{}, grpc.ForceCodecV2(rawCodec{encoding.GetCodecV2("proto")}))
			if status.Code(err) != test.code {
				t.Errorf("got %v, want %s", err, test.code)
			}

			deadline := time.After(10 * time.Second) // it is told after the answer is sent
			for server.counted(test.call) != 1 || strings.Count(server.log.String(), "registration request refused") != 1 {
				select {
				case <-deadline:
					t.Fatalf("counted %d times, log %q", server.counted(test.call), server.log)
				case <-time.After(5 * time.Millisecond):
				}
			}

			if !strings.Contains(server.log.String(), "remote=127.0.0.1:") {
				t.Errorf("the log does not say who: %s", server.log)
			}
		})
	}
}

// TestUndecodableRequestsAreLimited: they cost an address as much as others.
func TestUndecodableRequestsAreLimited(t *testing.T) {
	server := connect(t)

	for range requestsAtOnce * 10 {
		err := server.Invoke(t.Context(), "/api.Agent/CreateServer", []byte("\x0a\xff"), &api.CreateServerResponse{}, grpc.ForceCodecV2(rawCodec{encoding.GetCodecV2("proto")}))
		if status.Code(err) == codes.ResourceExhausted {
			return
		}
	}

	t.Error("one address may ask for ever")
}

func TestOversizedRequest(t *testing.T) {
	client := api.NewAgentClient(connect(t))

	_, err := client.CreateServer(t.Context(), &api.CreateServerRequest{Hostname: strings.Repeat("h", maxRequest)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}
