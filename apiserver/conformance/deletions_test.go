package conformance_test

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

func deletions() []row {
	return []row{
		{name: "deletion/finalizers hold it", test: testFinalizers},
		{name: "deletion/of a collection with finalizers", test: testFinalizersOfCollection},
		{name: "deletion/in the background", test: testBackground},
		{name: "deletion/in the foreground", test: testForeground},
		{name: "deletion/of the owner only", test: testOrphans},
		{name: "deletion/owners that never were", test: testAbsentOwner},
		{name: "deletion/one of two owners", test: testTwoOwners},
		{name: "deletion/of the namespace", takes: subject.inNamespaces, test: testNamespace},
		{name: "deletion/of the namespace, held", takes: subject.inNamespaces, test: testNamespaceHeld},
	}
}

const hold = "example.com/hold"

func testFinalizers(t *testing.T, a api) {
	o := a.object("one")
	o.SetFinalizers([]string{hold})
	o = a.create(t, o)

	s := a.watch(t, a.objects, metav1.ListOptions{ResourceVersion: o.GetResourceVersion()})
	must(t, a.objects.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}))

	o = a.reload(t, o)
	if o.GetDeletionTimestamp() == nil || o.GetDeletionGracePeriodSeconds() == nil || *o.GetDeletionGracePeriodSeconds() != 0 || o.GetGeneration() != 2 {
		t.Errorf("it is being deleted as %v", o.Object["metadata"])
	}

	s.next(t, watch.Modified)
	must(t, a.objects.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}))

	if again := a.reload(t, o); again.GetResourceVersion() != o.GetResourceVersion() {
		t.Errorf("deleted again it becomes %v", again.Object["metadata"])
	}

	o = a.merge(t, o, a.text.path, a.text.one)
	if at(o, a.text.path) != a.text.one || o.GetDeletionTimestamp() == nil {
		t.Errorf("it can be changed still, to %v", o.Object)
	}

	more := o.DeepCopy()
	more.SetFinalizers([]string{hold, "example.com/late"})

	_, err := a.objects.Update(t.Context(), more, metav1.UpdateOptions{})
	refused(t, "add a finalizer", err, metav1.StatusReasonInvalid, "metadata.finalizers: Forbidden")

	o.SetDeletionTimestamp(nil)
	if o = a.update(t, o); o.GetDeletionTimestamp() == nil {
		t.Error("a deletion was taken back")
	}

	o.SetFinalizers(nil)
	a.update(t, o)
	gone(t, a.objects, o.GetName())
	s.next(t, watch.Modified) // the text
	s.next(t, watch.Deleted)
}

func testFinalizersOfCollection(t *testing.T, a api) {
	o := a.object("held")
	o.SetFinalizers([]string{hold})
	o = a.create(t, o)
	a.create(t, a.object("free"))

	must(t, a.objects.DeleteCollection(t.Context(), metav1.DeleteOptions{}, a.mine()))

	if left := a.names(a.list(t, metav1.ListOptions{})); left != "held" || a.reload(t, o).GetDeletionTimestamp() == nil {
		t.Errorf("left are %s", left)
	}

	a.merge(t, o, "metadata.finalizers", nil)
	gone(t, a.objects, o.GetName())
}

// family is an owner, and what it owns: an object of its kind and a ConfigMap.
type family struct {
	owner, child *unstructured.Unstructured
	config       *corev1.ConfigMap
}

func (a api) family(t *testing.T, name string, finalizers ...string) family {
	t.Helper()

	f := family{owner: a.create(t, a.object(name))}

	child := a.object(name + "-child")
	child.SetOwnerReferences([]metav1.OwnerReference{a.owned(f.owner)})
	child.SetFinalizers(finalizers)
	f.child = a.create(t, child)

	var err error
	f.config, err = a.kube.CoreV1().ConfigMaps(a.namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{a.owned(f.owner)}},
	}, metav1.CreateOptions{})
	must(t, err)

	return f
}

// owned is a reference to an owner.
func (a api) owned(owner *unstructured.Unstructured) metav1.OwnerReference {
	return *metav1.NewControllerRef(owner, a.GroupVersionKind)
}

// delete deletes the owner in one of the ways that there are.
func (a api) delete(t *testing.T, f family, way metav1.DeletionPropagation) {
	t.Helper()

	must(t, a.objects.Delete(t.Context(), f.owner.GetName(), metav1.DeleteOptions{PropagationPolicy: &way}))
}

