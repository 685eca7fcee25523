package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/appliance/buildinfo"
	"github.com/sidero-appliance/sidero-appliance/appliance/logging"
	"github.com/sidero-appliance/sidero-appliance/appliance/network"
	"github.com/sidero-appliance/sidero-appliance/appliance/preflight"
	"github.com/sidero-appliance/sidero-appliance/appliance/supervisor"
	"github.com/sidero-appliance/sidero-appliance/storage"
)

func (p program) runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Start the appliance",
		Long: `Start the appliance and keep it running until it is told to stop (Ctrl-C, SIGTERM,
or its terminal is closed). Everything it keeps is in one directory, --data-dir.

It works beside the DHCP server that your network has: that one goes on handing
out addresses, the appliance only adds how to boot. Machines that do not ask for
a network boot get no answer from it.

It needs the rights to use low ports and to send raw frames: run it as root, or
use the systemd unit that "make install" brings.

Each setting can be given as a flag, as a variable in the environment, or in the
configuration file; the first of these wins. docs/flags.md lists all names.`,
		Example: `  # On the network of the default route, with data in /var/lib/sidero-appliance:
  sidero-appliance run

  # The machines are on another network interface:
  sidero-appliance run --interface eth1

  # Try it out, with the data somewhere else, and accept every machine:
  sidero-appliance run --data-dir ./data --auto-accept-servers`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := p.load(cmd.Flags())
			if err != nil {
				return err
			}
			return working(p.run(cmd.Context(), config))
		},
	}
	cmd.Flags().SortFlags = false
	bindFlags(cmd.Flags())
	for flag, choices := range map[string][]string{
		"dhcp":       {string(DHCPProxy), string(DHCPOff)},
		"log-level":  {"debug", "info", "warn", "error"},
		"log-format": {string(LogText), string(LogJSON)},
	} {
		if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flag does not exist: a mistake in this function
		}
	}
	return cmd
}

// site is the place where the components are put: the configuration and what
// was found out about this machine.
type site struct {
	Config
	Log *slog.Logger
	// Interfaces to serve machines on, at least one.
	Interfaces []network.Interface
	// Advertise is the address that machines and kubeconfigs use.
	Advertise netip.Addr
	// Link is where machines in use find SideroLink.
	Link netip.AddrPort
	// Checks asks every component, but those named, whether it serves, once they run.
	Checks func(ctx context.Context, except ...string) []supervisor.Check
}

// BaseURL is how machines reach the HTTP server.
func (s site) BaseURL() string {
	return "http://" + net.JoinHostPort(s.Advertise.String(), strconv.Itoa(s.AdvertisedHTTPPort()))
}

// bootAddress is the IPv4 address that DHCP names to machines; it is not valid if there is none.
func (s site) bootAddress() netip.Addr {
	if s.Advertise.Is4() {
		return s.Advertise
	}
	for _, i := range s.Interfaces {
		if a := i.IPv4(); a.IsValid() {
			return a
		}
	}
	return netip.Addr{}
}

func (p program) run(ctx context.Context, loaded Loaded) error {
	signal.Ignore(unix.SIGPIPE) // the reader of the log may go away
	unix.Umask(0o077)           // whatever is made from here on, by any library, is for its owner only
	log := logging.New(logging.Config{Writer: p.stderr, Level: loaded.LogLevel, JSON: loaded.LogFormat == LogJSON})
	logging.CaptureLibraries(log)
	hurry(storage.Size(filepath.Join(loaded.DataDir, "etcd")))
	log.Info("starting", "version", buildinfo.Version(), "commit", buildinfo.Commit(), "path", loaded.DataDir)
	logSources(log, loaded)
	place, err := survey(ctx, loaded.Config)
	if err != nil {
		return err
	}
	place.Log = log
	warnOfLoopback(place)
	lock, err := prepare(ctx, place)
	if err != nil {
		return err
	}
	return errors.Join(p.supervise(ctx, place), lock.Release())
}

func logSources(log *slog.Logger, loaded Loaded) {
	for _, o := range loaded.Overrides {
		log.Info("setting comes from the environment", "setting", o.Key, "variable", o.Variable, "value", o.Value)
	}
	for _, name := range loaded.Ignored {
		log.Warn("variable has no effect: this version has no such setting", "variable", name)
	}
}

