package server

import (
	"errors"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// TestWaiting tells what a server waits for in the words that help most.
func TestWaiting(t *testing.T) {
	failed := errors.New("no answer")
	open := &power.OpenError{Cause: failed, Failures: 3}

	for name, c := range map[string]struct {
		result result
		want   string
	}{
		"as decided":             {result{decision: Decision{Waiting: "a person to accept it"}}, "a person to accept it"},
		"power fails":            {result{outcome: failed}, "its power control to work: no answer"},
		"power is left alone":    {result{outcome: open}, "its power control to work: no answer"},
		"control is missing":     {result{decision: Decision{InUse: true}, view: view{problem: failed}}, "its power control: no answer"},
		"goes, though its power": {result{decision: Decision{Phase: Deleting, Waiting: "to be given back"}, outcome: failed}, "to be given back"},
	} {
		if got := c.result.waiting(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
