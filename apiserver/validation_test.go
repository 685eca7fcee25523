package apiserver_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// raw is a client for requests as bytes, which a typed client could not send, and keeps the warnings of the answers.
type raw struct {
	client rest.Interface

	mu       sync.Mutex
	warnings []string
}

func newRaw(t *testing.T, a api) *raw {
	t.Helper()

	r := &raw{}
	config := rest.CopyConfig(a.Admin)
	config.WarningHandler = r

	client, err := discovery.NewDiscoveryClientForConfig(config)
	must(t, err)

	r.client = client.RESTClient()

	return r
}

// HandleWarningHeader implements rest.WarningHandler.
func (r *raw) HandleWarningHeader(_ int, _, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.warnings = append(r.warnings, text)
}

// create tries to create an object: nothing is stored. It returns the warnings.
func (r *raw) create(t *testing.T, resource, fieldValidation, object string) (warnings string, err error) {
	t.Helper()

	r.warnings = nil
	err = r.client.Post().AbsPath("/apis/metal.sidero.dev/v1alpha2", resource).
		Param("dryRun", metav1.DryRunAll).Param("fieldValidation", fieldValidation).
		SetHeader("Content-Type", "application/json").Body([]byte(object)).Do(t.Context()).Error()

	return strings.Join(r.warnings, "; "), err
}

