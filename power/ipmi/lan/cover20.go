package lan

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/rand"

	"github.com/bougou/go-ipmi/pkg/crypto"
	"github.com/bougou/go-ipmi/pkg/types"
)

// cover20 encrypts and authenticates messages of a session of IPMI 2.0 (v2.0 13.28 and 13.29), with AES always.
type cover20 struct {
	id, consoleID uint32
	integrity     types.IntegrityAlg
	k1, k2        []byte
	// password is padded. MD5-128, which is suite 12's, is made with it.
	password string
	// sent and received are the last packets' sequence numbers.
	sent, received uint32
}

// trailerNext is the trailer's Next Header.
const trailerNext = 7

func (c *cover20) seal(message []byte) ([]byte, error) {
	var iv [aes.BlockSize]byte
	_, _ = rand.Read(iv[:]) // never fails
	data, err := crypto.EncryptAESPayload(message, c.k2, iv[:])
	if err != nil {
		return nil, err
	}
	c.sent++
	datagram := appendHeader20(appendRMCP(nil), byte(types.PayloadTypeIPMI)|types.PayloadFlagEncrypted|types.PayloadFlagAuthenticated, c.id, c.sent, len(data))
	datagram = append(datagram, data...)
	padding := types.IntegrityPadLen(header20Size, len(data))
	for range padding {
		datagram = append(datagram, 0xff)
	}
	datagram = append(datagram, byte(padding), trailerNext)
	code, err := c.code(datagram[rmcpSize:])
	return append(datagram, code...), err
}

// open returns the message of a packet that only the BMC can have made, and once. Calls are made one after another, so what
// has no later number than the last one is a copy.
func (c *cover20) open(packet packet) ([]byte, bool) {
	length, ok := crypto.IntegrityAuthCodeLen(c.integrity)
	const padLengthAndNext = 2
	if !ok || packet.auth != types.AuthTypeRMCPPlus || packet.payload != types.PayloadTypeIPMI || packet.session != c.consoleID ||
		!packet.authenticated || packet.sequence <= c.received || len(packet.trailer) < length+padLengthAndNext {
		return nil, false
	}
	end := len(packet.signed) - length
	want, err := c.code(packet.signed[:end])
	if err != nil || !hmac.Equal(want, packet.signed[end:]) {
		return nil, false
	}
	c.received = packet.sequence
	if !packet.encrypted {
		return packet.data, true
	}
	if len(packet.data) < 2*aes.BlockSize || len(packet.data)%aes.BlockSize != 0 {
		return nil, false
	}
	message, err := crypto.DecryptAESPayload(packet.data, c.k2)
	return message, err == nil
}

func (c *cover20) code(signed []byte) ([]byte, error) {
	return crypto.SessionIntegrityAuthCode(c.integrity, signed, c.k1, c.password)
}
