package emulator

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stmcginnis/gofish/redfish"
)

// override is the boot override, with when it was set.
type override struct {
	target  redfish.BootSourceOverrideTarget
	enabled redfish.BootSourceOverrideEnabled
	mode    redfish.BootSourceOverrideMode
	uri     string
	set     time.Time
}

// describeBoot shows the override, or, where it is a setting for the future, that there is none yet.
func (s *Server) describeBoot(system *system, set bool) resource {
	boot := system.boot
	if !set || s.late(system) {
		boot.target, boot.enabled, boot.uri = "None", "Disabled", ""
	}
	if s.lies.BootWithoutOverride {
		return resource{"AutomaticRetryAttempts": 3}
	}
	described := resource{
		"BootSourceOverrideEnabled": boot.enabled, "BootSourceOverrideTarget": boot.target, "BootSourceOverrideMode": boot.mode,
		"BootSourceOverrideTarget@Redfish.AllowableValues": system.Targets,
		"BootSourceOverrideMode@Redfish.AllowableValues":   system.Modes,
	}
	if slices.Contains(system.Targets, "UefiHttp") {
		described["HttpBootUri"] = boot.uri
	}
	return described
}

func (s *Server) getSettings(x *exchange) {
	s.on(x, func(system *system) {
		if !s.lies.FutureState {
			x.missing()
			return
		}
		x.header("ETag", system.etag())
		x.answer(http.StatusOK, resource{
			"@odata.id": system.path() + "/SD", "@odata.type": "#ComputerSystem.v1_13_0.ComputerSystem", "Id": "SD", "Name": "Settings",
			"Boot": s.describeBoot(system, true),
		})
	})
}

func (s *Server) patchSystem(x *exchange) {
	s.on(x, func(system *system) {
		var change patch
		if !x.decode(&change) {
			return
		}
		x.system, x.action = system.ID, change.String()
		if s.lies.FutureState {
			x.fail(http.StatusBadRequest, "Ami.1.0.OperationSupportedInFutureStateURI", "The boot override is set at the future state URI.")
			return
		}
		s.patch(x, system, change)
	})
}

func (s *Server) patchSettings(x *exchange) {
	s.on(x, func(system *system) {
		var change patch
		if !x.decode(&change) {
			return
		}
		x.system, x.action = system.ID, change.String()
		switch {
		case !s.lies.FutureState:
			x.missing()
		case x.request.Header.Get("If-Match") == "":
			x.fail(http.StatusPreconditionRequired, "Base.1.8.PreconditionRequired", "If-Match is required.")
		default:
			s.patch(x, system, change)
		}
	})
}

// patch is the body of a change of the boot override.
type patch struct {
	Boot *struct {
		BootSourceOverrideEnabled *redfish.BootSourceOverrideEnabled
		BootSourceOverrideTarget  *redfish.BootSourceOverrideTarget
		BootSourceOverrideMode    *redfish.BootSourceOverrideMode
		HTTPBootURI               *string `json:"HttpBootUri"`
	}
}

// String is the change as the log has it.
func (p patch) String() string {
	words := []string{"boot"}
	if p.Boot == nil {
		return "patch"
	}
	if value := p.Boot.BootSourceOverrideEnabled; value != nil {
		words = append(words, string(*value))
	}
	if value := p.Boot.BootSourceOverrideTarget; value != nil {
		words = append(words, string(*value))
	}
	if value := p.Boot.BootSourceOverrideMode; value != nil {
		words = append(words, string(*value))
	}
	if value := p.Boot.HTTPBootURI; value != nil {
		words = append(words, *value)
	}
	return strings.Join(words, " ")
}

func (s *Server) patch(x *exchange, system *system, change patch) {
	if s.lies.ReadOnlyUser {
		x.fail(http.StatusForbidden, "Base.1.8.InsufficientPrivilege", "The account may only read.")
		return
	}
	match := x.request.Header.Get("If-Match")
	if match != "" && (s.lies.BrokenETags || match != "*" && match != system.etag()) {
		x.fail(http.StatusPreconditionFailed, "Base.1.8.PreconditionFailed", "The ETag does not match.")
		return
	}
	if change.Boot == nil || system.NoBoot {
		x.fail(http.StatusBadRequest, "Base.1.8.PropertyUnknown", "Only the boot override can be changed.")
		return
	}
	next, problem := s.change(system, change)
	if problem != "" {
		x.fail(http.StatusBadRequest, "Base.1.8.PropertyNotWritable", problem)
		return
	}
	if !s.lies.IgnoreBoot {
		system.boot = next
		system.version++
	}
	if s.lies.SetAndRefuse {
		x.fail(http.StatusBadRequest, "IDRAC.1.6.SYS410", "The attribute is read-only and depends on other attributes.")
		return
	}
	x.answer(http.StatusOK, s.describe(system))
}

// change is the override after a change, or what is wrong with that.
func (s *Server) change(system *system, to patch) (next override, problem string) {
	next = system.boot
	next.set = s.config.Now()
	if value := to.Boot.BootSourceOverrideEnabled; value != nil {
		next.enabled = *value
	}
	if value := to.Boot.BootSourceOverrideTarget; value != nil {
		if !slices.Contains(system.Targets, *value) {
			return next, "BootSourceOverrideTarget cannot be " + string(*value) + "."
		}
		next.target = *value
	}
	if value := to.Boot.BootSourceOverrideMode; value != nil {
		if s.lies.ReadOnlyMode || !slices.Contains(system.Modes, *value) {
			return next, "BootSourceOverrideMode cannot be set."
		}
		next.mode = *value
	}
	if value := to.Boot.HTTPBootURI; value != nil {
		if s.lies.ReadOnlyHTTPBoot {
			return next, "HttpBootUri cannot be set."
		}
		next.uri = *value
	}
	return next, ""
}
