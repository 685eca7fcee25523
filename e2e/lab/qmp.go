package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// qmp is a client of QEMU's machine protocol (docs/interop/qmp-spec). Commands
// may be given from many goroutines; events go to a writer, one JSON object a
// line.
type qmp struct {
	conn   net.Conn
	events io.Writer
	ended  chan struct{}

	mu      sync.Mutex
	last    int
	pending map[int]chan qmpMessage // by the command's id; the greeting has none, thus 0
}

type qmpMessage struct {
	ID     int             `json:"id"`
	Event  string          `json:"event"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
}

var errQEMUEnded = errors.New("qemu has ended")

// connectQMP greets the QEMU at the other end of conn.
func connectQMP(ctx context.Context, conn net.Conn, events io.Writer) (*qmp, error) {
	greeting := make(chan qmpMessage, 1)
	q := &qmp{conn: conn, events: events, ended: make(chan struct{}), pending: map[int]chan qmpMessage{0: greeting}}
	go q.receive()
	if _, err := q.await(ctx, greeting); err != nil {
		return nil, fmt.Errorf("greet qemu: %w", err)
	}
	return q, q.execute(ctx, "qmp_capabilities", nil, nil)
}

// receive sorts what QEMU says until the connection ends.
func (q *qmp) receive() {
	defer close(q.ended)
	decoder := json.NewDecoder(q.conn)
	for {
		var raw json.RawMessage
		var message qmpMessage
		if decoder.Decode(&raw) != nil || json.Unmarshal(raw, &message) != nil {
			return
		}
		if message.Event != "" {
			fmt.Fprintf(q.events, "%s\n", raw)
			continue
		}
		q.mu.Lock()
		waiting := q.pending[message.ID]
		delete(q.pending, message.ID)
		q.mu.Unlock()
		if waiting != nil {
			waiting <- message
		}
	}
}

// execute runs a command. Its result is decoded into result unless that is nil.
func (q *qmp) execute(ctx context.Context, command string, arguments, result any) error {
	answer, err := q.send(command, arguments)
	if err != nil {
		return fmt.Errorf("tell qemu %s: %w", command, err)
	}
	message, err := q.await(ctx, answer)
	if err != nil {
		return fmt.Errorf("tell qemu %s: %w", command, err)
	}
	if message.Error != nil {
		return fmt.Errorf("tell qemu %s: %s: %s", command, message.Error.Class, message.Error.Desc)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(message.Return, result); err != nil {
		return fmt.Errorf("understand qemu's answer to %s: %w", command, err)
	}
	return nil
}

func (q *qmp) send(command string, arguments any) (<-chan qmpMessage, error) {
	answer := make(chan qmpMessage, 1)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	q.pending[q.last] = answer
	request := map[string]any{"execute": command, "id": q.last}
	if arguments != nil {
		request["arguments"] = arguments
	}
	return answer, json.NewEncoder(q.conn).Encode(request)
}

func (q *qmp) await(ctx context.Context, answer <-chan qmpMessage) (qmpMessage, error) {
	select {
	case message := <-answer:
		return message, nil
	case <-q.ended:
		return qmpMessage{}, errQEMUEnded
	case <-ctx.Done():
		return qmpMessage{}, context.Cause(ctx)
	}
}