func testValidation(t *testing.T, a api) {
	const servers, classes, environments = "servers", "serverclasses", "environments"

	r := newRaw(t, a)

	for _, c := range []struct {
		resource, object string
		status           int32
		says             []string // what the message holds
	}{
		{servers, `"spec":{"bootFromDiskMethod":"explode"}`, http.StatusUnprocessableEntity,
			[]string{`spec.bootFromDiskMethod: Invalid value: "explode"`, "ipxe-exit", "http-404", "ipxe-sanboot"}},
		{servers, `"spec":{"pxeMode":"coal"}`, http.StatusUnprocessableEntity,
			[]string{`spec.pxeMode: Invalid value: "coal"`, "bios", "uefi"}},
		{servers, `"spec":{"configPatches":[{"op":"add","path":"/a"},{"op":"error","path":"/b"}]}`, http.StatusUnprocessableEntity,
			[]string{`spec.configPatches[1].op: Invalid value: "error"`, "add", "copy", "move", "remove", "replace", "test"}},
		{servers, `"spec":{"bootFromDiskMethod":"explode","configPatches":[{"op":"error","path":"/"}]}`, http.StatusUnprocessableEntity,
			[]string{`"explode"`, `"error"`}}, // all at once
		{servers, `"spec":{"configPatches":[{"op":"add","path":"machine/type","value":"x"}]}`, http.StatusUnprocessableEntity,
			[]string{`spec.configPatches[0].path: Invalid value: "machine/type": must begin with /`}},
		{servers, `"spec":{"configPatches":[{"op":"copy","path":"/machine"}]}`, http.StatusUnprocessableEntity,
			[]string{`spec.configPatches[0].op: Invalid value: "copy": takes a value from another place`}},
		{servers, `"spec":{"configPatches":[{"op":"replace","path":"","value":["hunter2"]}]}`, http.StatusUnprocessableEntity,
			[]string{`spec.configPatches[0].value: Invalid value: "": is no mapping`}},
		{servers, `"spec":{"strategicPatches":["machine: {}","a: ["]}`, http.StatusUnprocessableEntity,
			[]string{`spec.strategicPatches[1]: Invalid value: "": is no YAML: `}},
		{servers, `"spec":{"strategicPatches":["- op: add\n  path: machine\n"]}`, http.StatusUnprocessableEntity,
			[]string{`spec.strategicPatches[0]: Invalid value: "": [0].path: "machine" must begin with /`}},
		{servers, `"spec":{"bmc":{}}`, http.StatusUnprocessableEntity, []string{"spec.bmc.endpoint: Required value"}},
		{servers, `"spec":{"bmc":{"endpoint":"b","port":65536}}`, http.StatusUnprocessableEntity, []string{"spec.bmc.port: Invalid value: 65536"}},
		{servers, `"spec":{"bmc":{"endpoint":"b","interface":"usb"}}`, http.StatusUnprocessableEntity, []string{`spec.bmc.interface: Invalid value: "usb"`, "lanplus"}},
		{servers, `"spec":{"bmc":{"endpoint":"b","passFrom":{"secretKeyRef":{"name":"n"}}}}`, http.StatusUnprocessableEntity,
			[]string{"spec.bmc.passFrom.secretKeyRef.key: Required value"}}, // the namespace is supplied
		{servers, `"spec":{"managementApi":{}}`, http.StatusUnprocessableEntity, []string{"spec.managementApi.endpoint: Required value"}},
		{servers, `"spec":{"hardware":{"storage":{"devices":[{"size":-1}]}}}`, http.StatusUnprocessableEntity,
			[]string{"spec.hardware.storage.devices[0].size: Invalid value: -1"}},
		{servers, `"spec":{"accepted":"yes"}`, http.StatusBadRequest, []string{"spec.accepted"}},
		{servers, `"spec":{"bmc":{"endpoint":"b","port":-1}}`, http.StatusUnprocessableEntity, []string{"spec.bmc.port: Invalid value: -1"}},
		{servers, `"spec":{"bmc":{"endpoint":"b","port":"623"}}`, http.StatusBadRequest, []string{"spec.bmc.port"}},
		{servers, `"spec":{"hardware":{"storage":{"devices":[{"size":9223372036854775808}]}}}`, http.StatusBadRequest, []string{"size"}},
		{servers, `"spec":[]`, http.StatusBadRequest, []string{"spec"}},
		{servers, `"spec":{`, http.StatusBadRequest, nil},
		{servers, `"spec":{"hardware":null,"configPatches":null}`, http.StatusCreated, nil},
		{servers, `"spec":{"pxeMode":"","bootFromDiskMethod":"","bmc":{"endpoint":"b","interface":""}}`, http.StatusCreated, nil},
		{servers, `"metadata":{"name":"Upper"}`, http.StatusUnprocessableEntity, []string{`metadata.name: Invalid value: "Upper"`}},
		{servers, `"metadata":{"name":"a b"}`, http.StatusUnprocessableEntity, []string{"metadata.name"}},
		{servers, `"metadata":{"name":"` + strings.Repeat("a", 254) + `"}`, http.StatusUnprocessableEntity, []string{"metadata.name"}},
		{servers, `"metadata":{"name":""}`, http.StatusUnprocessableEntity, []string{"name or generateName is required"}},
		{servers, `"metadata":{"generateName":"generated-"}`, http.StatusCreated, nil},
		{servers, `"metadata":{"name":"a","namespace":"default"}`, http.StatusCreated, nil}, // Kubernetes drops it
		{servers, `"metadata":{"name":"a","labels":{"a b":"c"}}`, http.StatusUnprocessableEntity, []string{"metadata.labels"}},
		{servers, `"kind":"ServerClass"`, http.StatusBadRequest, []string{"ServerClass"}},
		{servers, `"apiVersion":"metal.sidero.dev/v9"`, http.StatusBadRequest, []string{"metal.sidero.dev/v9"}},
		{classes, `"spec":{"qualifiers":7}`, http.StatusBadRequest, []string{"qualifiers"}},
		{classes, `"spec":{"qualifiers":{"hardware":[{"compute":{"processors":[null]}}]}}`, http.StatusUnprocessableEntity,
			[]string{"spec.qualifiers.hardware[0].compute.processors[0]: Required value"}},
		{environments, `"spec":{"kernel":{"url":"http://k","sha512":"abc"}}`, http.StatusUnprocessableEntity, []string{`spec.kernel.sha512: Invalid value: "abc"`}},
		{environments, `"spec":{"initrd":{"sha512":"` + strings.Repeat("z", 128) + `"}}`, http.StatusUnprocessableEntity, []string{"spec.initrd.sha512"}},
		{environments, `"spec":{"kernel":{"sha512":"` + strings.Repeat("aB", 64) + `"}}`, http.StatusCreated, nil},
	} {
		_, err := r.create(t, c.resource, "Strict", "{"+complete(c.resource, c.object)+"}")
		if got := code(err); got != c.status {
			t.Errorf("%s: %d (%v), want %d", c.object, got, err, c.status)
		}

		for _, says := range c.says {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v, want it to hold %s", c.object, err, says)
			}
		}
	}
}

