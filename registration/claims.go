package registration

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/identity"
	"github.com/sidero-appliance/sidero-appliance/registration/machine"
)

// errUnknown is the answer to a machine that has to register.
var errUnknown = errors.New("the machine is not registered: it has to register first")

// errUntold is the answer to a machine that shares its UUID and does not tell who it is, as Sidero's agent over another
// connection than the one it has registered with.
var errUntold = errors.New("several servers have this UUID, and the call does not tell which one it is about: restart the machine")

// errAnonymous is the answer to a call that tells nothing but a UUID, about a machine that tells more. Anybody knows a UUID.
var errAnonymous = errors.New("the machine of this server tells who it is, and the call does not: restart the machine")

// who is the name of the Server whose machine makes a call. It is never that of another machine with the same UUID.
func (s *Service) who(ctx context.Context, id string) (string, error) {
	id, err := machine.ParseUUID(id)
	if err != nil {
		return "", s.refuse(ctx, err)
	}

	told, err := toldBy(ctx)
	if err != nil {
		return "", s.refuse(ctx, err)
	}

	name, err := s.nameOf(ctx, id, told)

	return name, s.unrecognised(ctx, id, err)
}

// errBusy is the answer to calls about one Server without end.
var errBusy = errors.New("too many requests about this server: try again later")

// writer is who, for a call that changes the Server.
func (s *Service) writer(ctx context.Context, id string) (string, error) {
	name, err := s.who(ctx, id)
	if err != nil {
		return "", err
	}

	return name, s.affordable(ctx, name)
}

// affordable refuses calls about one Server that are more than its machine makes.
func (s *Service) affordable(ctx context.Context, name string) error {
	if !s.changes.allowed(name) {
		return s.deny(ctx, codes.ResourceExhausted, errBusy)
	}

	return nil
}

// recognise tells which Server a machine is that registers, and what it told of its identity.
func (s *Service) recognise(ctx context.Context, reported machine.Machine) (identity.Verdict, identity.Facts, error) {
	told, err := toldBy(ctx)
	if err != nil {
		return identity.Verdict{}, identity.Facts{}, s.refuse(ctx, err)
	}

	if told == nil {
		told = new(identity.OfHardware(&reported.Hardware))
	}

	verdict, err := s.identify(ctx, s.config.Client, reported.UUID, *told)

	return verdict, *told, s.unrecognised(ctx, reported.UUID, err)
}

// unrecognised answers a machine of which it cannot be told which Server it is.
func (s *Service) unrecognised(ctx context.Context, id string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errUntold), errors.Is(err, errAnonymous):
		return s.deny(ctx, codes.FailedPrecondition, err)
	case errors.Is(err, errUnknown):
		return s.deny(ctx, codes.NotFound, err)
	case errors.Is(err, identity.ErrCrowded):
		return s.deny(ctx, codes.ResourceExhausted, err)
	case errors.Is(err, identity.ErrNameless), errors.Is(err, identity.ErrAmbiguous):
		return s.refuse(ctx, err)
	default:
		return s.fail(ctx, s.config.Logger.With("server", id, "remote", remote(ctx)), "find server", err)
	}
}

// toldBy are the facts that a call tells of the machine that makes it; nil if it tells none.
func toldBy(ctx context.Context) (*identity.Facts, error) {
	told, err := api.IdentityOf(ctx)
	if err != nil || told == nil {
		return nil, err
	}

	facts, err := machine.ParseIdentity(told)

	return &facts, err
}

func (s *Service) nameOf(ctx context.Context, id string, told *identity.Facts) (string, error) {
	ctx, cancel := answering(ctx)
	defer cancel()

	if told == nil {
		return s.untold(ctx, id)
	}

	// Facts that fit are no less true for being read from a cache that is behind.
	verdict, err := s.identify(ctx, s.config.Cache, id, *told)
	if err != nil || verdict.New {
		verdict, err = s.identify(ctx, s.config.Client, id, *told)
	}

	if err == nil && verdict.New {
		err = errUnknown
	}

	return verdict.Name, err
}

// untold is the Server of a machine that tells only its UUID: the one that has registered over the same connection, or
// else the only one that there is, if nobody has told its permanent addresses either.
func (s *Service) untold(ctx context.Context, id string) (string, error) {
	if name, ok := s.callers.name(remote(ctx), id); ok {
		return name, nil
	}

	// It is marked before there is another one.
	first := &v1alpha2.Server{}
	if err := s.config.Client.Get(ctx, client.ObjectKey{Name: id}, first); client.IgnoreNotFound(err) != nil {
		return "", err //nolint:wrapcheck // wrapped by fail
	}

	switch {
	case first.Name == "":
	case first.Status.Identity != nil && len(first.Status.Identity.MACs) > 0:
		return "", errAnonymous
	case undisputed(first) && !identity.SharedUUID(id):
		return id, nil
	}

	claims, err := s.claims(ctx, s.config.Cache, id)

	switch {
	case err != nil:
		return "", err
	case len(claims) > 1, len(claims) == 1 && claims[0].Name != id, identity.SharedUUID(id):
		return "", errUntold
	default:
		return id, nil // if it is not in the cache, it may still be there
	}
}

