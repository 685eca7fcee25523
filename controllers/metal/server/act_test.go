package server

import (
	"context"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power"
)

// recorder is a driver that writes down what it was told.
type recorder struct {
	power.Driver

	told []Action
	// meanwhile happens while the machine is told what to boot from, and refusal comes of that.
	meanwhile func()
	refusal   error
}

func (r *recorder) BootFromNetwork(context.Context, power.Firmware) error {
	if r.meanwhile != nil {
		r.meanwhile()
	}

	return r.refusal
}

func (r *recorder) On(context.Context) error    { r.told = append(r.told, TurnOn); return nil }
func (r *recorder) Off(context.Context) error   { r.told = append(r.told, TurnOff); return nil }
func (r *recorder) Cycle(context.Context) error { r.told = append(r.told, Restart); return nil }

func newFake(t *testing.T, s *v1alpha2.Server, patch func() error) client.Client {
	t.Helper()

	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha2.AddToScheme(scheme), v1alpha3.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}

	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(s).WithStatusSubresource(s).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := patch(); err != nil {
				return err
			}

			return c.Patch(ctx, o, p, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, of string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if err := patch(); err != nil {
				return err
			}

			return c.SubResource(of).Patch(ctx, o, p, opts...)
		},
	}).Build()
}

// TestChangedMeanwhile does nothing to a server that somebody has changed since it was read: it may be un-accepted.
func TestChangedMeanwhile(t *testing.T) {
	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha2.ServerSpec{Accepted: true}}

	for name, c := range map[string]struct {
		err     error
		changed bool
		fails   bool
	}{
		"alone":    {changed: true},
		"conflict": {err: apierrors.NewConflict(schema.GroupResource{}, "a", nil), changed: true},
		"deleted":  {err: apierrors.NewNotFound(schema.GroupResource{}, "a"), changed: true},
		"broken":   {err: errors.New("no database"), changed: true, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Reconciler{client: newFake(t, s.DeepCopy(), func() error { return c.err })}

			mine := &v1alpha2.Server{}
			if err := r.client.Get(t.Context(), client.ObjectKey{Name: "a"}, mine); err != nil {
				t.Fatal(err)
			}

			if changed, err := r.keepMetadata(t.Context(), mine); changed != c.changed || (err != nil) != c.fails {
				t.Errorf("changed %v, %v", changed, err)
			}
		})
	}
}

// TestNoBootOverride starts a machine whose control cannot say what it boots from, and tells people; one whose control does not answer is not
// started.
func TestNoBootOverride(t *testing.T) {
	failure := errors.New("it has no boot override")

	for name, c := range map[string]struct {
		err    error
		starts bool
		event  string
	}{
		"obeys":          {nil, true, ""},
		"needs a person": {&power.NeedsPersonError{Action: "press F12"}, true, ""},
		"refuses":        {power.Classify(failure, power.Refused), true, "Warning Server Management it was started without being told to boot from the network: " + failure.Error()},
		"no answer":      {failure, false, ""},
		"denied":         {power.Classify(failure, power.Denied), false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha2.ServerSpec{Accepted: true}}
			known := newFake(t, s, func() error { return nil })
			told := events.NewFakeRecorder(1)
			r := &Reconciler{
				client: known, live: known, events: told, poller: &poller{machines: map[string]*polled{}}, config: Config{RebootTimeout: timeout},
			}
			driver := &recorder{refusal: c.err}
			on := target{server: s, view: view{control: &control{driver: driver}, reading: reading{state: power.On}}}

			err := r.act(t.Context(), on, Next(facts(s, nil, on.view, timeout)))
			if started := slices.Equal(driver.told, []Action{Restart}); started != c.starts || (err == nil) != c.starts {
				t.Errorf("it was told %v, %v", driver.told, err)
			}

			select {
			case event := <-told.Events:
				if event != c.event {
					t.Errorf("Event %q", event)
				}
			default:
				if c.event != "" {
					t.Errorf("no Event %q", c.event)
				}
			}
		})
	}
}

// TestChangesWhileItActs changes a server while its action waits: for a slow BMC that is told what to boot from, or for the BMC's turn.
func TestChangesWhileItActs(t *testing.T) {
	edit := func(change func(*v1alpha2.Server)) func(*testing.T, client.Client, *v1alpha2.Server) {
		return func(t *testing.T, c client.Client, s *v1alpha2.Server) {
			t.Helper()
			change(s)
			update(t, c, s)

			change(s)

			if err := c.Status().Update(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	cycling := func(s *v1alpha2.Server) {
		set(&s.Status, v1alpha2.Condition{Type: v1alpha2.ConditionPowerCycle, Status: corev1.ConditionFalse, Message: wipeInProgress})
	}

	for name, c := range map[string]struct {
		change func(*testing.T, client.Client, *v1alpha2.Server)
		// wipes and rests tell whether a restart for a wipe and turning a clean server off are still done.
		wipes, rests bool
	}{
		"nothing":     {edit(func(*v1alpha2.Server) {}), true, true},
		"other words": {edit(func(s *v1alpha2.Server) { s.Spec.Hostname = "b" }), true, true},
		"un-accepted": {edit(func(s *v1alpha2.Server) { s.Spec.Accepted = false }), false, false},
		"paused":      {edit(func(s *v1alpha2.Server) { s.Annotations = map[string]string{pausedAnnotation: ""} }), false, false},
		"asked":       {edit(func(s *v1alpha2.Server) { s.Annotations = map[string]string{v1alpha2.PowerRequestAnnotation: "on"} }), false, false},
		"clean":       {edit(func(s *v1alpha2.Server) { s.Status.IsClean = true }), false, true},
		"unclean":     {edit(func(s *v1alpha2.Server) { s.Status.IsClean = false }), true, false},
		"heartbeat":   {edit(cycling), false, true},
		"deleted": {func(t *testing.T, c client.Client, s *v1alpha2.Server) {
			t.Helper()

			if err := c.Delete(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}, false, false},
		"allocated": {func(t *testing.T, c client.Client, s *v1alpha2.Server) {
			t.Helper()

			if err := c.Create(t.Context(), &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: s.Name}}); err != nil {
				t.Fatal(err)
			}
		}, false, false},
	} {
		for action, want := range map[Action]bool{Restart: c.wipes, TurnOff: c.rests} {
			t.Run(name+"/"+string(action), func(t *testing.T) {
				s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha2.ServerSpec{Accepted: true}}
				s.Status.IsClean = action == TurnOff
				api := newFake(t, s, func() error { return nil })
				r := &Reconciler{client: api, live: api, poller: &poller{machines: map[string]*polled{}}, config: Config{RebootTimeout: timeout}}
				device := &recorder{}
				meanwhile := func() {
					mine := &v1alpha2.Server{}
					if err := api.Get(t.Context(), client.ObjectKey{Name: "a"}, mine); err != nil {
						t.Fatal(err)
					}

					c.change(t, api, mine)
				}
				on := target{server: s, view: view{control: &control{driver: device}, reading: reading{state: power.On}}}
				decision := Next(facts(s, nil, on.view, timeout))

				if device.meanwhile = meanwhile; action == TurnOff {
					meanwhile() // it is told no more than that
				}

				err := r.act(t.Context(), on, decision)

				if decision.Action != action || slices.Equal(device.told, []Action{action}) != want || errors.Is(err, errChanged) == want {
					t.Errorf("decided on %s, told %q, %v", decision.Action, device.told, err)
				}
			})
		}
	}
}

func update(t *testing.T, c client.Client, s *v1alpha2.Server) {
	t.Helper()

	if err := c.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}
