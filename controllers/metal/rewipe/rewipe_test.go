package rewipe

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

func store(t *testing.T, funcs interceptor.Funcs, s *v1alpha2.Server) client.Client {
	t.Helper()

	scheme := runtime.NewScheme()
	if err := v1alpha2.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}

	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(s).WithStatusSubresource(s).WithInterceptorFuncs(funcs).Build()
}

func server(edit func(*v1alpha2.Server)) *v1alpha2.Server {
	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{
		Name: "box", Annotations: map[string]string{v1alpha2.WipeRequestAnnotation: "again", "mine": "stays"},
	}}
	s.Spec.Accepted, s.Status.IsClean = true, true
	edit(s)

	return s
}

func TestRequests(t *testing.T) {
	for name, test := range map[string]struct {
		edit  func(*v1alpha2.Server)
		clean bool
		tells string
	}{
		"clean":           {edit: func(*v1alpha2.Server) {}, tells: "Normal Server Management it is wiped again"},
		"not clean":       {edit: func(s *v1alpha2.Server) { s.Status.IsClean = false }, tells: "Normal Server Management it is wiped again"},
		"not accepted":    {edit: func(s *v1alpha2.Server) { s.Spec.Accepted = false }, clean: true, tells: "Warning Server Management it is not wiped again: it is not accepted"},
		"in use":          {edit: func(s *v1alpha2.Server) { s.Status.InUse = true }, clean: true, tells: "Warning Server Management it is not wiped again: it is in use"},
		"without a value": {edit: func(s *v1alpha2.Server) { s.Annotations[v1alpha2.WipeRequestAnnotation] = "" }, tells: "Normal "},
		"not asked for":   {edit: func(s *v1alpha2.Server) { delete(s.Annotations, v1alpha2.WipeRequestAnnotation) }, clean: true},
	} {
		recorder := events.NewFakeRecorder(1)
		c := store(t, interceptor.Funcs{}, server(test.edit))
		r := &Reconciler{Client: c, Events: recorder}

		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: "box"}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}

		s := &v1alpha2.Server{}
		if err := c.Get(t.Context(), client.ObjectKey{Name: "box"}, s); err != nil {
			t.Fatal(err)
		}

		if s.Status.IsClean != test.clean || len(s.Annotations) != 1 || s.Annotations["mine"] == "" {
			t.Errorf("%s: clean %t, annotations %v", name, s.Status.IsClean, s.Annotations)
		}

		told := ""
		if len(recorder.Events) > 0 {
			told = <-recorder.Events
		}

		if !strings.HasPrefix(told, test.tells) || told != "" && test.tells == "" {
			t.Errorf("%s: tells %q", name, told)
		}
	}
}

// TestAServerThatIsGone, and one that is deleted meanwhile, are no errors.
func TestAServerThatIsGone(t *testing.T) {
	r := &Reconciler{Client: store(t, interceptor.Funcs{}, server(func(*v1alpha2.Server) {})), Events: events.NewFakeRecorder(1)}
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: "another"}}); err != nil {
		t.Error(err)
	}
}

// TestAServerThatIsAllocatedMeanwhile is looked at again: what was known of it is not true any more.
func TestAServerThatIsAllocatedMeanwhile(t *testing.T) {
	ctx := context.Background()
	stale := interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if err := c.Get(ctx, key, o, opts...); err != nil {
			return err
		}

		now := o.DeepCopyObject().(*v1alpha2.Server) //nolint:forcetypeassert // there are no others
		now.Status.InUse = true

		return c.Status().Update(ctx, now)
	}}
	r := &Reconciler{Client: store(t, stale, server(func(*v1alpha2.Server) {})), Events: events.NewFakeRecorder(1)}

	if _, err := r.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKey{Name: "box"}}); !apierrors.IsConflict(err) {
		t.Errorf("%v, want a conflict", err)
	}
}
