package registration

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration/identity"
)

// identityManager makes Servers of machines whose UUID others have too. It is not FieldManager, whose next report would
// take back that nobody has decided.
const identityManager = "sidero-identity"

// Reasons of the condition DuplicateIdentity and of its Events.
const (
	reasonUndecided = "SeveralMachines"
	reasonDecided   = "Decided"
	eventDuplicate  = "Duplicate Identity"
	eventDecided    = "Identity Decided"
)

// admit makes the Server of a machine whose UUID others claim. They are marked before, so that nothing is done to any of them from
// the moment in which there are two; and whatever policy says, a person accepts it.
func (s *Service) admit(ctx context.Context, id string, verdict identity.Verdict) error {
	for _, name := range verdict.Others {
		server, err := s.server(ctx, name)
		if err != nil {
			return fmt.Errorf("read server %s: %w", name, err)
		}

		standing := identity.Standing{
			Others:  append(slices.DeleteFunc(slices.Clone(verdict.Others), func(o string) bool { return o == name }), verdict.Name),
			Decided: server.Annotations[v1alpha2.IdentityAnnotation] == v1alpha2.IdentityOwn,
		}
		if err := s.stand(ctx, server, standing); err != nil {
			return fmt.Errorf("mark server %s: %w", name, err)
		}
	}

	s.made.add(id, verdict.Name)

	_, err := applyYielding(ctx, s.config.Client, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha2.GroupVersion.String(),
		"kind":       "Server",
		"metadata": map[string]any{
			"name": verdict.Name, "annotations": map[string]any{v1alpha2.IdentityAnnotation: v1alpha2.IdentityUndecided},
		},
	}}, identityManager)

	return err
}

// settle brings the conditions of all Servers that claim a UUID to what is so now. Nobody registers under it meanwhile.
func (s *Service) settle(ctx context.Context, id string) error {
	s.names.LockKey(id)
	defer s.names.UnlockKey(id) //nolint:errcheck // always nil

	servers, err := s.claims(ctx, s.config.Client, id)
	if err != nil {
		return fmt.Errorf("list servers with UUID %s: %w", id, err)
	}

	standings := identity.Standings(id, claimsOf(servers))

	for _, server := range servers {
		if err := s.stand(ctx, server, standings[server.Name]); err != nil {
			return fmt.Errorf("write identity of server %s: %w", server.Name, err)
		}
	}

	return nil
}

// stand writes down how a Server stands, if that is new.
func (s *Service) stand(ctx context.Context, server *v1alpha2.Server, standing identity.Standing) error {
	if word := server.Annotations[v1alpha2.IdentityAnnotation]; len(standing.Others) == 0 && word == v1alpha2.IdentityUndecided {
		before := server.DeepCopy()
		delete(server.Annotations, v1alpha2.IdentityAnnotation)

		if err := s.config.Client.Patch(ctx, server, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return err //nolint:wrapcheck // wrapped by who calls
		}
	}

	var turned bool

	want := standingCondition(server.Name, standing)

	err := s.change(ctx, server.Name, func(server *v1alpha2.Server) error {
		was, has := server.Status.Conditions.Find(v1alpha2.ConditionDuplicateIdentity)
		if has && was.Status == want.Status {
			want.LastTransitionTime = was.LastTransitionTime
		}

		turned = want.Status != cmp.Or(was.Status, corev1.ConditionFalse)

		if len(standing.Others) > 0 {
			server.Status.Conditions = server.Status.Conditions.With(want)
		} else {
			server.Status.Conditions = server.Status.Conditions.Without(want.Type)
		}

		return nil
	})
	if err != nil || !turned {
		return client.IgnoreNotFound(err)
	}

	kind, reason := corev1.EventTypeWarning, eventDuplicate
	if want.Status != corev1.ConditionTrue {
		kind, reason = corev1.EventTypeNormal, eventDecided
	}

	s.config.Logger.WarnContext(ctx, "identity of a server", "server", server.Name,
		"disputed", want.Status == corev1.ConditionTrue, "others", some(standing.Others))
	s.config.Recorder.Eventf(server, nil, kind, reason, "Register", "%.1000s", want.Message)

	return nil
}

// standingCondition tells how a Server stands, and what a person can do about it.
func standingCondition(name string, standing identity.Standing) v1alpha2.Condition {
	others := some(standing.Others)
	c := v1alpha2.Condition{Type: v1alpha2.ConditionDuplicateIdentity, LastTransitionTime: metav1.Now()}

	switch {
	case len(standing.Others) == 0:
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, reasonDecided, "no other server claims its UUID any more"
	case standing.Decided:
		c.Status, c.Severity, c.Reason = corev1.ConditionFalse, v1alpha2.SeverityInfo, reasonDecided
		c.Message = "a person has told that this is a machine of its own, although its UUID is claimed by " + others + " too"
	default:
		c.Status, c.Severity, c.Reason = corev1.ConditionTrue, v1alpha2.SeverityWarning, reasonUndecided
		c.Message = fmt.Sprintf("its UUID is claimed by %[2]s too, and neither serial number nor network addresses tell that it is the same machine. "+
			"Nothing is done to this one until you decide. If it is a machine of its own: kubectl annotate --overwrite server %[1]s %[3]s=own. "+
			"If %[4]s is gone: kubectl delete server %[4]s. If that is this machine with new parts: kubectl annotate --overwrite "+
			"server %[1]s %[3]s=%[4]s and then delete %[4]s", name, others, v1alpha2.IdentityAnnotation, standing.Others[0])
	}

	return c
}

// maxNamed is how many Servers a message names.
const maxNamed = 3

func some(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), more)
	}

	return strings.Join(names, ", ")
}

// made are the names of Servers that were made for machines with another's UUID, which a cache that is behind does not have
// yet. What was made before the start is in the cache. It is safe for concurrent use.
type made struct {
	mu    sync.Mutex
	names map[string][]string
}

func (m *made) add(id, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if !slices.Contains(m.names[id], name) {
		m.names[id] = append(m.names[id], name)
	}
}

// forget is told the name of a Server that the cache has.
func (m *made) forget(id, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.names[id] = slices.DeleteFunc(m.names[id], func(n string) bool { return n == name })
	if len(m.names[id]) == 0 {
		delete(m.names, id)
	}
}

func (m *made) of(id string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()

	return slices.Clone(m.names[id])
}

// disputes are the UUIDs whose Servers have to be looked at.
type disputes = workqueue.TypedRateLimitingInterface[string]

// concern has the Servers looked at that claim a changed one's UUID, if there is, or was, a dispute.
func (s *Service) concern(o client.Object) {
	server, ok := o.(*v1alpha2.Server)
	if !ok {
		return
	}

	id, ok := identity.UUIDOf(server.Name)
	s.made.forget(id, server.Name)

	if ok && (id != server.Name || !undisputed(server)) {
		s.disputes.Add(id)
	}
}

// settleAll settles disputes until the queue is shut down.
func (s *Service) settleAll(ctx context.Context) {
	for {
		id, down := s.disputes.Get()
		if down {
			return
		}

		bound, cancel := context.WithTimeout(ctx, answersWithin)
		err := s.settle(bound, id)

		cancel()

		if err != nil && ctx.Err() == nil {
			s.config.Logger.Log(ctx, s.config.quietly(slog.LevelWarn, id, "settle"), "identities could not be settled", "uuid", id, "reason", err)
			s.disputes.AddRateLimited(id)
		} else {
			s.disputes.Forget(id)
		}

		s.disputes.Done(id)
	}
}

func newDisputes() disputes {
	return workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, time.Minute))
}
