package simulator

import "github.com/bougou/go-ipmi/pkg/types"

// Bits of the boot flags, parameter 5 of the boot options (IPMI v2.0 table 28-14).
const (
	flagValid  = 0x80
	flagEFI    = 0x20
	deviceMask = 0x3c
	devicePXE  = 0x04
)

func (s *Server) nextBoot() Boot {
	if expiry := s.lies.BootExpiry; expiry != 0 && s.config.Now().Sub(s.flagsAt) >= expiry {
		s.flags[0] &^= flagValid
	}
	if s.flags[0]&flagValid == 0 || s.flags[1]&deviceMask != devicePXE {
		return Boot{}
	}
	return Boot{Network: true, UEFI: s.flags[0]&flagEFI != 0}
}

func setBootOptions(s *Server, _ uint32, _ *session, data []byte) (types.CompletionCode, []byte) {
	if len(data) < 1 {
		return types.CodeRequestDataLengthInvalid, nil
	}
	switch parameter := types.BootOptionParamSelector(data[0] & 0x7f); {
	case parameter == types.BootOptionParamSelector_BootFlags:
		if len(data) != 1+len(s.flags) {
			return types.CodeRequestDataLengthInvalid, nil
		}
		s.setFlags([5]byte(data[1:]))
		return 0, nil
	case s.lies.OnlyFlags, parameter > types.BootOptionParamSelector_BootFlags:
		return types.CodeParameterNotSupported, nil
	}
	return 0, nil
}

func (s *Server) setFlags(flags [5]byte) {
	switch {
	case s.lies.IgnoreBoot:
		return
	case s.lies.IgnoreEFI:
		flags[0] &^= flagEFI
	}
	s.flags, s.flagsAt = flags, s.config.Now()
}

func getBootOptions(s *Server, _ uint32, _ *session, data []byte) (types.CompletionCode, []byte) {
	switch {
	case len(data) < 3:
		return types.CodeRequestDataLengthInvalid, nil
	case types.BootOptionParamSelector(data[0]&0x7f) != types.BootOptionParamSelector_BootFlags, s.lies.MuteBoot:
		return types.CodeParameterNotSupported, nil
	}
	s.nextBoot() // which may have expired
	flags := s.flags
	if s.lies.HideValid {
		flags[0] &^= flagValid
	}
	return 0, append([]byte{1, data[0]}, flags[:]...)
}
