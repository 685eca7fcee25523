package httpboot

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
	"github.com/sidero-appliance/sidero-appliance/netboot/ipxe"
	"github.com/sidero-appliance/sidero-appliance/netboot/quiet"
)

// handler answers requests. It holds no state of its own.
type handler struct {
	files    Files
	programs []string
	machines Machines
	talos    func() bootplan.Talos // nil when nodes report nowhere
	fromDisk bootplan.FromDisk
	configs  http.Handler   // nil when there are none
	agent    bootplan.Agent // but for Arches, which may change
	scripts  ipxe.Scripts
	grpc     http.Handler
	observe  func(Observation)
	log      *slog.Logger
	quiet    *quiet.Gate
	stall    time.Duration
}

func newHandler(config Config, scripts ipxe.Scripts, gate *quiet.Gate) *handler {
	return &handler{
		files:    config.Files,
		programs: config.Programs,
		machines: config.Machines,
		talos:    config.Talos,
		fromDisk: config.FromDisk,
		configs:  config.Configurations,
		agent: bootplan.Agent{
			Endpoint:  scripts.Endpoint(),
			ExtraArgs: config.ExtraAgentArgs,
		},
		scripts: scripts,
		grpc:    config.GRPC,
		observe: config.Observe,
		log:     config.Log,
		quiet:   gate,
		stall:   config.Limits.Stall,
	}
}

// agentArches are the architectures for which there is an agent to boot now: it may be an Environment that is not ready yet.
func agentArches(files Files) []bootplan.Arch {
	var arches []bootplan.Arch
	for _, arch := range []bootplan.Arch{bootplan.AMD64, bootplan.ARM64} {
		if _, err := files.EnvironmentFile("agent-"+string(arch), kernelFile); err == nil {
			arches = append(arches, arch)
		}
	}
	return arches
}

// route is an address and what is served there. A pattern that ends in a slash stands for everything below it.
type route struct {
	pattern string
	kind    Kind
	// anyMethod tells that not only GET and HEAD are served.
	anyMethod bool
	// serve gets what follows the pattern.
	serve func(e *exchange, rest string)
}

// routes are Sidero's addresses. iPXE since 1.21 asks for autoexec.ipxe beside the file it was started from, then at the
// root: seen with UEFI HTTP boot.
func (h *handler) routes() []route {
	return []route{
		{"/boot.ipxe", KindBootScript, false, h.serveBootScript},
		{"/autoexec.ipxe", KindBootScript, false, h.serveBootScript},
		{"/ipxe", KindPlan, false, h.servePlan},
		{"/env/", KindEnvironment, false, h.serveEnvironment},
		{"/tftp/", KindBootFile, false, h.serveBootFile},
		{"/configdata", KindConfiguration, true, h.serveConfiguration},
	}
}

func (r route) match(path string) (rest string, ok bool) {
	if strings.HasSuffix(r.pattern, "/") {
		return strings.CutPrefix(path, r.pattern)
	}
	return "", path == r.pattern
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	noteRequest(r.Context())
	h.limitBody(w, r)
	if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		h.grpc.ServeHTTP(w, r)
		return
	}
	e := newExchange(w, r, h.stall)
	h.dispatch(e)
	h.report(r.Method, e.observation())
}

// limitBody sees that a body which does not come keeps neither a call nor a connection: net/http reads what a handler has
// left. A connection over which one came is closed after its response, because the deadline would outlive the request
// and cancel the next one. Without a body there is no deadline: a long download has nothing to read.
func (h *handler) limitBody(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	// A ResponseWriter that cannot do it, in tests, has no connection to keep.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.stall))
	if r.ProtoMajor < 2 {
		w.Header().Set("Connection", "close")
	}
}

func (h *handler) dispatch(e *exchange) {
	for _, route := range h.routes() {
		rest, ok := route.match(e.request.URL.Path)
		if !ok {
			continue
		}
		e.seen.Kind = route.kind
		if !route.anyMethod && e.request.Method != http.MethodGet && e.request.Method != http.MethodHead {
			e.Header().Set("Allow", "GET, HEAD")
			e.refuse(http.StatusMethodNotAllowed, errMethod)
			return
		}
		route.serve(e, rest)
		return
	}
	e.refuse(http.StatusNotFound, errNothingHere)
}

// report tells of a request after its end.
func (h *handler) report(method string, seen Observation) {
	if h.observe != nil {
		h.observe(seen)
	}
	attrs := []any{"method", method, "path", seen.Path, "remote", seen.Remote, "status", seen.Status,
		"bytes", seen.Bytes, "duration", seen.Duration}
	if seen.UUID != "" {
		attrs = append(attrs, "server", seen.UUID)
	}
	if seen.MAC != "" {
		attrs = append(attrs, "mac", seen.MAC)
	}
	if seen.Err != nil {
		attrs = append(attrs, "reason", seen.Err.Error())
	}
	ctx := context.Background()
	first := func(level slog.Level) slog.Level { return h.quiet.Level(level, host(seen.Remote), repeated(seen)) }
	switch {
	case seen.Err == nil:
		h.log.Log(ctx, first(slog.LevelInfo), "http request served", attrs...)
	case seen.Kind == KindUnknown, seen.Status == http.StatusNotFound:
		// Firmware and iPXE look for files that need not be there.
		h.log.Debug("http request refused", attrs...)
	case seen.Status >= 400, seen.Kind == KindMalformed:
		h.log.Log(ctx, first(slog.LevelWarn), "http request refused", attrs...)
	default:
		h.log.Log(ctx, first(slog.LevelWarn), "http transfer cut", attrs...)
	}
}

// repeated is what makes two requests of one client the same to a reader of the log. Only files that exist are told apart:
// a client makes up the others.
func repeated(seen Observation) string {
	what := string(seen.Kind) + " " + strconv.Itoa(seen.Status)
	if seen.Err != nil {
		return what + " refused"
	}
	file, _, _ := strings.Cut(seen.Path, "?")
	return what + " " + path.Base(file)
}

func host(remote string) string {
	address, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return address
}
