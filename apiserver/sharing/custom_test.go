package sharing

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kuberuntime "k8s.io/apimachinery/pkg/runtime"
)

const machine = `{"apiVersion":"cluster.x-k8s.io/v1beta2","kind":"Machine","metadata":{"name":"m","uid":"1","labels":{"a":"b"},"managedFields":[
{"manager":"x","time":"2026-11-28T00:00:00Z","fieldsV1":{"f:spec":{"f:a":{}}}},{"manager":"y","fieldsV1":{"f:status":{}}}]},
"spec":{"a":1,"b":[{"c":true},null,1.5],"d":{}},"status":{"phase":"Running","conditions":[{"type":"A"},{"type":"B"}]}}`

func parse(t testing.TB, codec kuberuntime.Codec, text string) *unstructured.Unstructured {
	t.Helper()

	object, err := kuberuntime.Decode(codec, []byte(text))
	if err != nil {
		t.Fatal(err)
	}

	return object.(*unstructured.Unstructured)
}

// at is where the map or slice is that an object has below these keys.
func at(o *unstructured.Unstructured, keys ...string) uintptr {
	value, _, _ := unstructured.NestedFieldNoCopy(o.Object, keys...)

	return reflect.ValueOf(value).Pointer()
}

func TestCustom(t *testing.T) {
	codec := Custom(unstructured.UnstructuredJSONScheme)

	for name, c := range map[string]struct {
		old, changed string
		own, shared  []string
	}{
		"nothing":         {"", "", []string{"metadata"}, []string{"spec", "status", "metadata.labels", "metadata.managedFields"}},
		"a label":         {`{"a":"b"}`, `{"a":"c"}`, []string{"metadata", "metadata.labels"}, []string{"spec", "status", "metadata.managedFields"}},
		"one more label":  {`{"a":"b"}`, `{"a":"b","c":"d"}`, []string{"metadata.labels"}, []string{"spec"}},
		"no label":        {`{"a":"b"}`, `{}`, []string{"metadata.labels"}, []string{"spec"}},
		"a phase":         {`Running`, `Failed`, []string{"status"}, []string{"spec", "status.conditions", "metadata.labels"}},
		"a condition":     {`{"type":"B"}`, `{"type":"C"}`, []string{"status", "status.conditions"}, []string{"spec"}},
		"fewer of these":  {`,{"type":"B"}`, ``, []string{"status.conditions"}, []string{"spec"}},
		"another type":    {`"a":1,`, `"a":"1",`, []string{"spec"}, []string{"spec.b", "status"}},
		"null for a map":  {`"d":{}`, `"d":null`, []string{"spec"}, []string{"spec.b"}},
		"a map for one":   {`null,`, `{},`, []string{"spec.b"}, []string{"status"}},
		"no metadata":     {`"uid":"1",`, ``, []string{"spec", "status"}, nil},
		"another object":  {`"uid":"1",`, `"uid":"2",`, []string{"spec", "status"}, nil},
		"when it changed": {`2026-11-28`, `2026-11-29`, []string{"metadata.managedFields"}, []string{"spec"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := parse(t, codec, machine)
			before.SetResourceVersion("7")

			text := strings.ReplaceAll(machine, c.old, c.changed)
			now := parse(t, codec, text)

			if diff := cmp.Diff(parse(t, unstructured.UnstructuredJSONScheme, text).Object, now.Object); diff != "" {
				t.Error(diff)
			}

			now.SetResourceVersion("8")

			if before.GetResourceVersion() != "7" {
				t.Error("the version before has its metadata changed")
			}

			for _, keys := range c.own {
				if path := strings.Split(keys, "."); at(before, path...) == at(now, path...) {
					t.Errorf("%s is shared", keys)
				}
			}

			for _, keys := range c.shared {
				if path := strings.Split(keys, "."); at(before, path...) != at(now, path...) {
					t.Errorf("%s is there twice", keys)
				}
			}
		})
	}
}

// TestCustomOwn gives an object of his own to who may change it.
func TestCustomOwn(t *testing.T) {
	codec := Custom(unstructured.UnstructuredJSONScheme)
	before := parse(t, codec, machine)
	own := &unstructured.Unstructured{}

	if _, _, err := codec.Decode([]byte(machine), nil, own); err != nil || at(before, "spec") == at(own, "spec") {
		t.Errorf("%v, or it shares its spec", err)
	}

	if _, err := kuberuntime.Decode(codec, []byte("{")); err == nil {
		t.Error("damaged data is decoded")
	}
}

// TestCustomAtOnce has several versions decoded, and their metadata written to, at the same time.
func TestCustomAtOnce(t *testing.T) {
	codec := Custom(unstructured.UnstructuredJSONScheme)

	var all sync.WaitGroup
	defer all.Wait()

	for range 4 {
		all.Go(func() {
			for n := range 500 {
				object, err := kuberuntime.Decode(codec, []byte(machine))
				if err != nil {
					t.Error(err)

					return
				}

				object.(*unstructured.Unstructured).SetResourceVersion(fmt.Sprint(n))
			}
		})
	}
}

// TestCustomGone holds that nothing stays in memory for having been decoded once.
func TestCustomGone(t *testing.T) {
	codec := Custom(unstructured.UnstructuredJSONScheme).(sharing)
	kept := parse(t, codec, machine)

	for n := range 100 {
		parse(t, codec, strings.ReplaceAll(machine, `"uid":"1"`, fmt.Sprintf(`"uid":"%d"`, n+2)))
	}

	known := codec.sharer.(*custom)
	left := func() int {
		known.mu.Lock()
		defer known.mu.Unlock()

		return len(known.last)
	}

	for n := 0; left() > 1; n++ {
		if n == 1000 {
			t.Fatalf("%d are known", left())
		}

		runtime.GC()
		runtime.Gosched()
	}

	if next := parse(t, codec, machine); at(next, "spec") != at(kept, "spec") {
		t.Error("what is in memory is not known")
	}
}
