package registration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// maxSame is how many may wait under one name: the machine, its earlier calls that it has given up, and perhaps another one
// with the same UUID.
const maxSame = 4

// waiters are the machines that wait for orders, by their names. It is safe for concurrent use.
type waiters struct {
	// stopped is closed when nobody may wait any more.
	stopped chan struct{}
	stop    func()

	mu      sync.Mutex
	waiting map[string][]chan struct{}
}

func newWaiters() *waiters {
	w := &waiters{stopped: make(chan struct{}), waiting: map[string][]chan struct{}{}}
	w.stop = sync.OnceFunc(func() { close(w.stopped) })

	return w
}

// join has the channel told of each change of the server's until leave is called. The channel is closed when too many wait
// under the name: the one that has waited longest goes.
func (w *waiters) join(name string) (changed <-chan struct{}, leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()

	mine := make(chan struct{}, 1)
	w.waiting[name] = append(w.waiting[name], mine)

	if same := w.waiting[name]; len(same) > maxSame {
		close(same[0])
		w.waiting[name] = slices.Delete(same, 0, 1)
	}

	return mine, func() { w.leave(name, mine) }
}

func (w *waiters) leave(name string, mine chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.waiting[name] = slices.DeleteFunc(w.waiting[name], func(c chan struct{}) bool { return c == mine })
	if len(w.waiting[name]) == 0 {
		delete(w.waiting, name)
	}
}

// wake tells those who wait under a name.
func (w *waiters) wake(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()

	for _, one := range w.waiting[name] {
		select {
		case one <- struct{}{}:
		default: // it is told already
		}
	}
}

// wakeAll tells all who wait.
func (w *waiters) wakeAll() {
	w.mu.Lock()
	names := slices.Collect(maps.Keys(w.waiting))
	w.mu.Unlock()

	for _, name := range names {
		w.wake(name)
	}
}

// Name implements the supervisor's component.
func (*Service) Name() string { return "orders" }

// Ready implements the supervisor's component.
func (s *Service) Ready(context.Context) error { return nil }

// Run wakes machines that wait when something about their servers changes, and settles disputes over identities, until ctx ends.
// Then all are told to come back later, and so is who comes after that: it has to end before the server that carries the calls.
func (s *Service) Run(ctx context.Context) error {
	defer s.waiters.stop()

	var settling sync.WaitGroup

	settling.Go(func() { s.settleAll(ctx) })
	defer settling.Wait()
	defer s.disputes.ShutDown()

	for object, handler := range s.handlers() {
		informer, err := s.config.Informers.GetInformer(ctx, object)
		if ctx.Err() != nil {
			return nil
		}

		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}

		handler, err := informer.AddEventHandler(handler)
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}

		defer func() { _ = informer.RemoveEventHandler(handler) }() //nolint:errcheck // it fails only for what is gone
	}

	<-ctx.Done()

	return nil
}

// handlers wake those whose orders a change may concern.
func (s *Service) handlers() map[client.Object]toolscache.ResourceEventHandler {
	changed := func(object any) {
		if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}

		if o, ok := object.(client.Object); ok {
			s.waiters.wake(o.GetName()) // a binding has its server's name
			s.concern(o)
		}
	}
	one := toolscache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, now any) { changed(now) }, DeleteFunc: changed}

	// The policy of a class concerns every server that fits it; its status, which changes often, none.
	all := toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { s.waiters.wakeAll() }, DeleteFunc: func(any) { s.waiters.wakeAll() },
		UpdateFunc: func(before, now any) {
			old, _ := before.(client.Object)
			if o, ok := now.(client.Object); ok && (old == nil || versionOf(old) != versionOf(o)) {
				s.waiters.wakeAll()
			}
		},
	}

	return map[client.Object]toolscache.ResourceEventHandler{&v1alpha2.Server{}: one, &v1alpha3.ServerBinding{}: one, &v1alpha2.ServerClass{}: all}
}
