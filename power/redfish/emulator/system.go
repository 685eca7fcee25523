package emulator

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/stmcginnis/gofish/redfish"
)

const systemsPath = "/redfish/v1/Systems"

type system struct {
	System
	boot    override
	version int // of the boot override, for ETags
}

func newSystem(from System) *system {
	if from.ResetTypes == nil {
		from.ResetTypes = []redfish.ResetType{
			redfish.OnResetType, redfish.ForceOffResetType, redfish.ForceRestartResetType, redfish.GracefulShutdownResetType, redfish.PowerCycleResetType,
		}
	}
	if from.Targets == nil {
		from.Targets = []redfish.BootSourceOverrideTarget{"None", "Pxe", "Hdd", "UefiHttp"}
	}
	if from.Modes == nil {
		from.Modes = []redfish.BootSourceOverrideMode{"Legacy", "UEFI"}
	}
	return &system{System: from, boot: override{target: "None", enabled: "Disabled", mode: from.Modes[len(from.Modes)-1]}}
}

// Powered tells whether a machine has power.
func (s *Server) Powered(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.find(id)
	return found != nil && found.On
}

// SetPower is somebody at the machine's button.
func (s *Server) SetPower(id string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.find(id); found != nil {
		s.power(found, on)
	}
}

// find needs the lock.
func (s *Server) find(id string) *system {
	for _, system := range s.systems {
		if system.ID == id {
			return system
		}
	}
	return nil
}

// power needs the lock. A machine that gets power uses up a one-time boot override.
func (s *Server) power(system *system, on bool) {
	if system.On == on {
		return
	}
	system.On = on
	boot := Boot{Time: s.config.Now(), System: system.ID, Target: "None", Mode: system.boot.mode}
	if on {
		s.forget(system)
		if system.boot.enabled != "Disabled" && !s.late(system) {
			boot.Target, boot.URI = system.boot.target, system.boot.uri
		}
		if system.boot.enabled == "Once" {
			system.reset()
		}
		s.boots = append(s.boots, boot)
	}
	s.config.Power(system.ID, on, boot)
}

func (system *system) reset() {
	system.boot.target, system.boot.enabled, system.boot.uri = "None", "Disabled", ""
	system.version++
}

// forget drops a boot override that is over. It needs the lock.
func (s *Server) forget(system *system) {
	expiry := s.lies.BootExpiry
	if expiry > 0 && system.boot.enabled != "Disabled" && s.config.Now().Sub(system.boot.set) >= expiry {
		system.reset()
	}
}

// late is true while a boot override is not in force yet. It needs the lock.
func (s *Server) late(system *system) bool {
	return s.config.Now().Sub(system.boot.set) < s.lies.LateBoot
}

func (s *Server) listSystems(x *exchange) {
	var ids []string
	for _, system := range s.systems {
		ids = append(ids, system.ID)
	}
	x.answer(http.StatusOK, collection(systemsPath, "ComputerSystemCollection", ids))
}

// on serves a request for a system, under the lock.
func (s *Server) on(x *exchange, serve func(*system)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.find(x.request.PathValue("id"))
	if found == nil {
		x.missing()
		return
	}
	s.forget(found)
	serve(found)
}

func (s *Server) getSystem(x *exchange) {
	s.on(x, func(system *system) {
		x.header("ETag", system.etag())
		x.answer(http.StatusOK, s.describe(system))
	})
}

func (system *system) etag() string { return fmt.Sprintf("\"%d\"", system.version) }

func (system *system) path() string { return systemsPath + "/" + system.ID }

func (s *Server) describe(system *system) resource {
	state := "Off"
	if system.On {
		state = "On"
	}
	if s.lies.PowerState != "" {
		state = s.lies.PowerState
	}
	described := resource{
		"@odata.id": system.path(), "@odata.type": "#ComputerSystem.v1_13_0.ComputerSystem",
		"Id": system.ID, "Name": "System " + system.ID, "SystemType": "Physical", "PowerState": state,
		"Manufacturer": "Emulator", "UUID": "38947555-7742-3448-3784-823347823834",
		"Status":        resource{"State": "Enabled", "Health": "OK"},
		"MemorySummary": resource{"TotalSystemMemoryGiB": 32},
		"Actions":       resource{"#ComputerSystem.Reset": s.describeReset(system)},
		"Links":         resource{"ManagedBy": []resource{link("/redfish/v1/Managers/BMC")}, "Chassis": []resource{}},
	}
	if s.lies.WrongTypes {
		described["MemorySummary"] = resource{"TotalSystemMemoryGiB": "32 GB"}
		described["Status"] = "OK"
		described["IndicatorLED"] = 7
	}
	if !system.NoBoot {
		described["Boot"] = s.describeBoot(system, !s.lies.FutureState)
	}
	if s.lies.FutureState && !s.lies.NoSettings {
		described["@Redfish.Settings"] = resource{"@odata.type": "#Settings.v1_2_1.Settings", "SettingsObject": link(system.path() + "/SD")}
	}
	return described
}

func (s *Server) describeReset(system *system) resource {
	action := resource{"target": system.path() + "/Actions/ComputerSystem.Reset"}
	switch {
	case s.lies.ActionInfo:
		action["@Redfish.ActionInfo"] = system.path() + "/ResetActionInfo"
	case !s.lies.NoAllowed:
		action["ResetType@Redfish.AllowableValues"] = system.ResetTypes
	}
	return action
}

func (s *Server) getActionInfo(x *exchange) {
	s.on(x, func(system *system) {
		x.answer(http.StatusOK, resource{
			"@odata.id": system.path() + "/ResetActionInfo", "@odata.type": "#ActionInfo.v1_1_2.ActionInfo", "Id": "ResetActionInfo", "Name": "Reset",
			"Parameters": []resource{{"Name": "ResetType", "Required": true, "DataType": "String", "AllowableValues": system.ResetTypes}},
		})
	})
}

func (s *Server) reset(x *exchange) {
	s.on(x, func(system *system) {
		var body struct{ ResetType redfish.ResetType }
		if !x.decode(&body) {
			return
		}
		x.system, x.action = system.ID, "reset "+string(body.ResetType)
		if !slices.Contains(system.ResetTypes, body.ResetType) {
			x.fail(http.StatusBadRequest, "Base.1.8.ActionParameterNotSupported", "ResetType cannot be "+string(body.ResetType)+".")
			return
		}
		if s.lies.IgnoreReset {
			x.answer(http.StatusNoContent, nil)
			return
		}
		if !s.apply(system, body.ResetType) {
			x.fail(http.StatusConflict, "Base.1.8.NoOperation", "The machine is in that power state already.")
			return
		}
		x.answer(http.StatusNoContent, nil)
	})
}

// apply is false for a reset that makes no sense in the machine's power state, which many BMCs refuse.
func (s *Server) apply(system *system, reset redfish.ResetType) bool {
	switch reset {
	case redfish.OnResetType, redfish.ForceOnResetType:
		if system.On {
			return false
		}
		s.power(system, true)
	case redfish.ForceOffResetType, redfish.GracefulShutdownResetType:
		if !system.On {
			return false
		}
		s.power(system, false)
	case redfish.ForceRestartResetType, redfish.GracefulRestartResetType, redfish.PowerCycleResetType:
		if !system.On {
			return false
		}
		s.power(system, false)
		s.power(system, true)
	case redfish.PushPowerButtonResetType:
		s.power(system, !system.On)
	}
	return true
}
