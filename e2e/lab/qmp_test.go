package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestQMP talks to a QEMU that answers out of order and with events between.
func TestQMP(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() {
		fmt.Fprintln(theirs, `{"QMP": {"version": {}, "capabilities": []}}`)
		decoder := json.NewDecoder(theirs)
		for {
			var request struct {
				Execute string `json:"execute"`
				ID      int    `json:"id"`
			}
			if decoder.Decode(&request) != nil {
				return
			}
			switch request.Execute {
			case "qmp_capabilities":
				fmt.Fprintf(theirs, `{"return": {}, "id": %d}`, request.ID)
			case "query-status":
				fmt.Fprintf(theirs, `{"event": "RESET", "data": {}} {"return": {"late": true}, "id": 999} {"return": {"status": "running"}, "id": %d}`, request.ID)
			case "quit":
				theirs.Close()
			default:
				fmt.Fprintf(theirs, `{"error": {"class": "CommandNotFound", "desc": "no %s here"}, "id": %d}`, request.Execute, request.ID)
			}
		}
	}()
	var events bytes.Buffer
	ctx := t.Context()
	q, err := connectQMP(ctx, ours, &events)
	if err != nil {
		t.Fatal(err)
	}
	var status struct{ Status string }
	if err := q.execute(ctx, "query-status", nil, &status); err != nil || status.Status != "running" {
		t.Errorf("status %q, %v", status.Status, err)
	}
	if !strings.Contains(events.String(), `"RESET"`) {
		t.Errorf("events: %q", events.String())
	}
	if err := q.execute(ctx, "fly", map[string]any{"to": "Mars"}, nil); err == nil || !strings.Contains(err.Error(), "no fly here") {
		t.Errorf("unknown command: %v", err)
	}
	if err := q.execute(ctx, "quit", nil, nil); !errors.Is(err, errQEMUEnded) {
		t.Errorf("quit: %v", err)
	}
}

func TestQMPWaitsNoLongerThanItsContext(t *testing.T) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := connectQMP(ctx, ours, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("greeting that never comes: %v", err)
	}
}
