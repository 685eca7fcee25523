package metadata_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/metadata"
)

// TestDecide goes through every combination of what access is decided by.
func TestDecide(t *testing.T) {
	opened := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	flags, told := []bool{false, true}, map[string]string{}
	tokens := []metadata.Token{metadata.TokenMissing, metadata.TokenForeign, metadata.TokenStale, metadata.TokenGood}
	clients := []metadata.Client{metadata.ClientOwn, metadata.ClientForeign, metadata.ClientUnknown}

	for _, access := range []metadata.Access{metadata.AccessToken, metadata.AccessOpen} {
		for _, accepted := range flags {
			for _, duplicate := range flags {
				for _, open := range flags {
					for _, token := range tokens {
						for _, client := range clients {
							f := metadata.AccessFacts{
								Server: "box", Access: access, Accepted: accepted, Duplicate: duplicate, Open: open, Token: token, Client: client,
								Window: v1alpha3.BootWindow{OpenedAt: metav1.NewMicroTime(opened)}, MAC: "02:00:00:00:00:01", Address: "10.0.0.7",
							}
							checkVerdict(t, f)
							tellApart(t, f, told)
						}
					}
				}
			}
		}
	}
}

func checkVerdict(t *testing.T, f metadata.AccessFacts) {
	t.Helper()

	mine := f.Client == metadata.ClientOwn || f.Client == metadata.ClientUnknown && !f.Duplicate
	allowed := f.Accepted && (f.Access == metadata.AccessOpen || f.Open && f.Token == metadata.TokenGood && mine)

	got := metadata.Decide(f)
	if got.Allowed() != allowed || (got.Status == http.StatusForbidden) == allowed {
		t.Errorf("%+v: %+v", f, got)
	}

	if !allowed && (got.Reason != metadata.ReasonRefused || got.Message == "") {
		t.Errorf("%+v: no Event: %+v", f, got)
	}

	relayed := f.Access == metadata.AccessToken && f.Client == metadata.ClientUnknown
	if allowed && (got.Reason == metadata.ReasonUnverified) != relayed {
		t.Errorf("%+v: %+v", f, got)
	}

	// The command is named where a person may well mean to let the machine in, and never for another machine.
	named := strings.Contains(got.Message, "sidero-appliance boot-window box")
	curable := f.Accepted && f.Access == metadata.AccessToken && mine && (f.Token == metadata.TokenStale || f.Token == metadata.TokenGood && !f.Open)
	if named != curable {
		t.Errorf("%+v: %+v", f, got)
	}
}

// tellApart holds what is said to one action for each: Events of one action show the first that was said.
func tellApart(t *testing.T, f metadata.AccessFacts, told map[string]string) {
	t.Helper()

	got := metadata.Decide(f)
	if got.Reason == "" {
		return
	}

	if said, ok := told[got.Action]; got.Action == "" || ok && said != got.Message {
		t.Errorf("action %q is for both %q and %q", got.Action, said, got.Message)
	}

	told[got.Action] = got.Message
}