// identify tells which Server a machine is.
func (s *Service) identify(ctx context.Context, reader client.Reader, id string, facts identity.Facts) (identity.Verdict, error) {
	// Nearly always there is one Server, which is the machine's.
	first := &v1alpha2.Server{}
	if err := reader.Get(ctx, client.ObjectKey{Name: id}, first); client.IgnoreNotFound(err) != nil {
		return identity.Verdict{}, err //nolint:wrapcheck // wrapped by fail
	}

	if first.Name != "" && undisputed(first) {
		verdict, err := identity.Decide(id, facts, []identity.Claim{identity.ClaimOf(first)})
		if err == nil && !verdict.New {
			return verdict, nil
		}
	}

	names := facts.Names(id) // a machine may tell a thousand

	others, err := s.named(ctx, id, names[:min(len(names), maxFurther)])
	if err != nil {
		return identity.Verdict{}, err
	}

	claims, err := existing(ctx, reader, slices.DeleteFunc(others, func(name string) bool { return name == id })) // which was read
	if err != nil {
		return identity.Verdict{}, err
	}

	if first.Name != "" {
		claims = slices.Insert(claims, 0, first)
	}

	return identity.Decide(id, facts, claimsOf(claims)) //nolint:wrapcheck // it tells all
}

// know writes down what a machine told of its identity, and returns its Server as it is then. Of one that is accepted, what was told before stays; a person who gives a
// Server to a machine with new parts gives it the serial number too.
func (s *Service) know(ctx context.Context, server *v1alpha2.Server, told identity.Facts) (*v1alpha2.Server, error) {
	id, _ := identity.UUIDOf(server.Name)
	told = told.Under(id)

	return s.changeOf(ctx, server, func(server *v1alpha2.Server) error {
		facts := told

		if claim := identity.ClaimOf(server); server.Spec.Accepted {
			if claim.Given(told) {
				claim.Facts.Serial = cmp.Or(told.Serial, claim.Facts.Serial)
			}

			facts = claim.Facts.With(told)
		}

		now := &v1alpha2.MachineIdentity{
			SerialNumber: facts.Serial, BootMAC: facts.BootMAC, MACs: facts.MACs, OtherMACs: facts.Other, ToldAt: metav1.Now(),
		}

		if was := server.Status.Identity; was != nil && now.ToldAt.Sub(was.ToldAt.Time) < seenAgain {
			now.ToldAt = was.ToldAt
		}

		server.Status.Identity = now

		return nil
	})
}

func undisputed(server *v1alpha2.Server) bool {
	_, word := server.Annotations[v1alpha2.IdentityAnnotation]

	_, disputed := server.Status.Conditions.Find(v1alpha2.ConditionDuplicateIdentity)

	return !word && !disputed
}

func claimsOf(servers []*v1alpha2.Server) []identity.Claim {
	var claims []identity.Claim
	for _, server := range servers {
		claims = append(claims, identity.ClaimOf(server))
	}

	return claims
}

// maxFurther is of how many addresses of a machine it is tried whether a Server is named after them that the cache does not know yet.
// It is one of the first: they are taken in that order.
const maxFurther = 8

// claims are the Servers that claim a UUID, as the reader has them.
func (s *Service) claims(ctx context.Context, reader client.Reader, id string) ([]*v1alpha2.Server, error) {
	names, err := s.named(ctx, id, nil)
	if err != nil {
		return nil, err
	}

	return existing(ctx, reader, names)
}

// named are the names of the Servers that may claim a UUID, in their order: those of the cache, and further ones, which the cache may
// not know yet.
func (s *Service) named(ctx context.Context, id string, further []string) ([]string, error) {
	names := slices.Concat([]string{id}, further, s.made.of(id)) // before the cache is read, which may have them then

	known, err := Claims(ctx, s.config.Cache, id)
	if err != nil {
		return nil, err
	}

	for i := range known {
		names = append(names, known[i].Name)
	}

	slices.Sort(names)

	return slices.Compact(names), nil
}

// existing reads the Servers of these names that exist.
func existing(ctx context.Context, reader client.Reader, names []string) ([]*v1alpha2.Server, error) {
	var found []*v1alpha2.Server

	for _, name := range names {
		server := &v1alpha2.Server{}

		switch err := reader.Get(ctx, client.ObjectKey{Name: name}, server); {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, err //nolint:wrapcheck // wrapped by fail
		default:
			found = append(found, server)
		}
	}

	return found, nil
}

// deny answers a call that cannot be about one machine.
func (s *Service) deny(ctx context.Context, code codes.Code, cause error) error {
	method, _ := grpc.Method(ctx)
	refusal := status.Error(code, cause.Error())
	s.config.refused(remote(ctx), path.Base(method), refusal)

	return refusal
}

// maxCallers is how many connections are remembered.
const maxCallers = maxVisits

// callers are the Servers that have registered over each connection, for agents that tell only a UUID later. It is safe for
// concurrent use.
type callers struct {
	mu    sync.Mutex
	names map[caller]string
}

type caller struct{ remote, uuid string }

func (c *callers) registered(remote, id, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if len(c.names) >= maxCallers || c.names == nil {
		c.names = map[caller]string{} // who shares a UUID and has been forgotten has to start again
	}

	c.names[caller{remote, id}] = name
}

func (c *callers) name(remote, id string) (name string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	name, ok = c.names[caller{remote, id}]

	return name, ok
}