// complete adds to an object what it leaves out of kind and name.
func complete(resource, object string) string {
	kind := map[string]string{"servers": "Server", "serverclasses": "ServerClass", "environments": "Environment"}[resource]
	whole := object

	for key, value := range map[string]string{
		"apiVersion": `"metal.sidero.dev/v1alpha2"`, "kind": `"` + kind + `"`, "metadata": `{"name":"validation"}`,
	} {
		if !strings.HasPrefix(object, `"`+key+`"`) {
			whole = `"` + key + `":` + value + `,` + whole
		}
	}

	return whole
}

// code is the HTTP status that an error stands for, 201 for none.
func code(err error) int32 {
	if err == nil {
		return http.StatusCreated
	}

	if status, ok := err.(apierrors.APIStatus); ok { //nolint:errorlint // as the client returns it
		return status.Status().Code
	}

	return 0
}

// testLenience writes what upstream accepts although it is wrong, or shows although it does not accept it.
func testLenience(t *testing.T, a api) {
	const servers, classes = "servers", "serverclasses"

	r := newRaw(t, a)

	for _, c := range []struct {
		resource, object string
		warns            []string
	}{
		{classes, `"spec":{"selector":{"matchExpressions":[{"key":"a","operator":"Near"}]}}`,
			[]string{`spec.selector.matchExpressions[0].operator: Invalid value: "Near"`}},
		{classes, `"spec":{"bootFromDiskMethod":"explode","configPatches":[{"op":"error","path":"/"}]}`,
			[]string{`spec.bootFromDiskMethod: Invalid value: "explode"`, `spec.configPatches[0].op: Invalid value: "error"`}},
		{classes, `"spec":{"configPatches":[{"op":"add","path":"a"}],"strategicPatches":["a: [","machine: {future: hunter2}"]}`,
			[]string{
				`spec.configPatches[0].path: Invalid value: "a": must begin with /`, `spec.strategicPatches[0]: Invalid value: "": is no YAML: `,
				`spec.strategicPatches[1]: Invalid value: "": Talos as it is known here does not take it: error decoding document /v1alpha1/ (line 1): unknown keys: machine.future`,
			}},
		{servers, `"spec":{"strategicPatches":["machine: {}","machine: {future: 1}"]}`,
			[]string{`spec.strategicPatches[1]: Invalid value: "": Talos as it is known here does not take it: error decoding document /v1alpha1/ (line 1): unknown keys: machine.future`}},
		{classes, `"spec":{"qualifiers":[{"system":{"manufacturer":"Dell Inc."},"memory":{"totalSize":"32 GB"}}]}`,
			[]string{"spec.qualifiers: is not a list"}},
		{servers, `"spec":{"accepted":true,"bmc":{"endpoint":"b","userFrom":{"secretKeyRef":{"name":"n","key":"user"}},"passFrom":{"secretKeyRef":{"name":"n","key":"pass"}}}}`,
			[]string{
				`spec.bmc.passFrom.secretKeyRef.namespace: not set, so "default" is meant`,
				`spec.bmc.userFrom.secretKeyRef.namespace: not set, so "default" is meant`,
			}},
	} {
		warnings, err := r.create(t, c.resource, "Strict", "{"+complete(c.resource, c.object)+"}")
		if err != nil {
			t.Errorf("%s: %v", c.object, err)
		}

		for _, text := range c.warns {
			if !strings.Contains(warnings, text) {
				t.Errorf("%s: warned %q, want %q", c.object, warnings, text)
			}
		}
	}
}

