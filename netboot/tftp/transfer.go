package tftp

import (
	"crypto/sha256"
	"errors"
	"io"
	"time"
)

// transfer is one client's reading of one file.
type transfer struct {
	request Request
	digest  [sha256.Size]byte // of the request's datagram, to know its repetitions
	file    File
	terms   terms
	window  window
	confirm []byte // the options packet, until the client has acknowledged it
	script  bool

	started       time.Time
	deadline      time.Time // for the next packet of the client
	silences      int       // deadlines missed since the client was last heard
	retransmitted int
}

func newTransfer(request Request, file File, agreed terms, now time.Time) *transfer {
	t := &transfer{
		request: request,
		file:    file,
		terms:   agreed,
		// A file that ends with a full block is followed by an empty one.
		window:  newWindow(agreed.window, file.Size()/int64(agreed.blockSize)+1),
		started: now,
	}
	if len(agreed.agreed) > 0 {
		t.confirm = optionsPacket(agreed.agreed)
	}
	return t
}

// acknowledge handles an acknowledgement and tells whether the client has got
// further by it. A repeated or late one is no sign of that: only the clock
// brings the packet that such a client waits for.
func (t *transfer) acknowledge(number uint16) (progress bool) {
	if t.confirm == nil {
		return t.window.acknowledge(number)
	}
	if number != 0 {
		return false
	}
	t.confirm = nil
	return true
}

// put sends what may be sent now, through a buffer of at least a packet's
// length.
func (t *transfer) put(buffer []byte, send func([]byte)) error {
	if t.confirm != nil {
		send(t.confirm)
		return nil
	}
	for {
		block, ok := t.window.take()
		if !ok {
			return nil
		}
		n, err := t.read(block, buffer[headerLength:headerLength+t.terms.blockSize])
		if err != nil {
			return err
		}
		putDataHeader(buffer, block)
		send(buffer[:headerLength+n])
	}
}

// read fills a block, the last one as far as the file goes.
func (t *transfer) read(block int64, data []byte) (int, error) {
	offset := (block - 1) * int64(len(data))
	data = data[:min(int64(len(data)), t.file.Size()-offset)]
	if len(data) == 0 {
		return 0, nil
	}
	n, err := t.file.ReadAt(data, offset)
	if n == len(data) && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// rewind makes everything unacknowledged be sent again.
func (t *transfer) rewind() {
	if t.confirm != nil {
		t.retransmitted++
		return
	}
	t.retransmitted += int(t.window.next - t.window.base)
	t.window.rewind()
}

// received is how many bytes the client has acknowledged.
func (t *transfer) received() int64 {
	return min((t.window.base-1)*int64(t.terms.blockSize), t.file.Size())
}
