package registration

import (
	"bytes"
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

	"github.com/sidero-appliance/sidero-appliance/netboot/quiet"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// served is a service that has nothing behind it, on the loopback.
type served struct {
	*grpc.ClientConn
	log *lockedBuffer
	// ended is how the first call ended that nobody has looked at yet: its method and its code.
	ended chan string
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

	log, ended := &lockedBuffer{}, make(chan string, 1)
	handler := NewServer(New(Config{
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Quiet:  quiet.New(time.Now).Level,
		Observe: func(method, code string) {
			select {
			case ended <- method + " " + code:
			default:
			}
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

	return served{connection, log, ended}
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

// rawCodec sends bytes as they are.
type rawCodec struct{ encoding.CodecV2 }

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

// send makes a call with a request that no honest client sends.
func (s served) send(t *testing.T, method, request string) error {
	t.Helper()

	return s.Invoke(t.Context(), method, []byte(request), &api.CreateServerResponse{}, grpc.ForceCodecV2(rawCodec{encoding.GetCodecV2("proto")}))
}

const (
	create = "/api.Agent/CreateServer"
	tell   = "/sidero.appliance.v1.Orders/Report"
)

// badRequests is what is refused before the API is asked, and with which code. Most of it no interceptor of grpc sees.
var badRequests = map[string]struct {
	method, request string
	code            codes.Code
	ended           string
	reason          string
}{
	"garbage":        {create, "\x0a\xff\xff\xff", codes.InvalidArgument, "CreateServer InvalidArgument", "error unmarshalling request"},
	"not UTF-8":      {create, "\x1a\x02\xff\xfe", codes.InvalidArgument, "CreateServer InvalidArgument", "invalid UTF-8"},
	"too large":      {create, strings.Repeat("\x12\x00", maxRequest), codes.ResourceExhausted, "CreateServer ResourceExhausted", "larger than max"},
	"unknown method": {"/api.Agent/Explode", "", codes.Unimplemented, "unknown Unimplemented", "no such method"},
	"no service":     {"/Explode", "", codes.Unimplemented, "unknown Unimplemented", "no such method"},
	"garbage orders": {"/sidero.appliance.v1.Orders/Wait", "\x0a\xff\xff\xff", codes.InvalidArgument, "Wait InvalidArgument", "error unmarshalling request"},
	"large report":   {tell, strings.Repeat("\x12\x00", maxRequest), codes.ResourceExhausted, "Report ResourceExhausted", "larger than max"},
	"empty report":   {tell, "\x0a\x24" + "4c4c4544-0042-3510-8051-b4c04f564432", codes.InvalidArgument, "Report InvalidArgument", "none of plan"},
	"nameless":       {tell, "", codes.InvalidArgument, "Report InvalidArgument", "is not of the form"},
	"no order":       {"/sidero.appliance.v1.Orders/CreateServer", "", codes.Unimplemented, "unknown Unimplemented", "no such method"},
	"no UUID":        {create, "", codes.InvalidArgument, "CreateServer InvalidArgument", "no system information"},
}

func TestBadRequestsAreRefused(t *testing.T) {
	for name, test := range badRequests {
		t.Run(name, func(t *testing.T) {
			server := connect(t)

			if err := server.send(t, test.method, test.request); status.Code(err) != test.code || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, want %s and %q in it", err, test.code, test.reason)
			}

			if ended := <-server.ended; ended != test.ended {
				t.Errorf("counted as %q, want %q", ended, test.ended)
			}

			log := server.log.String()
			for _, want := range []string{"registration request refused", "level=WARN", "remote=127.0.0.1:", test.reason} {
				if strings.Count(log, want) != 1 {
					t.Errorf("the log does not say %q once:\n%s", want, log)
				}
			}
		})
	}
}

// TestOneAddressIsLimited sends more than one address may: all requests count, and the log stays short.
func TestOneAddressIsLimited(t *testing.T) {
	for name, test := range badRequests {
		t.Run(name, func(t *testing.T) {
			server := connect(t)

			limited := func() bool {
				return strings.Contains(status.Convert(server.send(t, test.method, test.request)).Message(), "too many requests")
			}
			for sent := 0; !limited(); sent++ {
				if sent == requestsAtOnce*10 {
					t.Fatal("one address may ask for ever")
				}
			}

			// One line of each kind, which may be the same, and another of each should a minute end meanwhile.
			if lines := strings.Count(server.log.String(), "level=WARN"); lines < 1 || lines > 4 {
				t.Errorf("%d warnings:\n%.2000s", lines, server.log)
			}
		})
	}
}
