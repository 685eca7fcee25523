package logs

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxConnections is how many are open at once, and maxOfAddress how many of one machine: it may have restarted, and its
	// old connection may not be known to be dead yet. The oldest has to go.
	maxConnections = 8192
	maxOfAddress   = 2

	// batch is how many bytes are written to a file at once, if a machine sends so fast.
	batch = 64 << 10

	// bytesPerSecond is what is read of one machine in the long run, and burst what may come at once: a boot's kernel messages.
	// A machine that sends more is slowed down by TCP.
	bytesPerSecond = 256 << 10
	burst          = 4 << 20

	// looksEvery is how often it is looked at whether the machine of a silent connection is still known. One whose power was cut never
	// ends its connection, and nothing can come through it once the machine is not in use any more.
	looksEvery = 10 * time.Minute
)

var errFull = errors.New("too many connections are open")

// Receiver takes in what machines log.
type Receiver struct {
	Files *Files
	// Sender tells who has an address in the tunnel, nothing if nobody is known to.
	Sender func(netip.Addr) Sender
	Log    *slog.Logger
	// Patience is how long a connection may be silent before its machine must still be known; ten minutes when it is zero.
	Patience time.Duration

	mutex sync.Mutex
	open  map[netip.Addr][]net.Conn
	count int
}

// Serve reads from all that connect until the context ends or the listener breaks. It closes the listener.
func (r *Receiver) Serve(ctx context.Context, listener net.Listener) error {
	var connections sync.WaitGroup
	defer connections.Wait()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	context.AfterFunc(ctx, func() { _ = listener.Close() })

	for {
		connection, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}

			return err //nolint:wrapcheck // the listener's own words are complete
		}

		connections.Go(func() { r.serve(ctx, connection) })
	}
}

func (r *Receiver) serve(ctx context.Context, connection net.Conn) {
	remote, err := netip.ParseAddrPort(connection.RemoteAddr().String())
	if err == nil && !r.enter(remote.Addr(), connection) {
		err = errFull
	}

	if err != nil {
		r.Log.Warn("a machine's log is not taken", "remote", connection.RemoteAddr(), "error", err)

		_ = connection.Close() // nothing was read

		return
	}

	defer r.leave(remote.Addr(), connection)
	defer context.AfterFunc(ctx, func() { _ = connection.Close() })()

	if err := r.copy(ctx, connection, remote.Addr()); err != nil {
		r.Log.Error("a machine's log could not be kept", "remote", remote.Addr(), "error", err)
	}
}

// copy keeps what a connection sends until it ends. The error is that of keeping.
func (r *Receiver) copy(ctx context.Context, connection net.Conn, address netip.Addr) error {
	var (
		known = knownReader{connection, cmp.Or(r.Patience, looksEvery), func() bool { return r.Sender(address).Server != "" }}
		paced = pacedReader{ctx: ctx, from: known, limit: rate.NewLimiter(bytesPerSecond, burst)}
		in    = bufio.NewReaderSize(paced, batch)
		line  = make([]byte, 0, MaxLine)
		from  Sender
		kept  []byte
	)

	for {
		var ended error

		line, ended = readLine(in, line)
		if from.Server == "" {
			from = r.Sender(address) // the machine's binding may come to be known after its first line
		}

		kept = append(kept, Record(line, from)...)

		if len(kept) > 0 && (ended != nil || in.Buffered() == 0 || len(kept) >= batch) {
			if err := r.Files.Append(from.Server, kept); err != nil {
				return err
			}

			kept = kept[:0]
		}

		if ended != nil {
			return nil
		}
	}
}

// knownReader reads as long as something comes in time, or its sender is known.
type knownReader struct {
	from     net.Conn
	patience time.Duration
	known    func() bool
}

// Read implements io.Reader.
func (k knownReader) Read(into []byte) (int, error) {
	for {
		if err := k.from.SetReadDeadline(time.Now().Add(k.patience)); err != nil {
			return 0, err //nolint:wrapcheck // as any reader
		}

		n, err := k.from.Read(into)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !k.known() {
			return n, err //nolint:wrapcheck // as any reader
		}
	}
}

// pacedReader reads no faster than its limit, whose burst is at least what is asked for at once.
type pacedReader struct {
	ctx   context.Context //nolint:containedctx // of the connection that it reads
	from  io.Reader
	limit *rate.Limiter
}

// Read implements io.Reader.
func (p pacedReader) Read(into []byte) (int, error) {
	n, err := p.from.Read(into)
	if waited := p.limit.WaitN(p.ctx, n); waited != nil {
		err = errors.Join(err, waited)
	}

	return n, err
}

// enter tells whether there is room for one more connection. The oldest of the same address makes room.
func (r *Receiver) enter(address netip.Addr, connection net.Conn) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()

	if r.open == nil {
		r.open = map[netip.Addr][]net.Conn{}
	}

	its := r.open[address]
	if len(its) >= maxOfAddress {
		_ = its[0].Close() // its own reader leaves
		its = its[1:]
	} else if r.count >= maxConnections {
		return false
	}

	r.open[address] = append(its, connection)
	r.count++

	return true
}

func (r *Receiver) leave(address netip.Addr, connection net.Conn) {
	_ = connection.Close() // only read from

	r.mutex.Lock()
	defer r.mutex.Unlock()

	its := r.open[address]
	for i, c := range its {
		if c == connection {
			its = append(its[:i:i], its[i+1:]...)

			break
		}
	}

	r.count--

	if r.open[address] = its; len(its) == 0 {
		delete(r.open, address)
	}
}
