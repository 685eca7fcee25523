package simulator

import (
	"fmt"
	"math/rand/v2"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/protocol"
	"github.com/bougou/go-ipmi/pkg/types"
)

// command is one that the BMC knows.
type command struct {
	types.Command
	// level is who may use it.
	level types.PrivilegeLevel
	// run returns the completion code and the data of the answer.
	run func(s *Server, id uint32, session *session, data []byte) (types.CompletionCode, []byte)
}

func commands() []command {
	return []command{
		{types.CommandGetDeviceID, types.PrivilegeLevelUser, getDeviceID},
		{types.CommandSetSessionPrivilegeLevel, types.PrivilegeLevelUser, setSessionPrivilege},
		{types.CommandCloseSession, types.PrivilegeLevelUser, closeSession},
		{types.CommandGetChassisStatus, types.PrivilegeLevelUser, getChassisStatus},
		{types.CommandChassisControl, types.PrivilegeLevelOperator, chassisControl},
		{types.CommandSetSystemBootOptions, types.PrivilegeLevelOperator, setBootOptions},
		{types.CommandGetSystemBootOptions, types.PrivilegeLevelOperator, getBootOptions},
		{types.CommandGetUserAccess, types.PrivilegeLevelOperator, getUserAccess},
		{types.CommandGetUsername, types.PrivilegeLevelOperator, getUserName},
	}
}

// answerOutside answers what is asked before there is a session, in packets of IPMI 1.5.
func (s *Server) answerOutside(datagram []byte) []byte {
	var rmcp types.Rmcp
	if rmcp.Unpack(datagram) != nil || rmcp.Session15 == nil {
		return nil
	}
	netFn, id, data, number, ok := protocol.ParseIPMIRequest(rmcp.Session15.Payload)
	if !ok || types.NetFn(netFn) != types.NetFnAppRequest || id != types.CommandGetChannelAuthCapabilities.ID || len(data) < 2 {
		return nil
	}
	// IPMI 2.0 only, all users have names (IPMI v2.0 table 22-15).
	logins := byte(0x04)
	if s.config.Key != "" {
		logins |= 0x20
	}
	message := protocol.BuildIPMIResponse(netFn, id, number, 0, []byte{1, 0x80, logins, 0x02, 0, 0, 0, 0})
	answer := []byte{types.RmcpVersion, 0, 0xff, types.MessageClassIPMI, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(message))}
	return append(answer, message...)
}

// answerInside answers what is asked in a session, and writes it down.
func (s *Server) answerInside(id uint32, session *session, sequence uint32, flags byte, payload, datagram []byte) []byte {
	message, ok := session.unseal(sequence, flags, payload, datagram)
	if !ok {
		return nil
	}
	netFn, number, data, tag, ok := protocol.ParseIPMIRequest(message)
	if !ok {
		return nil
	}
	session.used = s.config.Now()
	code, answer := s.run(id, session, types.Command{NetFn: types.NetFn(netFn), ID: number}, data)
	if s.lies.GarbageInside {
		answer = make([]byte, rand.IntN(20))
		for i := range answer {
			answer[i] = byte(rand.Uint32())
		}
	}
	return session.seal(protocol.BuildIPMIResponse(netFn, number, tag, byte(code), answer))
}

func (s *Server) run(id uint32, session *session, wanted types.Command, data []byte) (types.CompletionCode, []byte) {
	entry := Entry{At: s.config.Now(), User: session.user.Name, Command: fmt.Sprintf("%#02x/%#02x", uint8(wanted.NetFn), wanted.ID), Data: append([]byte(nil), data...)}
	for _, known := range commands() {
		if known.NetFn != wanted.NetFn || known.ID != wanted.ID {
			continue
		}
		entry.Command = known.Name
		s.log = append(s.log, entry)
		switch {
		case s.lies.Busy && known.ID != types.CommandCloseSession.ID && known.ID != types.CommandSetSessionPrivilegeLevel.ID:
			return types.CodeNodeBusy, nil
		case session.level < known.level:
			return types.CodeInsufficientPrivilege, nil
		}
		return known.run(s, id, session, data)
	}
	s.log = append(s.log, entry)
	return types.CodeInvalidCommand, nil
}

