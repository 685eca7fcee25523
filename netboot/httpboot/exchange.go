package httpboot

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sidero-appliance/sidero-appliance/boottoken"
)

var (
	errMethod      = errors.New("only GET and HEAD are served")
	errNothingHere = errors.New("nothing is served at this address")
)

// maxPath bounds what is kept of a request's address, in bytes.
const maxPath = 512

// exchange is one request and its response. As a ResponseWriter it gives each write its own deadline, so that a transfer
// may last but not stand still, and notes what was sent.
type exchange struct {
	http.ResponseWriter
	request *http.Request
	control *http.ResponseController
	stall   time.Duration
	started time.Time
	seen    Observation
}

func newExchange(w http.ResponseWriter, r *http.Request, stall time.Duration) *exchange {
	e := &exchange{
		ResponseWriter: w,
		request:        r,
		control:        http.NewResponseController(w),
		stall:          stall,
		started:        time.Now(),
		seen: Observation{
			Kind:   KindUnknown,
			Path:   shownPath(r),
			Remote: r.RemoteAddr,
			Status: http.StatusOK,
		},
	}
	// The deadline of a connection's last request still stands, and a response without a body is never written by Write.
	e.extend()
	return e
}

// shownPath is what a log may show of a request's address.
func shownPath(r *http.Request) string {
	path := boottoken.Redact(r.URL.RequestURI())
	return path[:min(len(path), maxPath)]
}

// extend gives the client time for the next piece.
func (e *exchange) extend() {
	if err := e.control.SetWriteDeadline(time.Now().Add(e.stall)); err != nil {
		e.fail(err)
	}
}

// WriteHeader implements http.ResponseWriter.
func (e *exchange) WriteHeader(status int) {
	e.seen.Status = status
	e.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (e *exchange) Write(piece []byte) (int, error) {
	e.extend()
	n, err := e.ResponseWriter.Write(piece)
	e.seen.Bytes += int64(n)
	if err != nil {
		e.fail(err)
	}
	return n, err
}

// pieceSize is how much of a file has a deadline of its own, in bytes.
const pieceSize = 64 << 10

// ReadFrom implements io.ReaderFrom, by which net/http has the kernel send files (sendfile): their bytes are not copied
// through this process. HTTP/2 cannot.
func (e *exchange) ReadFrom(source io.Reader) (int64, error) {
	to, ok := e.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{e}, source)
	}
	// As http.ServeContent has it. Another reader around it would hide the file from the kernel.
	left, ok := source.(*io.LimitedReader)
	if !ok {
		left = &io.LimitedReader{R: source, N: math.MaxInt64}
	}
	sent := int64(0)
	for left.N > 0 {
		e.extend()
		piece := min(left.N, pieceSize)
		n, err := to.ReadFrom(&io.LimitedReader{R: left.R, N: piece})
		sent += n
		left.N -= n
		e.seen.Bytes += n
		if err != nil {
			e.fail(err)
			return sent, err
		}
		if n < piece {
			break // the end of the source
		}
	}
	return sent, nil
}

// refuse answers with an error, in words for whoever looks with curl. iPXE shows the status only. What failed in here is
// for the log: a client cannot mend it, and it may name what is nobody's business.
func (e *exchange) refuse(status int, reason error) {
	e.fail(reason)
	text := reason.Error() + "\n"
	if status >= http.StatusInternalServerError {
		text = "internal error: see the log of the appliance\n"
	}
	e.Header().Set("Content-Type", "text/plain; charset=utf-8")
	e.Header().Set("Content-Length", strconv.Itoa(len(text)))
	e.WriteHeader(status)
	_, _ = io.WriteString(e, text)
}

// fail keeps the first error.
func (e *exchange) fail(err error) {
	if e.seen.Err == nil {
		e.seen.Err = err
	}
}

func (e *exchange) observation() Observation {
	if e.seen.Status >= http.StatusBadRequest {
		e.fail(errors.New(http.StatusText(e.seen.Status)))
	}
	e.seen.Duration = time.Since(e.started)
	return e.seen
}
