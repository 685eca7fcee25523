package logging

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-logr/logr"
)

// harmless are lines that libraries write as warnings or errors and that mean
// nothing bad here. They are shown at debug level.
func harmless() []rule {
	const (
		newDatabase = "a new database has no schema version before its first commit"
		stopping    = "the server was told to stop, and its listener was closed for that"
	)
	return []rule{
		{"etcd", []string{"Failed to detect schema version", "missing term information"}, newDatabase},
		{"etcd", []string{"failed to detect storage schema version"}, newDatabase},
		{"etcd", []string{"cannot detect storage schema version"}, newDatabase},
		{"etcd", []string{"simple token is not cryptographically signed"}, "etcd's own users are not in use: its socket is in a private directory"},
		{"etcd", []string{"Running http and grpc server on single port"}, "that port is a unix socket with one client"},
		{"etcd", []string{"setting up serving from embedded etcd failed", "closed"}, stopping},
		{"etcd", []string{"insecure grpc server due to error", "use of closed network connection"}, stopping},
		{"kubernetes", []string{"[core]", "createTransport failed"}, "its logger is gRPC's too: a node that is starting does not answer, which whoever asks it tells of"},
		{"kubernetes", []string{"Unable to write event", "context canceled"}, "the appliance stops, and what it would still tell is in its log"},
		{"kubernetes", []string{"setting componentGlobalsRegistry in SetFallback"}, "there are no flags of Kubernetes to parse"},
		{"kubernetes", []string{"The manifest file is empty, ignoring"}, "the list of allowed labels of metrics is optional, and not used"},
		{"kubernetes", []string{"Skipping API", "because it has no resources"}, "old versions of APIs that are not served on purpose"},
		{"kubernetes", []string{"Unable to remove peer endpoint leases", "key not found"}, "there is one API server, so it has no peers to take leave of"},
		{"kubernetes", []string{`namespaces "kube-system" not found`}, "on the first start the namespace is made moments after the first ask"},
		{"kubernetes", []string{"rejected by webhook"}, "whoever asked was told why"},
		{"kubernetes", []string{"watch chan error", "required revision has been compacted"}, "who watches what seldom changes begins anew from time to time"},
		{"cluster-api", []string{"Connect failed", `-kubeconfig" not found`}, "a cluster has no kubeconfig until its control plane is made"},
		{"cluster-api", []string{"Reconciler error", "connection to the workload cluster is down"}, "a cluster that is being made has no API yet, which its Machines' conditions tell"},
		{anyLibrary, []string{"Reconciler error", "the object has been modified"}, "somebody else has written it meanwhile, and it is done again at once"},
	}
}

// anyLibrary is the component of a rule for all of them.
const anyLibrary = "*"

// rule names harmless lines by parts of their message and error, all of which
// must be there.
type rule struct {
	component string
	parts     []string
	reason    string
}

func (r rule) matches(text string) bool {
	for _, p := range r.parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// library is a handler for the lines of one library.
type library struct {
	next  slog.Handler
	rules []rule
}

// step is the distance between two levels of slog.
const step = slog.LevelInfo - slog.LevelDebug

// Library leads a library's lines into the log under a component's name, for
// libraries that are given a logger of their own.
func Library(log *slog.Logger, component string) logr.Logger {
	return logr.FromSlogHandler(forLibrary(log, component))
}

// forLibrary leads a library's lines into the log under a component's name.
func forLibrary(log *slog.Logger, component string) library {
	l := library{next: log.Handler().WithAttrs([]slog.Attr{slog.String("component", component)})}
	for _, r := range harmless() {
		if r.component == component || r.component == anyLibrary {
			l.rules = append(l.rules, r)
		}
	}
	return l
}

// lower moves what is less than a warning down by one level.
func lower(level slog.Level) slog.Level {
	if level < slog.LevelWarn {
		return level - step
	}
	return level
}

// Enabled implements [slog.Handler].
func (l library) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, lower(level))
}

// Handle implements [slog.Handler].
func (l library) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lower(r.Level)
	if r.Level >= slog.LevelWarn && l.isHarmless(r) {
		r.Level = slog.LevelDebug
		if !l.next.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return l.next.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (l library) WithAttrs(attrs []slog.Attr) slog.Handler {
	return library{l.next.WithAttrs(attrs), l.rules}
}

// WithGroup implements [slog.Handler].
func (l library) WithGroup(name string) slog.Handler {
	return library{l.next.WithGroup(name), l.rules}
}

func (l library) isHarmless(r slog.Record) bool {
	if len(l.rules) == 0 {
		return false
	}
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "err" || a.Key == "error" {
			text += " " + a.Value.String()
		}
		return true
	})
	return slices.ContainsFunc(l.rules, func(r rule) bool { return r.matches(text) })
}
