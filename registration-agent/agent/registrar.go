package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/console"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/inventory"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/network"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/step"
)

const (
	// callTimeout bounds one call, as Sidero's agent does.
	callTimeout = 30 * time.Second
	// connectTimeout ends a connection attempt that nothing answers, so that its cause
	// is shown well before the call's time is over.
	connectTimeout = 10 * time.Second
)

// registrar is the conversation with one appliance.
type registrar struct {
	agent    *Agent
	endpoint string
	link     network.Link
	conn     *grpc.ClientConn
	client   api.AgentClient
	bmc      *bmcSetup

	// caller is told who the machine is with each description of it.
	caller *caller

	// sources are of the last description of the machine; told is what the appliance took of
	// them beyond Sidero's protocol, nil if it takes nothing.
	sources inventory.Sources
	told    *api.TellRequest
	// hardware is what was registered last; registered says that the last try worked.
	hardware   *api.HardwareInformation
	registered bool

	// shown is the last screen, to tell what is new, and shownAt its time. A wipe shows
	// screens beside the main line.
	mu      sync.Mutex
	shown   string
	shownAt time.Time
}

func dial(agent *Agent, endpoint string, link network.Link) (*registrar, error) {
	from := &caller{}
	options := []grpc.DialOption{
		grpc.WithUnaryInterceptor(from.call),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: agent.Pace.FirstRetry / 2, Multiplier: 1.6, Jitter: 0.2, MaxDelay: agent.Pace.LastRetry},
			MinConnectTimeout: connectTimeout,
		}),
	}
	if agent.Machine.Dial != nil {
		options = append(options, grpc.WithContextDialer(agent.Machine.Dial))
	}
	conn, err := grpc.NewClient("passthrough:///"+endpoint, options...)
	if err != nil {
		return nil, fmt.Errorf("make connection to %s: %w", endpoint, err)
	}
	r := &registrar{agent: agent, endpoint: endpoint, link: link, conn: conn, client: api.NewAgentClient(conn), caller: from}
	r.bmc = &bmcSetup{registrar: r}
	return r, nil
}

func (r *registrar) close() { _ = r.conn.Close() }

// run registers, and follows orders, if the server gives any. Every few minutes it
// registers again, so that the appliance sees a new disk or address and learns of the
// machine if it has lost it, and so that the screen comes back in sight. It ends with
// ctx, or when the machine cannot be described.
func (r *registrar) run(ctx context.Context) error {
	o := &orders{registrar: r, client: api.NewOrdersClient(r.conn)}
	defer o.stop()
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		r.bmc.await(context.Background())
	}()
	for {
		reply, err := r.persist(ctx)
		if err != nil {
			return err
		}
		r.tellMore(ctx)
		until := time.Now().Add(r.agent.Pace.Refresh)
		err = o.follow(ctx, until)
		if errors.Is(err, errNoOrders) {
			r.bmc.grant(ctx, repliedWish(reply), nil)
			r.display(r.screen(r.hardware, reply))
			err = pause.For(ctx, time.Until(until))
		}
		if err != nil {
			return err
		}
		if err := r.agent.drivers(ctx); err != nil {
			return err
		}
	}
}

