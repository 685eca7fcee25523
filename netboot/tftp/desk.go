package tftp

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"net/netip"
	"time"
)

const (
	// interval is how long a client may be silent before its packets are sent
	// again, doubling with each time up to maxInterval: 1+2+4+4+4+4 s in all,
	// a little more than firmware itself waits.
	interval    = time.Second
	maxInterval = 4 * time.Second
	maxSilences = 6
	// maxTransfers on one address at once; a transfer holds no buffers.
	maxTransfers = 1024
	// maxTransfersPerClient leaves room for others. A machine has one or two,
	// a lab of machines behind one NAT address some more.
	maxTransfersPerClient = 32
)

// desk serves the clients of one address. It does no I/O but through Files and
// send, and has no clock: it is not safe for concurrent use.
type desk struct {
	local   netip.Addr
	mtu     int // of the interface that has the address
	files   Files
	history *history
	send    func(datagram []byte, to netip.AddrPort) // may lose packets
	report  func(Event)

	transfers map[netip.AddrPort]*transfer
	clients   map[netip.Addr]int // transfers of each, where there are any
	closing   bool               // new requests are left to the next server
	buffer    [headerLength + maxBlockSize]byte
}

// receive handles one datagram.
func (d *desk) receive(datagram []byte, from netip.AddrPort, now time.Time) {
	running := d.transfers[from]
	switch op := opcode(datagram); {
	case op == opRead && running != nil && running.digest == sha256.Sum256(datagram):
		// Repeated because our answer is late or lost; the clock sees to that.
	case op == opRead:
		d.read(datagram, from, now)
	case op == opWrite:
		d.refuse(datagram, from)
	case op == opAck && running != nil:
		d.acknowledge(running, number(datagram), now)
	case op == opError && running != nil:
		d.end(running, Aborted, now, nil)
	default:
		d.report(Event{Outcome: Stray, Local: d.local, Remote: from})
	}
}

// read starts a transfer.
func (d *desk) read(datagram []byte, from netip.AddrPort, now time.Time) {
	event := Event{Local: d.local, Remote: from}
	request, err := parseRequest(datagram)
	if err != nil {
		event.Outcome, event.Err = outcomeOf(err), err
		d.report(event)
		d.send(errorPacket(codeIllegal, err.Error()), from)
		return
	}
	request.Local, request.Remote = d.local, from
	event.File = request.Name
	if event.Outcome = d.unwilling(from); event.Outcome != "" {
		d.report(event)
		return
	}
	if running := d.transfers[from]; running != nil {
		d.end(running, Replaced, now, nil)
	}
	file, isScript, err := d.open(request, now)
	if err != nil {
		d.decline(event, err)
		return
	}
	t := newTransfer(request, file, negotiate(request.Options, file.Size(), d.mtu), now)
	t.digest, t.script = sha256.Sum256(datagram), isScript
	d.transfers[from] = t
	d.clients[from.Addr()]++
	d.advance(t, now)
}

// unwilling is why a client's request is left without an answer, "" when it is
// not. One that takes the place of the client's own is never one too many.
func (d *desk) unwilling(from netip.AddrPort) Outcome {
	switch {
	case d.closing:
		return Stopping
	case d.transfers[from] != nil:
		return ""
	case len(d.transfers) >= maxTransfers, d.clients[from.Addr()] >= maxTransfersPerClient:
		return Overloaded
	default:
		return ""
	}
}

// open gets what a request is answered with.
func (d *desk) open(request Request, now time.Time) (file File, isScript bool, err error) {
	if script := d.history.script(request, now); script != nil {
		file, isScript = Memory(script), true
	} else if file, err = d.files.Open(request); err != nil {
		return nil, false, err
	}
	if request.Mode == "netascii" {
		file, err = netascii(file)
	}
	return file, isScript, err
}

// decline answers a request whose file could not be opened.
func (d *desk) decline(event Event, err error) {
	event.Outcome, event.Err = Failed, err
	code, message := uint16(codeUndefined), "cannot open file"
	if errors.Is(err, fs.ErrNotExist) {
		event.Outcome, event.Err = NotFound, nil
		code, message = codeNotFound, "file not found"
	}
	d.report(event)
	d.send(errorPacket(code, message), event.Remote)
}

// refuse answers a write request.
func (d *desk) refuse(datagram []byte, from netip.AddrPort) {
	event := Event{Outcome: Refused, Local: d.local, Remote: from}
	if request, err := parseRequest(datagram); err == nil {
		event.File = request.Name
	}
	d.report(event)
	d.send(errorPacket(codeAccess, "this server is read-only"), from)
}

func outcomeOf(err error) Outcome {
	switch {
	case errors.Is(err, errName):
		return BadName
	case errors.Is(err, errMode):
		return BadMode
	default:
		return Malformed
	}
}

// acknowledge moves a transfer on. A client that repeats an acknowledgement
// does not extend its time: in lock step a lost block is sent again by the clock
// alone, which must run out while the client asks for it.
func (d *desk) acknowledge(t *transfer, number uint16, now time.Time) {
	progress := t.acknowledge(number)
	switch {
	case t.window.done():
		d.end(t, Completed, now, nil)
	case progress:
		t.silences = 0
		d.advance(t, now)
	case t.window.gap():
		d.put(t, now)
	}
}

// advance sends what may be sent and gives the client time to answer.
func (d *desk) advance(t *transfer, now time.Time) {
	d.put(t, now)
	wait := t.terms.interval
	if wait == 0 {
		wait = min(interval<<t.silences, maxInterval)
	}
	t.deadline = now.Add(wait)
}

// put sends what may be sent, or ends the transfer where it cannot be read.
func (d *desk) put(t *transfer, now time.Time) {
	if err := t.put(d.buffer[:], func(packet []byte) { d.send(packet, t.request.Remote) }); err != nil {
		d.send(errorPacket(codeUndefined, "cannot read file"), t.request.Remote)
		d.end(t, Failed, now, err)
	}
}

// tick repeats what was not answered in time and gives up on the silent.
func (d *desk) tick(now time.Time) {
	for _, t := range d.transfers {
		switch {
		case now.Before(t.deadline):
		case t.silences+1 >= maxSilences:
			d.end(t, TimedOut, now, nil)
		default:
			t.silences++
			t.rewind()
			d.advance(t, now)
		}
	}
}

// end forgets a transfer.
func (d *desk) end(t *transfer, outcome Outcome, now time.Time, err error) {
	delete(d.transfers, t.request.Remote)
	if client := t.request.Remote.Addr(); d.clients[client] > 1 {
		d.clients[client]--
	} else {
		delete(d.clients, client)
	}
	event := Event{
		Outcome: outcome, Local: d.local, Remote: t.request.Remote, File: t.request.Name,
		Bytes: t.received(), Duration: now.Sub(t.started),
		BlockSize: t.terms.blockSize, Window: int(t.terms.window),
		Retransmitted: t.retransmitted, Script: t.script, Err: err,
	}
	if closing := t.file.Close(); err == nil {
		event.Err = closing
	}
	if outcome == Completed && !t.script {
		d.history.completed(t.request, now)
	}
	d.report(event)
}

// endAll gives up on everybody.
func (d *desk) endAll(now time.Time) {
	for _, t := range d.transfers {
		d.send(errorPacket(codeUndefined, "server is stopping"), t.request.Remote)
		d.end(t, Stopped, now, nil)
	}
}
