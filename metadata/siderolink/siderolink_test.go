package siderolink_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	pb "github.com/siderolabs/siderolink/api/siderolink"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink"
)

var _ pb.ProvisionServiceServer = (*siderolink.Provision)(nil)

// The prefixes are those that siderolink 0.3.15 derives.
func TestNetwork(t *testing.T) {
	for installation, want := range map[string]string{
		"": "fdae:41e4:649b:9303::/64", "test": "fdbf:4f1b:2b0b:8203::/64", "UM3XZnb9CEfcqRYXaG8uqz6hVwm6cWHXvzJTdXlqOFk=": "fd1d:c4c1:9e47:ca03::/64",
	} {
		network := siderolink.Network(installation)
		if network.String() != want {
			t.Errorf("%q: %s instead of %s", installation, network, want)
		}
		if got := siderolink.ServerAddress(network).String(); got != strings.Replace(want, "::/64", "::1", 1) {
			t.Errorf("%q: the appliance is at %s", installation, got)
		}
	}
}

func TestPrivateKey(t *testing.T) {
	// RFC 7748, section 6.1: Alice's keys.
	private, err := siderolink.ParsePrivateKey("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=")
	if err != nil {
		t.Fatal(err)
	}
	if got := private.Public().String(); got != "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=" {
		t.Errorf("the public key is %s", got)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", private)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", private)
	fmt.Fprintf(&log, "%v %+v %#v %s", private, private, private, private)
	if strings.Contains(log.String(), private.Text()) || strings.Contains(log.String(), "dwdt") || strings.Contains(log.String(), "119") {
		t.Errorf("the key is told: %s", log.String())
	}
}

func TestParseKeys(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "short": "AAAA", "31 bytes": base64.StdEncoding.EncodeToString(make([]byte, 31)), "33 bytes": base64.StdEncoding.EncodeToString(make([]byte, 33)),
		"not base64": strings.Repeat("*", 44), "url base64": strings.Repeat("_", 43) + "=", "loose end": strings.Repeat("A", 42) + "B=", "zeroes": base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"line feed": strings.Repeat("A", 42) + "\n=",
	} {
		if _, err := siderolink.ParsePublicKey(text); err == nil {
			t.Errorf("%s: is a key", name)
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := siderolink.ParsePublicKey(text); err == nil && key.String() != text {
			t.Errorf("%q became %q", text, key)
		}
	})
}

type peers struct {
	all   map[string]siderolink.Peer
	taken int   // how many writes are in vain
	err   error // of every write
}

func (p *peers) Peer(_ context.Context, uuid string) (siderolink.Peer, error) {
	peer, ok := p.all[uuid]
	if !ok {
		return peer, siderolink.ErrNotAllocated
	}
	return peer, nil
}

func (p *peers) Keep(_ context.Context, uuid string, was, now siderolink.Peer) error {
	if p.err != nil {
		return p.err
	}
	if p.taken--; p.taken >= 0 || p.all[uuid] != was {
		return siderolink.ErrTaken
	}
	p.all[uuid] = now
	return nil
}