// persist registers, trying until it works.
func (r *registrar) persist(ctx context.Context) (*api.CreateServerResponse, error) {
	pace := r.agent.Pace
	for wait := pace.FirstRetry; ; wait = min(2*wait, pace.LastRetry) {
		hardware, addresses, err := r.describe()
		if err != nil {
			return nil, err
		}
		began := time.Now()
		reply, err := r.register(ctx, hardware, addresses)
		if err == nil {
			r.report(hardware, time.Since(began))
			return reply, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.registered = false
		r.complain("register with", err)
		if err := pause.For(ctx, wait); err != nil {
			return nil, err
		}
		// gRPC's own back-off would go on refusing calls after an appliance is back.
		r.conn.ResetConnectBackoff()
	}
}

func (r *registrar) describe() (*api.HardwareInformation, []*api.Address, error) {
	const named = "describe the machine"
	machine := r.agent.Machine
	tables, err := machine.SMBIOS()
	if err != nil {
		return nil, nil, step.Failed(named, err, "that the firmware gives SMBIOS tables (a firmware update may help): the machine's UUID is in them")
	}
	interfaces, err := machine.Interfaces()
	if err != nil {
		return nil, nil, step.Failed(named, err, "nothing on site: the kernel does not list its interfaces")
	}
	disks, err := disk.List(machine.Sys, nil)
	if err != nil {
		return nil, nil, step.Failed(named, err, "nothing on site: the kernel does not describe its devices")
	}
	r.sources = inventory.Sources{Sys: machine.Sys, SMBIOS: tables, Interfaces: interfaces, Disks: disks}
	r.caller.identity.Store(inventory.Identity(r.sources, r.link.MAC))
	return inventory.Collect(r.sources), inventory.Addresses(interfaces), nil
}

func (r *registrar) register(ctx context.Context, hardware *api.HardwareInformation, addresses []*api.Address) (*api.CreateServerResponse, error) {
	reply, err := call(ctx, r.client.CreateServer, r.registration(hardware))
	if err != nil {
		return nil, err
	}
	if _, err := call(ctx, r.client.ReconcileServerAddresses, &api.ReconcileServerAddressesRequest{Uuid: hardware.GetSystem().GetUuid(), Address: addresses}); err != nil {
		return nil, err
	}
	return reply, nil
}

func (r *registrar) registration(hardware *api.HardwareInformation) *api.CreateServerRequest {
	// A machine without a name is registered without one.
	hostname, err := r.agent.Machine.Hostname()
	if err != nil {
		hostname = ""
	}
	return &api.CreateServerRequest{Hardware: hardware, Hostname: hostname}
}

// call makes one call within its time.
func call[Request, Reply any](ctx context.Context, method func(context.Context, *Request, ...grpc.CallOption) (*Reply, error), request *Request) (*Reply, error) {
	return callWithin(ctx, callTimeout, method, request)
}

func callWithin[Request, Reply any](ctx context.Context, timeout time.Duration, method func(context.Context, *Request, ...grpc.CallOption) (*Reply, error), request *Request) (*Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return method(ctx, request)
}

// report tells of a registration that worked.
func (r *registrar) report(hardware *api.HardwareInformation, duration time.Duration) {
	r.hardware = hardware
	if !r.registered {
		r.agent.Logger.Info(console.Registered, "server", r.uuid(), "remote", r.endpoint, "duration", duration.Round(time.Millisecond)) //nolint:sloglint // a constant, of another package: tests wait for the line
	}
	r.registered = true
}

func (r *registrar) uuid() string { return r.hardware.GetSystem().GetUuid() }

// complain says why what is done with the appliance failed.
func (r *registrar) complain(doing string, err error) {
	cause := status.Convert(err).Message()
	check := checkFor(status.Code(err), r.endpoint)
	title, said := "This machine is NOT registered.", "not registered"
	if r.registered {
		title, said = "This machine is registered, but gets no orders.", "no orders"
	}
	screen := console.Screen{
		Title: title,
		Rows: []console.Row{
			{Label: "failed", Value: doing + " the appliance " + r.endpoint},
			{Label: "cause", Value: cause},
			{Label: "address", Value: r.link.Address.String() + " on " + r.link.Interface},
		},
		Advice: []string{"Check " + check + ".", "It is tried again until it works."},
	}
	if r.isNew(screen) {
		r.agent.Logger.Warn(said, "remote", r.endpoint, "error", cause) //nolint:sloglint // one of two, see above
	}
	r.display(screen)
}

// checkFor is what a person can look at after a failed call.
func checkFor(code codes.Code, endpoint string) string {
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded:
		return "that the appliance runs, that its address is " + endpoint + ", and that no firewall is in between"
	case codes.Unimplemented:
		return "what answers at " + endpoint + ": it is no appliance, or its version does not fit this agent"
	case codes.InvalidArgument, codes.FailedPrecondition, codes.AlreadyExists, codes.PermissionDenied:
		return "the appliance's log: it refused what this machine says about itself"
	default:
		return "the appliance's log"
	}
}

// isNew says that a screen tells something that the last one did not. Only then is it
// worth a line of the log: lines push the screen out of sight.
func (r *registrar) isNew(screen console.Screen) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(screen) != r.shown
}

// display shows a screen when it is new, and every few minutes even if it is not,
// because the kernel's messages may have pushed it away.
func (r *registrar) display(screen console.Screen) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprint(screen)
	if text == r.shown && time.Since(r.shownAt) < r.agent.Pace.Refresh {
		return
	}
	r.shown, r.shownAt = text, time.Now()
	r.agent.Display.Show(screen)
}