// testRefusedPatches: the message names the field or the operation, and is short.
func testRefusedPatches(t *testing.T, a api) {
	s := server("refused-patches")
	s.Spec.Hostname = "long " + strings.Repeat("name ", 100)
	a.create(t, s)

	for _, c := range []struct {
		kind  types.PatchType
		patch string
		says  string
	}{
		{types.MergePatchType, `{"spec":{"accepted":"yes"}}`, `spec.accepted: must be of type boolean, not string`},
		{types.MergePatchType, `{"spec":{"bmc":{"endpoint":"b","port":"623"}}}`, `spec.bmc.port: must be of type integer, not string`},
		{types.MergePatchType, `{"spec":{"hardware":{"storage":{"devices":[{"size":"big"}]}}}}`, `size: must be of type integer, not string`},
		{types.JSONPatchType, `[{"op":"replace","path":"/spec/accepted","value":7}]`, `spec.accepted: must be of type boolean, not number`},
		{types.JSONPatchType, `[{"op":"remove","path":"/spec/nothing"}]`, `/spec/nothing`},
		{types.JSONPatchType, `[{"op":"test","path":"/spec/accepted","value":true}]`, `/spec/accepted`},
		{types.MergePatchType, `{"spec":`, `unexpected end of JSON input`},
		{types.MergePatchType, `{"spec":{"pxeMode":"coal"}}`, `spec.pxeMode: Invalid value: "coal"`},
	} {
		err := a.client.Patch(t.Context(), s.DeepCopy(), client.RawPatch(c.kind, []byte(c.patch)))
		if err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 400 {
			t.Errorf("%s: %v, want %s", c.patch, err, c.says)
		}
	}
}

func testFieldValidation(t *testing.T, a api) {
	const (
		unknown   = `"spec":{"hostnam":"typo","bmc":{"endpoint":"b","prot":1}}`
		duplicate = `"spec":{"hostname":"a","hostname":"b"}`
	)

	r := newRaw(t, a)

	for _, c := range []struct {
		mode, object string
		status       int32
		says         []string
	}{
		{"Strict", unknown, http.StatusBadRequest, []string{`unknown field "spec.hostnam"`, `unknown field "spec.bmc.prot"`}},
		{"Strict", duplicate, http.StatusBadRequest, []string{`duplicate field "spec.hostname"`}},
		{"Warn", unknown, http.StatusCreated, []string{`unknown field "spec.hostnam"`, `unknown field "spec.bmc.prot"`}},
		{"Warn", duplicate, http.StatusCreated, []string{`duplicate field "spec.hostname"`}},
		{"", unknown, http.StatusCreated, []string{`unknown field "spec.hostnam"`}}, // Warn is the default
		{"Ignore", unknown, http.StatusCreated, nil},
		{"Ignore", duplicate, http.StatusCreated, nil},
		{"Loud", unknown, http.StatusUnprocessableEntity, []string{"fieldValidation"}},
	} {
		warnings, err := r.create(t, "servers", c.mode, "{"+complete("servers", c.object)+"}")
		if got := code(err); got != c.status {
			t.Errorf("%s %s: %d (%v), want %d", c.mode, c.object, got, err, c.status)
		}

		text := warnings
		if err != nil {
			text = err.Error()
		}

		for _, says := range c.says {
			if !strings.Contains(text, says) {
				t.Errorf("%s %s: %q, want it to hold %s", c.mode, c.object, text, says)
			}
		}

		if c.says == nil && warnings != "" {
			t.Errorf("%s %s: warned %s", c.mode, c.object, warnings)
		}
	}
}
