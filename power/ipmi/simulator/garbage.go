package simulator

import (
	"math/rand/v2"

	"github.com/bougou/go-ipmi/pkg/protocol"
	"github.com/bougou/go-ipmi/pkg/types"
)

// spoil makes of an answer what is none.
func (s *Server) spoil(answer []byte) []byte {
	s.garbage++
	switch s.garbage % 5 {
	case 0: // noise
		noise := make([]byte, rand.IntN(200))
		for i := range noise {
			noise[i] = byte(rand.Uint32())
		}
		return noise
	case 1: // cut off
		return answer[:rand.IntN(len(answer))]
	case 2: // another length than it says
		if len(answer) > 15 {
			answer[14], answer[13] = 0xff, 0xff
		}
		return answer
	case 3: // encrypted, and too short to be
		return protocol.BuildRMCPPlusPacket(byte(types.PayloadTypeIPMI), types.PayloadFlagEncrypted|types.PayloadFlagAuthenticated, 0, 1, make([]byte, rand.IntN(20)))
	default: // not authentic
		answer[len(answer)-1] ^= 0xff
		if len(answer) > 40 {
			answer[40] ^= 0x55
		}
		return answer
	}
}
