package tftp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"
)

const (
	defaultBlockSize = 512
	minBlockSize     = 8     // RFC 2348
	maxBlockSize     = 65464 // RFC 2348
	maxNameLength    = 255
	// maxRequest is an Ethernet frame's worth in bytes, whole buffers of ROMs
	// included; maxOptions three times as many as there are. Both bound what
	// one packet makes the server remember.
	maxRequest = 1500
	maxOptions = 16
	// maxTimeout is the longest retransmission interval taken from a client, in
	// seconds; RFC 2349 allows 255, which would keep a dead one for half an hour.
	// U-Boot asks for 5.
	maxTimeout = 10
	// maxWindow bounds a burst to 16 full frames, 24 kB: less than the receive
	// ring of the small network cards firmware drives. OVMF asks for 4.
	maxWindow = 16
	// overhead of a data packet: IPv4, UDP and TFTP headers.
	overhead = 20 + 8 + headerLength
)

// Option is one option of a request (RFC 2347), its name in lower case.
type Option struct{ Name, Value string }

// Options are a request's options in the order they came.
type Options []Option

// Get is the value of the first option of that name, "" when there is none.
func (o Options) Get(name string) string {
	for _, option := range o {
		if option.Name == name {
			return option.Value
		}
	}
	return ""
}

// Request is a read request.
type Request struct {
	Name    string // clean: see Clean
	Mode    string // "octet" or "netascii"
	Options Options
	Local   netip.Addr     // ours, that was asked
	Remote  netip.AddrPort // the client
}

// Ways in which a request can be wrong.
var (
	errMalformed = errors.New("malformed request")
	errMode      = errors.New("unknown transfer mode")
	errName      = errors.New("bad file name")
)

// parseRequest reads a read or write request: name, mode and options, each
// ended by a NUL (RFC 1350 §5, RFC 2347). Padding after the last NUL and an
// option without its value are ignored, as some ROMs send whole buffers; so are
// options after the 16th.
func parseRequest(datagram []byte) (Request, error) {
	if op := opcode(datagram); op != opRead && op != opWrite {
		return Request{}, fmt.Errorf("%w: opcode %d", errMalformed, op)
	}
	if len(datagram) > maxRequest {
		return Request{}, fmt.Errorf("%w: %d bytes, at most %d", errMalformed, len(datagram), maxRequest)
	}
	fields := bytes.Split(datagram[2:], []byte{0})
	fields = fields[:len(fields)-1] // what follows the last NUL
	if len(fields) < 2 {
		return Request{}, fmt.Errorf("%w: no mode", errMalformed)
	}
	name, err := Clean(string(fields[0]))
	if err != nil {
		return Request{}, err
	}
	request := Request{Name: name, Mode: strings.ToLower(string(fields[1]))}
	if request.Mode != "octet" && request.Mode != "netascii" {
		return Request{}, fmt.Errorf("%w %.20q", errMode, request.Mode)
	}
	for rest := fields[2:]; len(rest) >= 2 && len(rest[0]) > 0 && len(request.Options) < maxOptions; rest = rest[2:] {
		request.Options = append(request.Options, Option{strings.ToLower(string(rest[0])), string(rest[1])})
	}
	return request, nil
}

// Clean turns a requested name into a relative slash-separated path without
// dots, the form of fs.ValidPath. Firmware sends names with leading slashes,
// with backslashes and with "../"; none of them leads out of the root.
func Clean(name string) (string, error) {
	switch {
	case len(name) > maxNameLength:
		return "", fmt.Errorf("%w: %d bytes long, at most %d", errName, len(name), maxNameLength)
	case strings.ContainsRune(name, 0):
		return "", fmt.Errorf("%w: contains a NUL", errName)
	}
	// The end of DHCP's options, taken for a part of the name by ROMs that
	// expect option 67 to end in a NUL.
	for strings.HasSuffix(name, "\xff") {
		name = strings.TrimSuffix(name, "\xff")
	}
	clean := strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(name, `\`, "/")), "/")
	if clean == "" {
		return "", fmt.Errorf("%w: empty", errName)
	}
	return strings.ToValidUTF8(clean, "\uFFFD"), nil
}

// terms are what client and server agreed on.
type terms struct {
	blockSize int
	window    int64
	interval  time.Duration // between retransmissions; 0 means the server's own
	agreed    Options       // to be confirmed; empty means no confirmation
}

// negotiate answers a request's options. Values out of range are left out of
// the answer, which by RFC 2347 means that they are not in force.
func negotiate(options Options, size int64, mtu int) terms {
	t := terms{blockSize: defaultBlockSize, window: 1}
	seen := map[string]bool{}
	for _, o := range options {
		value, err := strconv.ParseInt(o.Value, 10, 64)
		if err != nil || seen[o.Name] {
			continue
		}
		seen[o.Name] = true
		switch {
		case o.Name == "blksize" && minBlockSize <= value && value <= maxBlockSize:
			value = min(value, max(int64(mtu-overhead), defaultBlockSize))
			t.blockSize = int(value)
		case o.Name == "windowsize" && 1 <= value && value <= 65535:
			value = min(value, maxWindow)
			t.window = value
		case o.Name == "timeout" && 1 <= value && value <= maxTimeout:
			t.interval = time.Duration(value) * time.Second
		case o.Name == "tsize" && value >= 0:
			value = size
		default:
			continue
		}
		t.agreed = append(t.agreed, Option{o.Name, strconv.FormatInt(value, 10)})
	}
	return t
}
