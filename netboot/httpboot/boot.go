package httpboot

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets"
	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
	"github.com/sidero-appliance/sidero-appliance/netboot/ipxe"
)

// kernelFile is the kernel of every boot environment, as Sidero names it.
const kernelFile = "vmlinuz"

func (h *handler) serveBootScript(e *exchange, _ string) { serveScript(e, h.scripts.Boot()) }

// servePlan answers a machine that asks what it boots.
func (h *handler) servePlan(e *exchange, _ string) {
	request, err := parseRequest(e.request.URL.RawQuery)
	if err != nil {
		e.refuse(http.StatusBadRequest, err)
		return
	}
	e.seen.UUID, e.seen.MAC = request.UUID, request.MAC
	var server bootplan.Server
	if request.UUID != "" {
		if server, err = h.machines.Server(e.request.Context(), request); err != nil {
			e.refuse(http.StatusInternalServerError, fmt.Errorf("look up server: %w", err))
			return
		}
	}
	agent := h.agent
	agent.Arches = agentArches(h.files)
	facts := bootplan.Facts{Request: request, Server: server, Agent: agent, FromDisk: h.fromDisk}
	if h.talos != nil {
		facts.Talos = h.talos()
	}
	plan := bootplan.Decide(facts)
	e.seen.Plan = plan.Reason
	if status := statusOf(plan); status != http.StatusOK {
		h.leave(e, status, plan)
		return
	}
	script, err := h.render(plan)
	if err != nil {
		e.refuse(http.StatusInternalServerError, fmt.Errorf("write boot script: %w", err))
		return
	}
	serveScript(e, script)
}

// statusOf is the HTTP status of a plan: Sidero's. iPXE goes on after one of 400 or above as if nobody had answered.
func statusOf(plan bootplan.Plan) int {
	switch {
	case plan.Action == bootplan.NotFound, plan.Action == bootplan.BootFromDisk && plan.FromDisk == bootplan.HTTP404:
		return http.StatusNotFound
	case plan.Action == bootplan.NotReady:
		return http.StatusPreconditionFailed
	default:
		return http.StatusOK
	}
}

// leave answers a machine with a status alone, where it is meant to try something else, and with the reason where something is
// wrong.
func (h *handler) leave(e *exchange, status int, plan bootplan.Plan) {
	if plan.Action != bootplan.BootFromDisk {
		e.refuse(status, errors.New(plan.Reason))
		return
	}
	e.Header().Set("Content-Length", "0")
	e.WriteHeader(status)
}

// serveConfiguration answers a machine that asks for its configuration.
func (h *handler) serveConfiguration(e *exchange, _ string) {
	if h.configs == nil {
		e.refuse(http.StatusNotFound, errNothingHere)
		return
	}
	h.configs.ServeHTTP(e, e.request)
}

func (h *handler) render(plan bootplan.Plan) (string, error) {
	switch plan.Action {
	case bootplan.BootEnvironment:
		return h.scripts.Kernel(ipxe.Kernel{
			Environment: plan.Environment,
			Image:       kernelFile,
			Initrds:     plan.Initrds,
			Args:        plan.Args,
			Why:         plan.Reason,
		})
	case bootplan.BootFromDisk:
		if plan.FromDisk == bootplan.IPXESANBoot {
			return h.scripts.SANBoot(), nil
		}
		return h.scripts.Exit(), nil
	case bootplan.LoadNewerIPXE:
		return h.scripts.NewerIPXE(plan.BootFile, plan.Reason)
	default:
		return h.scripts.Wait(plan.Reason)
	}
}

func (h *handler) serveEnvironment(e *exchange, rest string) {
	environment, name, _ := strings.Cut(rest, "/")
	file, err := h.files.EnvironmentFile(environment, name)
	serveFile(e, file, err)
}

func (h *handler) serveBootFile(e *exchange, rest string) {
	file, err := h.files.BootFile(rest)
	if err == nil && slices.Contains(h.programs, file.Name) && bootplan.LoaderOf(e.request.UserAgent()).Current() {
		h.serveBootScript(e, rest)
		return
	}
	serveFile(e, file, err)
}

// serveScript answers with a script that is true for this moment only.
func serveScript(e *exchange, script string) {
	e.Header().Set("Content-Type", contentType(".ipxe"))
	e.Header().Set("Cache-Control", "no-store")
	http.ServeContent(e, e.request, "", time.Time{}, strings.NewReader(script))
}

// serveFile answers with a file's bytes. Its ETag is the digest taken when the file came, so nothing is read for a client that
// has them already.
func serveFile(e *exchange, file assets.File, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		e.refuse(http.StatusNotFound, err)
		return
	}
	if err != nil {
		e.refuse(http.StatusInternalServerError, err)
		return
	}
	content, err := file.Open()
	if err != nil {
		e.refuse(http.StatusInternalServerError, err)
		return
	}
	defer content.Close()
	e.Header().Set("Content-Type", contentType(path.Ext(file.Name)))
	if file.Digest != "" {
		e.Header().Set("ETag", `"`+file.Digest+`"`)
	}
	http.ServeContent(e, e.request, "", file.Modified, content)
}

func contentType(extension string) string {
	if extension == ".ipxe" {
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}
