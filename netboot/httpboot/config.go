package httpboot

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets"
	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
)

// Config is what a Server needs. Every field is required unless it says otherwise.
type Config struct {
	// Address to listen on, such as :8081.
	Address string
	// BaseURL is how machines reach this server: http://HOST:PORT. It is written into every script.
	BaseURL string
	// ExtraAgentArgs replace the agent's kernel arguments that have the same key. Optional.
	ExtraAgentArgs []string
	Files          Files
	// Programs are the boot programs of legacy BIOS among the boot files. They have no script inside and look for none, so a
	// running one that is given its own address by the network's DHCP server gets the script there. Optional.
	Programs []string
	Machines Machines
	// Talos says where nodes report to, and FromDisk how machines start from their disk where nothing else says it. Optional.
	Talos    func() bootplan.Talos
	FromDisk bootplan.FromDisk
	// Configurations serves /configdata, whatever the method. Optional.
	Configurations http.Handler
	// GRPC serves HTTP/2 requests whose content type is application/grpc.
	GRPC http.Handler
	// Observe is told of every other request after its end. It must not block. Optional.
	Observe func(Observation)
	Log     *slog.Logger
	// Limits on what clients hold on to; zero values mean the defaults. Optional.
	Limits Limits
}

// Files finds what machines load; assets.Catalogue does. A file that does not exist is fs.ErrNotExist.
type Files interface {
	BootFile(name string) (assets.File, error)
	EnvironmentFile(environment, name string) (assets.File, error)
}

// Machines tells what the API knows about a machine, without a call over the network. A machine that never registered is
// not an error but the zero Server, and so is one that may be another with the same UUID.
type Machines interface {
	Server(ctx context.Context, asks bootplan.Request) (bootplan.Server, error)
}

// DefaultDrain is how long running transfers may take to finish when the server stops.
const DefaultDrain = 30 * time.Second

// Limits end what does not move and bound what there is at once. No limit is set on a whole transfer: a large file over a
// slow link takes its time.
type Limits struct {
	// Header is how long a client may take to send a request's header: 10 s.
	Header time.Duration
	// Idle is how long a connection is kept between requests: 2 min.
	Idle time.Duration
	// Stall is how long a response may stand still: 30 s. At most some hundred KiB have to leave in that time. A request's body has
	// as long in all: what calls of gRPC hold is small, and other requests have none. A response of gRPC has no limit of its
	// own; it ends with a connection over which nothing leaves.
	Stall time.Duration
	// Drain is how long running transfers may take to finish when the server stops: DefaultDrain.
	Drain time.Duration
	// Connections are those open at once: 1024. Further ones are closed unheard.
	Connections int
	// ConnectionsPerAddress are those that one client address may have while there is room for any: 64. A machine needs two. More
	// than that, for a hall behind NAT whose machines wait for orders, an address may have as long as as many are free: half of
	// all for the first, half of the rest for the next, and something is always left for all others.
	ConnectionsPerAddress int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Header: cmp.Or(l.Header, 10*time.Second),
		Idle:   cmp.Or(l.Idle, 2*time.Minute),
		Stall:  cmp.Or(l.Stall, 30*time.Second),
		Drain:  cmp.Or(l.Drain, DefaultDrain),

		Connections:           cmp.Or(l.Connections, 1024),
		ConnectionsPerAddress: cmp.Or(l.ConnectionsPerAddress, 64),
	}
}

// Kind is what a request was for.
type Kind string

// The kinds of requests. They are metric labels and steps of the boot timeline.
const (
	// KindBootScript is the script a machine starts with.
	KindBootScript Kind = "boot-script"
	// KindPlan is a machine asking what it boots.
	KindPlan Kind = "plan"
	// KindEnvironment is a kernel or initial RAM disk.
	KindEnvironment Kind = "environment"
	// KindBootFile is iPXE, or a file of the operator's.
	KindBootFile Kind = "boot-file"
	// KindConfiguration is a machine's configuration.
	KindConfiguration Kind = "configuration"
	// KindUnknown is an address that nothing is served at.
	KindUnknown Kind = "unknown"
	// KindMalformed is what came over a connection and was no valid request, after which it ended. Its Status is 0.
	KindMalformed Kind = "malformed"
)

// Observation is one request and what became of it.
type Observation struct {
	Kind Kind
	// Path with query as the client sent it, without its token, cut to 512 bytes.
	Path   string
	Remote string
	// UUID and MAC that a machine gave in a valid KindPlan request.
	UUID, MAC string
	// Plan is what a machine was told to boot, for people.
	Plan   string
	Status int
	// Bytes of the body that were handed to the network.
	Bytes    int64
	Duration time.Duration
	// Err is why the request was refused or the transfer cut; nil when it was served.
	Err error
}