func (a api) configGone(t *testing.T, f family) {
	t.Helper()

	eventually(t, "delete config map "+f.config.Name, func(ctx context.Context) (bool, error) {
		_, err := a.kube.CoreV1().ConfigMaps(a.namespace).Get(ctx, f.config.Name, metav1.GetOptions{})

		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}

	return err
}

func testBackground(t *testing.T, a api) {
	f := a.family(t, "one")
	a.delete(t, f, metav1.DeletePropagationBackground)

	_, err := a.objects.Get(t.Context(), f.owner.GetName(), metav1.GetOptions{})
	refused(t, "the owner after its deletion", err, metav1.StatusReasonNotFound)

	gone(t, a.objects, f.child.GetName())
	a.configGone(t, f)
}

func testForeground(t *testing.T, a api) {
	f := a.family(t, "one", hold)
	a.delete(t, f, metav1.DeletePropagationForeground)
	a.configGone(t, f)

	owner := a.reload(t, f.owner)
	if owner.GetDeletionTimestamp() == nil || !slices.Contains(owner.GetFinalizers(), metav1.FinalizerDeleteDependents) {
		t.Errorf("the owner waits as %v", owner.Object["metadata"])
	}

	eventually(t, "delete what it owns", func(ctx context.Context) (bool, error) {
		child, err := a.objects.Get(ctx, f.child.GetName(), metav1.GetOptions{})

		return err == nil && child.GetDeletionTimestamp() != nil, err
	})

	a.reload(t, f.owner)
	a.merge(t, f.child, "metadata.finalizers", nil)
	gone(t, a.objects, f.child.GetName())
	gone(t, a.objects, f.owner.GetName())
}

func testOrphans(t *testing.T, a api) {
	f := a.family(t, "one")
	a.delete(t, f, metav1.DeletePropagationOrphan)
	gone(t, a.objects, f.owner.GetName())

	child := a.reload(t, f.child)
	config, err := a.kube.CoreV1().ConfigMaps(a.namespace).Get(t.Context(), f.config.Name, metav1.GetOptions{})
	must(t, err)

	if len(child.GetOwnerReferences()) != 0 || len(config.OwnerReferences) != 0 || child.GetDeletionTimestamp() != nil || config.DeletionTimestamp != nil {
		t.Errorf("left are %v and %v", child.Object["metadata"], config.ObjectMeta)
	}
}

func testAbsentOwner(t *testing.T, a api) {
	witness := a.create(t, a.object("witness"))
	child := a.object("child")

	reference := a.owned(witness)
	reference.UID = "of-one-that-never-was"
	child.SetOwnerReferences([]metav1.OwnerReference{reference})
	a.create(t, child)

	gone(t, a.objects, child.GetName())
	a.reload(t, witness)
}

func testTwoOwners(t *testing.T, a api) {
	first, second := a.create(t, a.object("first")), a.create(t, a.object("second"))
	child := a.object("child")

	other := a.owned(second)
	other.Controller = nil
	child.SetOwnerReferences([]metav1.OwnerReference{a.owned(first), other})
	a.create(t, child)

	must(t, a.objects.Delete(t.Context(), first.GetName(), metav1.DeleteOptions{}))
	eventually(t, "forget the owner that is gone", func(ctx context.Context) (bool, error) {
		o, err := a.objects.Get(ctx, child.GetName(), metav1.GetOptions{})

		return err == nil && len(o.GetOwnerReferences()) == 1, err
	})

	must(t, a.objects.Delete(t.Context(), second.GetName(), metav1.DeleteOptions{}))
	gone(t, a.objects, child.GetName())
}

func testNamespace(t *testing.T, a api) {
	_, err := a.in(a.Admin, "nowhere").Create(t.Context(), a.elsewhere("one", "nowhere"), metav1.CreateOptions{})
	refused(t, "create where there is no namespace", err, metav1.StatusReasonNotFound, "nowhere")

	a.few(t, "a b c")

	s := a.watch(t, a.objects, metav1.ListOptions{ResourceVersion: a.list(t, metav1.ListOptions{}).GetResourceVersion()})
	must(t, a.kube.CoreV1().Namespaces().Delete(t.Context(), a.namespace, metav1.DeleteOptions{}))

	for range 3 {
		s.next(t, watch.Deleted)
	}

	eventually(t, "delete the namespace", func(ctx context.Context) (bool, error) {
		_, err := a.kube.CoreV1().Namespaces().Get(ctx, a.namespace, metav1.GetOptions{})

		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}

func (a api) elsewhere(name, namespace string) *unstructured.Unstructured {
	o := a.object(name)
	o.SetNamespace(namespace)

	return o
}

// testNamespaceHeld has an object that cannot go yet.
func testNamespaceHeld(t *testing.T, a api) {
	o := a.object("held")
	o.SetFinalizers([]string{hold})
	o = a.create(t, o)
	a.create(t, a.object("free"))

	must(t, a.kube.CoreV1().Namespaces().Delete(t.Context(), a.namespace, metav1.DeleteOptions{}))
	gone(t, a.objects, a.id+"-free")
	eventually(t, "say what holds the namespace", func(ctx context.Context) (bool, error) {
		namespace, err := a.kube.CoreV1().Namespaces().Get(ctx, a.namespace, metav1.GetOptions{})
		if err != nil {
			return false, err
		}

		return slices.ContainsFunc(namespace.Status.Conditions, func(c corev1.NamespaceCondition) bool {
			return c.Type == corev1.NamespaceFinalizersRemaining && c.Status == corev1.ConditionTrue
		}), nil
	})

	_, err := a.objects.Create(t.Context(), a.object("late"), metav1.CreateOptions{})
	refused(t, "create in a namespace that goes", err, metav1.StatusReasonForbidden, "because it is being terminated")

	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("the causes are %q", causes(err))
	}

	a.merge(t, o, "metadata.finalizers", nil)
	eventually(t, "delete the namespace", func(ctx context.Context) (bool, error) {
		_, err := a.kube.CoreV1().Namespaces().Get(ctx, a.namespace, metav1.GetOptions{})

		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}
