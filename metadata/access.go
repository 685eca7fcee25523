package metadata

import (
	"fmt"
	"net/http"
	"time"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/bootwindow"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

// Access is who may fetch configurations.
type Access string

const (
	// AccessToken is for machines with a token, in their boot windows.
	AccessToken Access = "token"
	// AccessOpen is upstream's: anybody who knows a UUID.
	AccessOpen Access = "open"
)

// Token is what a request's token turned out to be.
type Token string

// What a token may be.
const (
	// TokenMissing is for a request without one.
	TokenMissing Token = "missing"
	// TokenForeign is for one that is no token of the server's binding, or none at all.
	TokenForeign Token = "foreign"
	// TokenStale is for one of an earlier boot.
	TokenStale Token = "stale"
	// TokenGood is for the one of this boot, or any other that is good now.
	TokenGood Token = "good"
)

// Client is whose network adapter a request came from.
type Client string

// Whose it may be.
const (
	// ClientOwn is the server's.
	ClientOwn Client = "own"
	// ClientForeign is another machine's.
	ClientForeign Client = "foreign"
	// ClientUnknown is for one behind a router, whose MAC nobody here sees, and for a server whose MACs nobody has told.
	ClientUnknown Client = "unknown"
)

// AccessFacts are all that a decision goes by.
type AccessFacts struct {
	// Server is its name, for the words.
	Server string
	Access Access
	// Accepted and Duplicate are what the Server says.
	Accepted, Duplicate bool

	Window v1alpha3.BootWindow
	// Loaded is when the machine reported that it has loaded its configuration; zero if it never has.
	Loaded time.Time
	Open   bool

	Token  Token
	Client Client
	// MAC and Address of the client, for the words; the MAC is empty when it is not known.
	MAC, Address string
}

// Verdict is whether a configuration is handed out.
type Verdict struct {
	// Status is 200, or that of the refusal.
	Status int
	// Reason is that of an Event, empty when there need be none. Action tells Events of one reason apart: the recorder counts those
	// of one action as one, and shows the first.
	Reason, Action string
	// Message is for people, and tells what to do.
	Message string
}

// Reasons of Events.
const (
	// ReasonRefused is for a request that was refused.
	ReasonRefused = "ConfigurationRefused"
	// ReasonUnverified is for a configuration that was handed out to a client whose MAC could not be compared.
	ReasonUnverified = "ConfigurationClientUnknown"
	// ReasonFailed is for a configuration that could not be made.
	ReasonFailed = "ConfigurationFailed"
	// ReasonInvalid is for one that was handed out, and that Talos refuses.
	ReasonInvalid = "ConfigurationInvalid"
)

// Allowed tells whether it is handed out.
func (v Verdict) Allowed() bool { return v.Status == http.StatusOK }

func refuse(action, format string, args ...any) Verdict {
	return Verdict{http.StatusForbidden, ReasonRefused, action, fmt.Sprintf(format, args...)}
}

// Decide tells whether a client gets a server's configuration. What only another machine would do comes first, so that nobody
// is told to let it in.
func Decide(f AccessFacts) Verdict {
	command := "sidero-appliance boot-window " + f.Server

	switch {
	case !f.Accepted:
		return refuse("FetchUnaccepted", "the server is not accepted, so its machine gets no configuration: \"sidero-appliance accept %s\" accepts it", f.Server)
	case f.Access == AccessOpen:
		return Verdict{Status: http.StatusOK}
	case f.Client == ClientForeign:
		return refuse("FetchByAnother", "another machine, with the MAC %s at %s, asked for the configuration of this server, and did not get it", f.MAC, f.Address)
	case f.Duplicate && f.Client != ClientOwn:
		return refuse("FetchByDuplicate", "several machines claim to be this server, and nobody can tell which of them asked from %s: "+
			"a person has to decide which is which (metal.sidero.dev/identity)", f.Address)
	case f.Token == TokenForeign:
		return refuse("FetchWithForeignToken", "the machine asked for its configuration, from %s, with a token of another server or of an earlier allocation: "+
			"start it from the network, where it is told the right one", f.Address)
	case f.Token == TokenMissing:
		return refuse("FetchWithoutToken", "the machine asked for its configuration, from %s, without a token: start it from the network, where it is told one. "+
			"Machines that Sidero has installed have none: for these there is --metadata-access=open", f.Address)
	case !f.Open:
		return refuse("FetchOutsideWindow", "the machine asked for its configuration, from %s, and %s. If it is meant to have it again, as after a reset, run \"%s\"",
			f.Address, closed(f), command)
	case f.Token == TokenStale:
		return refuse("FetchWithStaleToken", "the machine asked for its configuration, from %s, with the token of an earlier boot. If it is meant to have it again, "+
			"as after a reset, run \"%s\", or start it from the network", f.Address, command)
	case f.Client == ClientUnknown:
		return Verdict{http.StatusOK, ReasonUnverified, "FetchUnverified", fmt.Sprintf("the configuration was handed out to %s with the right token; "+
			"whether that is this machine could not be seen by its MAC, as with all machines behind a router", f.Address)}
	default:
		return Verdict{Status: http.StatusOK}
	}
}

// closed tells why a window is not open.
func closed(f AccessFacts) string {
	if !f.Loaded.Before(f.Window.OpenedAt.Time) {
		return "it has reported at " + f.Loaded.UTC().Format(time.RFC3339) + " that its configuration is loaded"
	}

	return fmt.Sprintf("its boot window, of %s, opened at %s", bootwindow.Duration, f.Window.OpenedAt.UTC().Format(time.RFC3339))
}
