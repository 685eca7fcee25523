package conformance_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/controllers/kube"
)

const (
	// happensWithin bounds the wait for what happens by itself. It is generous: a namespace takes a quarter of a minute to go.
	happensWithin = 90 * time.Second

	// caseLabel holds the id of the case that an object belongs to.
	caseLabel = "conformance"
	// manager is the field manager of the tests' writes.
	manager = "conformance"
)

// plane is the control plane that all cases share.
type plane struct {
	*apitest.Plane

	dynamic dynamic.Interface
	kube    kubernetes.Interface
}

// start runs a control plane with what the appliance always puts into it.
func start(t *testing.T) *plane {
	t.Helper()

	p := &plane{Plane: apitest.Start(t)}
	p.dynamic, p.kube = dynamic.NewForConfigOrDie(p.Admin), kubernetes.NewForConfigOrDie(p.Admin)

	b, err := bootstrap.New(bootstrap.Config{Client: p.Client(t, pki.Owner), Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	apitest.Run(t, b)

	return p
}

// collect runs what deletes objects without an owner or namespace. It comes after the definitions: it looks for kinds when
// it starts, and then now and then.
func (p *plane) collect(t *testing.T) {
	t.Helper()

	controllers, err := kube.New(p.Client(t, pki.Owner))
	must(t, err)
	apitest.Run(t, controllers)
}

// api is a subject as one case sees it.
type api struct {
	*plane
	subject

	// id is the case's own. Its objects are labelled with it.
	id string
	// namespace is the case's own, also if the subject has none.
	namespace string
	// objects are the subject's, in the namespace if it has one.
	objects dynamic.ResourceInterface
}

func (p *plane) api(t *testing.T, s subject, id string) api {
	t.Helper()

	a := api{plane: p, subject: s, id: id, namespace: caseLabel + "-" + id}
	_, err := p.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: a.namespace, Labels: map[string]string{caseLabel: id}},
	}, metav1.CreateOptions{})
	must(t, err)

	a.objects = a.as(p.Admin)

	return a
}

// as is the subject's client of a user.
func (a api) as(config *rest.Config) dynamic.ResourceInterface {
	return a.in(config, a.namespace)
}

// in is the subject's client in a namespace; if the subject has none that does not matter.
func (a api) in(config *rest.Config, namespace string) dynamic.ResourceInterface {
	resource := dynamic.NewForConfigOrDie(config).Resource(a.GroupVersion().WithResource(a.resource))
	if a.namespaced {
		return resource.Namespace(namespace)
	}

	return resource
}

// path is the URL's path of the subject's objects, or of what is told below it.
func (a api) path(below ...string) string {
	base := path.Join("/apis", a.Group, a.Version)
	if a.namespaced {
		base = path.Join(base, "namespaces", a.namespace)
	}

	return path.Join(append([]string{base, a.resource}, below...)...)
}

// rest is a client for requests that others would not send.
func (a api) rest() rest.Interface { return a.kube.CoreV1().RESTClient() }

// send sends an object to where it need not belong.
func (a api) send(t *testing.T, verb, path string, o *unstructured.Unstructured) error {
	t.Helper()

	return a.rest().Verb(verb).AbsPath(path).SetHeader("Content-Type", runtime.ContentTypeJSON).Body(encode(t, o)).Do(t.Context()).Error()
}

// object is a valid object of the case.
func (a api) object(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": runtime.DeepCopyJSON(a.spec)}}
	o.SetGroupVersionKind(a.GroupVersionKind)
	o.SetName(a.id + "-" + name)
	o.SetLabels(map[string]string{caseLabel: a.id})

	if a.namespaced {
		o.SetNamespace(a.namespace)
	}

	return o
}

// with is an object with the text.
func (a api) with(name, text string) *unstructured.Unstructured {
	o := a.object(name)
	set(o, a.text.path, text)

	return o
}

// create creates an object.
func (a api) create(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()

	created, err := a.objects.Create(t.Context(), o, metav1.CreateOptions{FieldManager: manager})
	must(t, err)

	return created
}

// update writes an object.
func (a api) update(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()

	updated, err := a.objects.Update(t.Context(), o, metav1.UpdateOptions{FieldManager: manager})
	must(t, err)

	return updated
}

// reload reads an object again.
func (a api) reload(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()

	read, err := a.objects.Get(t.Context(), o.GetName(), metav1.GetOptions{})
	must(t, err)

	return read
}

// merge sends a merge patch that sets one field.
func (a api) merge(t *testing.T, o *unstructured.Unstructured, path string, v any) *unstructured.Unstructured {
	t.Helper()

	patched, err := a.objects.Patch(t.Context(), o.GetName(), types.MergePatchType, encode(t, nested(path, v)), metav1.PatchOptions{FieldManager: manager})
	must(t, err)

	return patched
}

// mine selects the case's objects.
func (a api) mine() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: caseLabel + "=" + a.id}
}

// list lists objects; of what the options do not tell only the case's.
func (a api) list(t *testing.T, options metav1.ListOptions) *unstructured.UnstructuredList {
	t.Helper()

	if options.LabelSelector == "" {
		options.LabelSelector = a.mine().LabelSelector
	}

	list, err := a.objects.List(t.Context(), options)
	must(t, err)

	return list
}

// names are the names in a list without the case's id.
func (a api) names(list *unstructured.UnstructuredList) string {
	names := make([]string, len(list.Items))
	for i, o := range list.Items {
		names[i] = strings.TrimPrefix(o.GetName(), a.id+"-")
	}

	return strings.Join(names, " ")
}

// gone waits until an object is not there.
func gone(t *testing.T, objects dynamic.ResourceInterface, name string) {
	t.Helper()

	eventually(t, "delete "+name, func(ctx context.Context) (bool, error) {
		_, err := objects.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}

		return false, err
	})
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds wait.ConditionWithContextFunc) {
	t.Helper()

	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, happensWithin, true, holds); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// refused checks an error's reason and that its message holds some words.
func refused(t *testing.T, what string, err error, reason metav1.StatusReason, says ...string) {
	t.Helper()

	if got := apierrors.ReasonForError(err); err == nil || got != reason {
		t.Errorf("%s: %q (%v), want %s", what, got, err, reason)

		return
	}

	for _, words := range says {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want it to say %q", what, err, words)
		}
	}
}

// causes are the fields that an error tells of.
func causes(err error) []string {
	status, ok := err.(apierrors.APIStatus) //nolint:errorlint // a client's errors are not wrapped
	if !ok || status.Status().Details == nil {
		return nil
	}

	var fields []string
	for _, cause := range status.Status().Details.Causes {
		fields = append(fields, cause.Field)
	}

	return fields
}

// lines are those of a text that are not empty.
func lines(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return line == "" })
}

func encode(t *testing.T, v any) []byte {
	t.Helper()

	text, err := json.Marshal(v)
	must(t, err)

	return text
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