func getDeviceID(*Server, uint32, *session, []byte) (types.CompletionCode, []byte) {
	// Device 32, revision 1, firmware 2.34, IPMI 2.0, a chassis device, manufacturer 7154 (IPMI forum), product 1.
	return 0, []byte{0x20, 1, 2, 0x34, 2, 0x80, 0xf2, 0x1b, 0, 1, 0}
}

func setSessionPrivilege(_ *Server, _ uint32, session *session, data []byte) (types.CompletionCode, []byte) {
	if len(data) < 1 {
		return types.CodeRequestDataLengthInvalid, nil
	}
	if level := types.PrivilegeLevel(data[0] & 0x0f); level > session.rakp1.RequestedMaximumPrivilegeLevel {
		return 0x81, nil
	} else if level != 0 {
		session.level = level
	}
	return 0, []byte{byte(session.level)}
}

func closeSession(s *Server, _ uint32, _ *session, data []byte) (types.CompletionCode, []byte) {
	id, _, err := types.UnpackUint32L(data, 0)
	if err != nil {
		return types.CodeRequestDataLengthInvalid, nil
	}
	if s.sessions[id] == nil {
		return 0x87, nil
	}
	delete(s.sessions, id)
	return 0, nil
}

func getChassisStatus(s *Server, _ uint32, _ *session, _ []byte) (types.CompletionCode, []byte) {
	if s.on {
		return 0, []byte{1, 0, 0}
	}
	return 0, []byte{0, 0, 0}
}

func chassisControl(s *Server, _ uint32, _ *session, data []byte) (types.CompletionCode, []byte) {
	if len(data) < 1 {
		return types.CodeRequestDataLengthInvalid, nil
	}
	what := chassis.ChassisControl(data[0] & 0x0f)
	switch {
	case what > chassis.ChassisControlSoftShutdown, what == chassis.ChassisControlDiagnosticInterrupt:
		return types.CodeRequestDataFieldInvalid, nil
	case what == chassis.ChassisControlPowerCycle && s.lies.NoCycle:
		return types.CodeRequestDataFieldInvalid, nil
	case s.lies.IgnorePower:
		return 0, nil
	}
	switch what {
	case chassis.ChassisControlPowerDown, chassis.ChassisControlSoftShutdown:
		s.setPower(false)
	case chassis.ChassisControlPowerUp:
		s.setPower(true)
	case chassis.ChassisControlPowerCycle, chassis.ChassisControlHardReset:
		// Table 28-4: not when it is off.
		if !s.on {
			return types.CodeNotSupported, nil
		}
		s.setPower(false)
		s.setPower(true)
	}
	return 0, nil
}

func (s *Server) setPower(on bool) {
	if s.on == on {
		return
	}
	s.on = on
	var boot Boot
	if on {
		boot = s.nextBoot()
		s.flags[0] &^= flagValid
	}
	if s.config.Power != nil {
		s.config.Power(on, boot)
	}
}

// Users are numbered from 2 on: 1 is the one without a name.
func (s *Server) user(number byte) *User {
	if i := int(number&0x3f) - 2; i >= 0 && i < len(s.config.Users) {
		return &s.config.Users[i]
	}
	return nil
}

func getUserAccess(s *Server, _ uint32, _ *session, data []byte) (types.CompletionCode, []byte) {
	if len(data) < 2 {
		return types.CodeRequestDataLengthInvalid, nil
	}
	const enabled, disabled, messaging, noAccess = 0x40, 0x80, 0x10, 0x0f
	status, access := byte(disabled), byte(noAccess)
	if user := s.user(data[1]); user != nil {
		access = messaging | byte(user.most())
		if !user.Disabled {
			status = enabled
		}
	}
	users := byte(len(s.config.Users))
	return 0, []byte{users + 1, status | users, 0, access}
}

func getUserName(s *Server, _ uint32, _ *session, data []byte) (types.CompletionCode, []byte) {
	if len(data) < 1 {
		return types.CodeRequestDataLengthInvalid, nil
	}
	name := make([]byte, 16)
	if user := s.user(data[0]); user != nil {
		copy(name, user.Name)
	}
	return 0, name
}
