package node

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/version"
	"k8s.io/klog/v2"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/cmdline"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/configuration"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/link"
)

// node is one between its start and its end.
type node struct {
	Config

	arguments cmdline.Arguments
	release   string
	log       *slog.Logger
	link      *link.Link
	linked    sync.WaitGroup
	reports   bool // to somebody
}

// flushWithin bounds how long a node that ends waits for its last events to be sent.
const flushWithin = 5 * time.Second

// Run is a node from power-on until it is to be restarted or switched off, which the outcome tells; there is none when it fails or
// the context ends. It can be called once in a process.
func Run(ctx context.Context, c Config) (Outcome, error) {
	ctx, cancel := context.WithCancel(ctx)

	n := &node{Config: c, arguments: cmdline.Parse(c.Args), release: cmp.Or(c.Release, version.Tag)}
	n.link = link.New(c.Identity.UUID, n.release, c.Log)
	n.log = slog.New(n.link.Handler(c.Log.Handler()))
	klog.SetSlogLogger(slog.New(errorsOnly{c.Log.Handler()})) // Kubernetes says a lot, which a serial console is too slow for

	defer n.linked.Wait()
	defer cancel()

	outcome, err := n.run(ctx)
	if err != nil && ctx.Err() == nil {
		n.log.Error("the node fails", "error", err)
	}

	if n.reports {
		flushing, stop := context.WithTimeout(ctx, flushWithin)
		defer stop()

		n.link.Flush(flushing)
	}

	if err != nil {
		return 0, fmt.Errorf("run node: %w", err)
	}

	n.log.Info("the node ends", "outcome", outcome)

	return outcome, nil
}

func (n *node) run(ctx context.Context) (Outcome, error) {
	installed, err := n.State.Load()
	if err != nil {
		return 0, err //nolint:wrapcheck // it says what it is
	}

	if installed != nil {
		n.release, n.link.Release = installed.Release, installed.Release
	}

	n.log.Info("starts: this is a stand-in for Talos in tests, not Talos", "release", n.release, "uuid", n.Identity.UUID, "installed", installed != nil)

	to, err := n.arguments.Endpoints()
	if err != nil {
		return 0, err
	}

	n.report(ctx, to)

	var (
		text   []byte
		loaded config.Provider
	)

	err = n.sequence("initialize", func() error {
		return n.phase("config", func() error {
			text, loaded, err = n.configuration(ctx, installed)

			return err
		})
	})
	if err != nil {
		return 0, err
	}

	if !n.reports {
		n.report(ctx, endpointsOf(loaded))
	}

	if installed == nil {
		return n.install(text, loaded)
	}

	_ = n.sequence("install", nothing) // as on Talos that is installed

	return n.boot(ctx, loaded)
}

// report begins to send what the node tells, if there is somewhere to send it to.
func (n *node) report(ctx context.Context, to link.Endpoints) {
	if to.API == nil && to.Events == "" && len(to.Logs) == 0 {
		return
	}

	n.reports = true
	n.linked.Go(func() { n.link.Run(ctx, to) })
}

// endpointsOf are where a node reports to by its configuration.
func endpointsOf(loaded config.Provider) link.Endpoints {
	var to link.Endpoints

	if api := loaded.SideroLink(); api != nil {
		to.API = api.APIUrl()
	}

	if runtime := loaded.Runtime(); runtime != nil {
		if sink := runtime.EventsEndpoint(); sink != nil {
			to.Events = *sink
		}

		to.Logs = runtime.KmsgLogURLs()
	}

	return to
}

// configuration is the installed one, or one that is fetched. That of a node whose STATE was wiped is kept at once.
func (n *node) configuration(ctx context.Context, installed *Installation) ([]byte, config.Provider, error) {
	if installed != nil && len(installed.Configuration) > 0 {
		loaded, err := configuration.Load(installed.Configuration)

		return installed.Configuration, loaded, err //nolint:wrapcheck // it says what it is
	}

	from := n.arguments.First("talos.config")
	if from == "" {
		n.log.Warn("has no talos.config: real Talos would wait for a configuration in its maintenance mode")
		n.stage(machine.MachineStatusEvent_MAINTENANCE, false)
		<-ctx.Done()

		return nil, nil, ctx.Err() //nolint:wrapcheck // the caller's own
	}

	source := configuration.Source{URL: from, Values: n.Values(), Tell: n.link.Publish, Log: n.log}

	text, loaded, err := source.Acquire(ctx)
	if err != nil || installed == nil {
		return text, loaded, err //nolint:wrapcheck // it says what it is
	}

	kept := *installed
	kept.Configuration = text

	return text, loaded, n.State.Install(kept) //nolint:wrapcheck // it says what it is
}

// errorsOnly leaves out what is no error.
type errorsOnly struct{ slog.Handler }

// Enabled implements slog.Handler.
func (errorsOnly) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

// WithAttrs implements slog.Handler.
func (h errorsOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorsOnly{h.Handler.WithAttrs(attrs)}
}
