package server

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// counted counts what is read.
type counted struct {
	client.Reader

	reads int
}

// Get implements client.Reader.
func (c *counted) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	c.reads++

	return c.Reader.Get(ctx, key, object, options...)
}

// TestRests: a server that waits to be accepted, and whose status tells so, is not read anew, until a person asks for something.
func TestRests(t *testing.T) {
	for name, change := range map[string]func(*v1alpha2.Server){
		"accepted": func(s *v1alpha2.Server) { s.Spec.Accepted = true },
		"asked":    func(s *v1alpha2.Server) { s.Annotations = map[string]string{v1alpha2.PowerRequestAnnotation: "on"} },
		"in use":   func(s *v1alpha2.Server) { s.Status.InUse = true },
		"no phase": func(s *v1alpha2.Server) { s.Status.Phase = "" },
		"no hold":  func(s *v1alpha2.Server) { s.Finalizers = nil },
	} {
		r := waker(t, "http://127.0.0.1:1", func() error { return nil })
		live := &counted{Reader: r.client}
		r.live = live
		look := func() int {
			before := live.reads
			if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: "waits"}}); err != nil {
				t.Fatal(err)
			}

			return live.reads - before
		}

		waits := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "waits"}}
		if err := r.client.Create(t.Context(), waits); err != nil {
			t.Fatal(err)
		}

		if look() == 0 {
			t.Errorf("%s: a new server was not read", name)
		}

		look() // writes its status

		if reads := look(); reads != 0 {
			t.Errorf("%s: a server that rests was read %d times", name, reads)
		}

		if err := r.client.Get(t.Context(), client.ObjectKeyFromObject(waits), waits); err != nil {
			t.Fatal(err)
		}

		before := waits.DeepCopy()
		change(waits)

		if err := r.client.Patch(t.Context(), waits.DeepCopy(), client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}

		if err := r.client.Status().Patch(t.Context(), waits, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}

		if look() == 0 {
			t.Errorf("%s: the change was not looked at", name)
		}
	}
}
