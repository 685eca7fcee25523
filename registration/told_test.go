package registration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// TestDisksAreBounded: a machine that is ordered to wipe, and makes up other disks in each report, does not fill the database.
func TestDisksAreBounded(t *testing.T) {
	status := &v1alpha2.ServerStatus{}

	for n := range 3 * maxDisks {
		recordProgress(status, []v1alpha2.WipeDiskStatus{{Name: fmt.Sprint(n)}}, time.Now())
	}

	if len(status.Wipe.Disks) != maxDisks {
		t.Errorf("there are %d disks", len(status.Wipe.Disks))
	}
}

// TestIdentitiesAreRefused: what no agent sends.
func TestIdentitiesAreRefused(t *testing.T) {
	long, err := proto.Marshal(&api.Identity{SerialNumber: strings.Repeat("x", 600)})
	if err != nil {
		t.Fatal(err)
	}

	for name, pairs := range map[string][]string{
		"two":           {api.IdentityKey, "", api.IdentityKey, ""},
		"garbage":       {api.IdentityKey, "\x0a\xff\xff\xff"},
		"a long text":   {api.IdentityKey, string(long)},
		"far too large": {api.IdentityKey, strings.Repeat("\x20\x01", 100000)},
	} {
		if told, err := toldBy(metadata.NewIncomingContext(t.Context(), metadata.Pairs(pairs...))); err == nil {
			t.Errorf("%s: %+v", name, told)
		}
	}

	if told, err := toldBy(t.Context()); told != nil || err != nil {
		t.Errorf("a call of Sidero's agent: %+v, %v", told, err)
	}
}