// warnOfLoopback is for an interface that only this machine is on.
func warnOfLoopback(s site) {
	for _, i := range s.Interfaces {
		if i.Loopback {
			s.Log.Warn("no machine can be reached by the loopback: choose another with --interface", "interface", i.Name)
		}
	}
}

// survey finds the interfaces and the address.
func survey(ctx context.Context, c Config) (site, error) {
	host, err := network.Read()
	if err != nil {
		return site{}, err
	}
	selected, err := network.Select(host, c.Interfaces)
	if err != nil {
		return site{}, err
	}
	wanted, err := network.Resolve(ctx, net.DefaultResolver, c.AdvertiseAddress)
	if err != nil {
		return site{}, err
	}
	address, err := network.Advertise(selected, wanted)
	if err != nil {
		return site{}, err
	}
	link, err := network.Resolve(ctx, net.DefaultResolver, cmp.Or(c.WireGuardEndpoint, address.String()))
	if err != nil {
		return site{}, fmt.Errorf("find --wireguard-endpoint: %w", err)
	}
	return site{Config: c, Interfaces: selected, Advertise: address, Link: netip.AddrPortFrom(link, uint16(c.WireGuardPort))}, nil //nolint:gosec // a valid port
}

// prepare checks what commonly goes wrong, all of it, and claims the data directory.
func prepare(ctx context.Context, s site) (*preflight.Lock, error) {
	if err := preflight.DataDir(s.DataDir); err != nil {
		return nil, err
	}
	lock, err := preflight.Claim(s.DataDir)
	if err != nil {
		return nil, err // every port would be told to be in use, by that other instance
	}
	effective, err := preflight.EffectiveCapabilities()
	errs := []error{err}
	program, err := os.Executable()
	errs = append(errs, err)
	ports := listeners(s)
	needs := preflight.Needs(ports, preflight.FirstUnprivilegedPort(), s.DHCP != DHCPOff)
	errs = append(errs, preflight.MissingCapabilities(effective, needs, program)...)
	errs = append(errs, preflight.BusyPorts(ctx, ports)...)
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return lock, nil
}

// listeners are the ports of docs/architecture.md.
func listeners(s site) []preflight.Listener {
	all := []preflight.Listener{
		{Network: "tcp", Port: s.SecurePort, Cure: "choose another port with --secure-port"},
		{Network: "tcp", Port: s.HTTPPort, Cure: "choose another port with --http-port"},
		{Network: "tcp", Host: "127.0.0.1", Port: HealthPort},
		{Network: "udp", Port: TFTPPort},
		{Network: "udp", Port: s.WireGuardPort, Cure: "choose another port with --wireguard-port"},
	}
	if s.DHCP == DHCPOff {
		return all
	}
	for _, i := range s.Interfaces {
		for _, port := range []int{DHCPPort, DHCPBootPort} {
			all = append(all, preflight.Listener{Network: "udp", Port: port, Device: i.Name, Cure: "answer no DHCP with --dhcp=off"})
		}
	}
	return all
}

// supervise makes the components and runs them to the end.
func (p program) supervise(ctx context.Context, s site) error {
	var running *supervisor.Supervisor // set before anything can ask
	s.Checks = func(ctx context.Context, except ...string) []supervisor.Check { return running.Checks(ctx, except...) }
	components, err := p.compose(s)
	if err != nil {
		return err
	}
	running = supervisor.New(supervisor.Config{
		Components: components,
		Log:        s.Log,
		OnReady: func() {
			go settle(ctx)
			notify(s.Log, daemon.SdNotifyReady)
			if err := greet(p.stdout, s); err != nil {
				s.Log.Warn("cannot print what to do next", "error", err)
			}
		},
		OnStop: func() { notify(s.Log, daemon.SdNotifyStopping) },
	})
	return running.Run(ctx)
}

// notify tells systemd, if it started this process, by sd_notify(3).
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot tell systemd", "stage", state, "error", fmt.Errorf("notify systemd: %w", err))
	}
}
