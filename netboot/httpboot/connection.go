package httpboot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
)

// connection notes what comes over it and is no valid request: net/http answers that by itself and tells nobody.
type connection struct {
	net.Conn
	release func() // its place in the listener

	mu      sync.Mutex
	serving bool  // a request is being answered
	frames  bool  // HTTP/2, which may send and receive outside of requests
	pending bool  // something was received that has not become a request
	reason  error // why it will not
}

// errCut is what is known of a connection that ended by itself.
var errCut = errors.New("the connection ended within a request")

// Read implements net.Conn.
func (c *connection) Read(buffer []byte) (int, error) {
	n, err := c.Conn.Read(buffer)
	if n > 0 {
		c.received()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.explain(errors.New("the request did not arrive in time"))
	} else if errors.Is(err, io.EOF) {
		c.explain(errCut)
	}
	return n, err
}

// Write implements net.Conn. While no request is being answered, what is written is net/http's own opinion.
func (c *connection) Write(piece []byte) (int, error) {
	if reason := refusal(piece); reason != "" {
		c.received()
		c.explain(errors.New(reason))
	}
	return c.Conn.Write(piece)
}

// ReadFrom implements io.ReaderFrom. Only files come here, within a response that has begun.
func (c *connection) ReadFrom(source io.Reader) (int64, error) { return io.Copy(c.Conn, source) }

// Close implements net.Conn.
func (c *connection) Close() error {
	c.release()
	return c.Conn.Close()
}

// explain keeps the first reason, but for the end of a connection, of which an answer after it says more.
func (c *connection) explain(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serving {
		return
	}
	if c.reason == nil || errors.Is(c.reason, errCut) {
		c.reason = reason
	}
}

// received notes that bytes came that are no request yet.
func (c *connection) received() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = c.pending || !c.serving && !c.frames
}

// begin notes that they were one, idle that it was answered. HTTP/2 is idle before its first request.
func (c *connection) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving, c.pending, c.reason = true, false, nil
}

func (c *connection) idle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = c.frames || !c.serving
	c.serving, c.pending, c.reason = false, false, nil
}

// malformed is why what came last is no request, nil when it was one.
func (c *connection) malformed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending && c.reason == nil {
		return errCut
	}
	if c.pending {
		return c.reason
	}
	return nil
}

// maxRefusal bounds a reason in bytes.
const maxRefusal = 128

// refusal is the text of an error response of net/http, "" for anything else.
func refusal(piece []byte) string {
	const noStatus = len("HTTP/1.1 ")
	if !bytes.HasPrefix(piece, []byte("HTTP/1.1 4")) && !bytes.HasPrefix(piece, []byte("HTTP/1.1 5")) {
		return ""
	}
	header, body, _ := bytes.Cut(piece, []byte("\r\n\r\n"))
	status, _, _ := bytes.Cut(header[noStatus:], []byte("\r\n"))
	text := string(status)
	if len(body) > 0 {
		text = string(body)
	}
	return strings.TrimSpace(text[:min(len(text), maxRefusal)])
}

type connectionKey struct{}

func rememberConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

func noteRequest(ctx context.Context) {
	if conn, ok := ctx.Value(connectionKey{}).(*connection); ok {
		conn.begin()
	}
}

// watchConnection reports a connection that ends with something that is no request.
func (h *handler) watchConnection(netConn net.Conn, state http.ConnState) {
	conn, ok := netConn.(*connection)
	if !ok {
		return
	}
	switch state {
	case http.StateIdle:
		conn.idle()
	case http.StateClosed:
		if reason := conn.malformed(); reason != nil {
			h.report("", Observation{Kind: KindMalformed, Remote: conn.RemoteAddr().String(), Err: reason})
		}
	}
}