func newKey(t *testing.T) siderolink.PublicKey {
	t.Helper()
	key, err := siderolink.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

var network = siderolink.Network("test")

// identity is of the installation "test".
func identity(t *testing.T) siderolink.Identity {
	t.Helper()
	made, err := siderolink.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	made.Installation = "test"
	return made
}

// An identity is read as it was written, and one that is not whole is refused without telling it.
func TestIdentity(t *testing.T) {
	one := identity(t)
	read, err := siderolink.ReadIdentity(one.Data())
	if err != nil || read.Installation != one.Installation || read.Key.Text() != one.Key.Text() {
		t.Errorf("read %+v, %v", read, err)
	}
	for _, key := range []string{"installation-id", "private-key"} {
		data := one.Data()
		data[key] = data[key][:0]
		if _, err := siderolink.ReadIdentity(data); err == nil || strings.Contains(err.Error(), one.Key.Text()) {
			t.Errorf("without %s: %v", key, err)
		}
	}
}

func provision(t *testing.T, p *peers) *siderolink.Provision {
	t.Helper()
	own := identity(t)
	return &siderolink.Provision{
		Identity: func() (siderolink.Identity, error) { return own, nil },
		Endpoint: netip.MustParseAddrPort("192.0.2.1:51821"), Peers: p, Log: slog.New(slog.DiscardHandler),
	}
}

// A machine has its address for as long as it is in use, whichever key it comes with.
func TestProvisionKeepsTheAddress(t *testing.T) {
	known := &peers{all: map[string]siderolink.Peer{"u": {}}}
	service := provision(t, known)
	own, _ := service.Identity()
	var address string
	for boot := range 3 {
		key := newKey(t)
		answer, err := service.Provision(t.Context(), &pb.ProvisionRequest{NodeUuid: "u", NodePublicKey: key.String()})
		if err != nil {
			t.Fatal(err)
		}
		if boot > 0 && answer.GetNodeAddressPrefix() != address {
			t.Errorf("boot %d: %s instead of %s", boot, answer.GetNodeAddressPrefix(), address)
		}
		address = answer.GetNodeAddressPrefix()
		prefix, err := netip.ParsePrefix(address)
		if err != nil || prefix.Bits() != 64 || !network.Contains(prefix.Addr()) {
			t.Errorf("%q is no address in %s: %v", address, network, err)
		}
		if known.all["u"] != (siderolink.Peer{Address: prefix, Key: key}) {
			t.Errorf("kept is %+v", known.all["u"])
		}
		if answer.GetServerEndpoint()[0] != "192.0.2.1:51821" || answer.GetServerPublicKey() != own.Key.Public().String() || answer.GetServerAddress() != own.Address().String() {
			t.Errorf("the answer is %v", answer)
		}
	}
}

func TestProvisionGivesAnotherAddressForOneThatCannotBe(t *testing.T) {
	for _, was := range []netip.Prefix{
		{}, netip.MustParsePrefix("2001:db8::1/64"), netip.MustParsePrefix("192.0.2.1/24"), netip.PrefixFrom(siderolink.ServerAddress(network), 64),
	} {
		known := &peers{all: map[string]siderolink.Peer{"u": {Address: was, Key: newKey(t)}}}
		if _, err := provision(t, known).Provision(t.Context(), &pb.ProvisionRequest{NodeUuid: "u", NodePublicKey: newKey(t).String()}); err != nil {
			t.Fatal(err)
		}
		if now := known.all["u"].Address; now == was || !network.Contains(now.Addr()) {
			t.Errorf("%s became %s", was, now)
		}
	}
}

func TestProvisionRefuses(t *testing.T) {
	for _, test := range []struct {
		name  string
		uuid  string
		key   string
		peers peers
		want  codes.Code
	}{
		{"not in use", "other", newKey(t).String(), peers{}, codes.NotFound},
		{"no key", "u", "", peers{}, codes.InvalidArgument},
		{"another's key", "u", newKey(t).String(), peers{err: siderolink.ErrKeyInUse}, codes.AlreadyExists},
		{"cannot be kept", "u", newKey(t).String(), peers{err: errors.New("down")}, codes.Unavailable},
		{"changed a few times meanwhile", "u", newKey(t).String(), peers{taken: 4}, codes.OK},
		{"changed too often meanwhile", "u", newKey(t).String(), peers{taken: 100}, codes.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.peers.all = map[string]siderolink.Peer{"u": {}}
			_, err := provision(t, &test.peers).Provision(t.Context(), &pb.ProvisionRequest{NodeUuid: test.uuid, NodePublicKey: test.key})
			if status.Code(err) != test.want {
				t.Errorf("got %v", err)
			}
		})
	}
	service := provision(t, &peers{all: map[string]siderolink.Peer{"u": {}}})
	own, _ := service.Identity()
	if _, err := service.Provision(t.Context(), &pb.ProvisionRequest{NodeUuid: "u", NodePublicKey: own.Key.Public().String()}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("the appliance's own key: %v", err)
	}
	service.Identity = func() (siderolink.Identity, error) { return siderolink.Identity{}, errors.New("not yet") }
	if _, err := service.Provision(t.Context(), &pb.ProvisionRequest{NodeUuid: "u", NodePublicKey: newKey(t).String()}); status.Code(err) != codes.Unavailable {
		t.Errorf("before the identity is known: %v", err)
	}
}

// TestProvisionByToken: machines of one UUID are told apart by the tokens that they were given, and no token makes one another's.
func TestProvisionByToken(t *testing.T) {
	for token, want := range map[string]string{"": "u", "u-52": "u-52", "other": "u", "u": "u", "-52": "u"} {
		all := peers{all: map[string]siderolink.Peer{"u": {}, "u-52": {}, "other": {}, "-52": {}}}
		request := &pb.ProvisionRequest{NodeUuid: "u", NodePublicKey: newKey(t).String()}
		if token != "" {
			request.JoinToken = &token
		}
		_, err := provision(t, &all).Provision(t.Context(), request)
		for name, peer := range all.all {
			if joined := peer != (siderolink.Peer{}); joined != (name == want) {
				t.Errorf("token %q: %s has joined: %v, %v", token, name, joined, err)
			}
		}
	}
}
