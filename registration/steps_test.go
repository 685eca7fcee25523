package registration_test

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/sidero-appliance/sidero-appliance/registration"
)

// TestSteps: what a machine comes to is told, once each, by the name of its Server and the addresses of its adapters.
func TestSteps(t *testing.T) {
	b := newBench(t, startPlane(t), registration.Policy{InsecureWipe: true})

	var told []string

	config := b.config
	config.Step = func(s registration.Step) {
		if s.Server != machine || len(s.MACs) == 0 {
			t.Errorf("told %+v", s)
		}

		told = append(told, s.Name+s.Detail)
	}
	b.service = registration.New(config)

	if _, err := b.service.CreateServer(t.Context(), request()); err != nil {
		t.Fatal(err)
	}

	b.report(t, 0, plan())
	b.report(t, 1, progress("running", 1)) // nobody has ordered it
	b.patch(t, `{"spec":{"accepted":true}}`)

	sequence := b.order(t).GetSequence()
	for _, code := range []codes.Code{
		b.report(t, sequence, progress("running", 1)), b.report(t, sequence, progress("running", 2)),
		b.report(t, sequence, result("failed", "it is broken")), b.report(t, sequence, result("done", "")),
	} {
		if code != codes.OK {
			t.Errorf("answered %s", code)
		}
	}

	if want := []string{"agent", "wipe", "wipefailed: disk sda: it is broken", "clean"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
