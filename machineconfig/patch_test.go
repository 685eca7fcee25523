package machineconfig

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
)

func operation(op, path, value string) Operation {
	return Operation{Op: op, Path: path, Value: json.RawMessage(value)}
}

// TestPatch applies what people write to configurations of one and of several documents.
func TestPatch(t *testing.T) {
	patches := Patches{
		Operations: []Operation{
			operation("replace", "/machine/install/disk", `"/dev/nvme0n1"`),
			operation("add", "/machine/sysctls", `{"a": "b"}`),
			operation("test", "/machine/type", `"worker"`),
			operation("remove", "/machine/install/wipe", ""),
		},
		Strategic: []string{
			"machine: {nodeLabels: {rack: r1}}",
			"apiVersion: v1alpha1\nkind: KmsgLogConfig\nname: x\nurl: tcp://10.0.0.1:4001\n---\nmachine:\n  sysctls:\n    c: d\n",
			`[{"op": "add", "path": "/machine/nodeLabels/row", "value": "5"}]`,
		},
	}

	s := testSecrets(t, "v1.5")

	for _, version := range []string{"v1.5", "v1.9", "v1.11", "v1.12", "v1.13", ""} {
		generated, err := Generate(testNode("worker", version), s)
		if err != nil {
			t.Fatal(err)
		}

		patched, err := Patch(generated, patches)
		if err != nil {
			t.Fatalf("%s: %v", version, err)
		}

		if err := Validate(patched); err != nil {
			t.Errorf("%s: %v", version, err)
		}

		if err := Check(generated, patches, version); err != nil {
			t.Errorf("%s: %v", version, err)
		}

		loaded, err := configloader.NewFromBytes(patched)
		if err != nil {
			t.Fatal(err)
		}

		got := fmt.Sprintln(loaded.Machine().Install().Disk(), loaded.Machine().Sysctls(), loaded.Machine().NodeLabels(),
			loaded.NetworkHostnameConfig().Hostname(), strings.Count(string(patched), "kind: KmsgLogConfig"))
		if want := "/dev/nvme0n1 map[a:b c:d] map[rack:r1 row:5] node-7 1\n"; got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
}

// TestPatchKeepsDocuments leaves alone what it is not about, also what this version of Talos's machinery does not know.
func TestPatchKeepsDocuments(t *testing.T) {
	newer := "---\n# of Talos 2\nkind: FutureConfig\napiVersion: v1\ntext: |\n  ---\n  kept\n" +
		"---\nversion: v1alpha1\nmachine: {future: 1}\n---\n"

	patched, err := Patch([]byte(newer), Patches{Operations: []Operation{operation("add", "/machine/type", `"worker"`)}})
	if err != nil {
		t.Fatal(err)
	}

	want := "# of Talos 2\nkind: FutureConfig\napiVersion: v1\ntext: |\n  ---\n  kept\n" +
		"---\nmachine:\n  future: 1\n  type: worker\nversion: v1alpha1\n"
	if string(patched) != want {
		t.Errorf("got %q", patched)
	}
}

// TestMergeKeepsDocuments of kinds that only a newer Talos knows, behind those that are merged.
func TestMergeKeepsDocuments(t *testing.T) {
	newer := "version: v1alpha1\nmachine: {type: worker}\n---\nkind: FutureConfig # of Talos 2\napiVersion: v1\nfuture: 1\n" +
		"---\nkind: KmsgLogConfig\napiVersion: v1alpha1\nname: a\nurl: tcp://10.0.0.1:1\n"

	patched, err := Patch([]byte(newer), Patches{Strategic: []string{
		"machine: {sysctls: {a: b}}\n---\nkind: KmsgLogConfig\napiVersion: v1alpha1\nname: a\nurl: tcp://10.0.0.1:2\n", "machine: {nodeLabels: {c: d}}",
	}})
	if err != nil {
		t.Fatal(err)
	}

	main, rest, _ := strings.Cut(string(patched), "---\n")
	if !strings.Contains(main, "a: b") || !strings.Contains(main, "c: d") {
		t.Errorf("it is not merged: %s", main)
	}

	want := "apiVersion: v1alpha1\nkind: KmsgLogConfig\nname: a\nurl: tcp://10.0.0.1:2\n---\nkind: FutureConfig # of Talos 2\napiVersion: v1\nfuture: 1\n"
	if rest != want {
		t.Errorf("got\n%s\nwant\n%s", rest, want)
	}
}

// TestPatchRefuses names the patch that is wrong, the place in it, and never what it holds.
func TestPatchRefuses(t *testing.T) {
	const secret = "hunter2"

	add := operation("add", "/machine/sysctls", `{"a": "b"}`)
	s, quoted := testSecrets(t, "v1.5"), `"`+secret+`"`

	for _, test := range []struct {
		patches Patches
		want    []string
	}{
		{
			Patches{Operations: []Operation{add, operation("replace", "/machine/nothing/below", quoted)}},
			[]string{"configPatches[1] (replace /machine/nothing/below)", "does not fit"},
		},
		{Patches{Operations: []Operation{operation("test", "/machine/type", quoted)}}, []string{"configPatches[0] (test /machine/type)"}},
		{Patches{Operations: []Operation{add, operation("jump", "/machine", "")}}, []string{"configPatches[1] (jump /machine)"}},
		{
			Patches{Operations: []Operation{operation("add", "/machine/kublet", `{"password": `+quoted+`}`), add}},
			[]string{"configPatches[0] (add /machine/kublet)", "machine.kublet.password"},
		},
		{
			Patches{Operations: []Operation{add, operation("replace", "/machine/install", `["`+secret+`"]`)}},
			[]string{"configPatches[1] (replace /machine/install)"},
		},
		{
			Patches{Operations: []Operation{add, operation("remove", "/cluster/controlPlane/endpoint", "")}},
			[]string{"configPatches[1] (remove /cluster/controlPlane/endpoint)"},
		},
		{
			Patches{Strategic: []string{"machine: {kublet: {password: " + secret + "}}"}},
			[]string{"strategicPatches[0]", "machine.kublet.password"},
		},
		{
			Patches{Operations: []Operation{add}, Strategic: []string{"machine: {}", "machine:\n  install: " + secret}},
			[]string{"strategicPatches[1]", "line 2"},
		},
		{Patches{Strategic: []string{"a: [" + secret}}, []string{"strategicPatches[0]"}},
		{Patches{Strategic: []string{"@/etc/passwd"}}, []string{"strategicPatches[0]"}},
	} {
		generated, err := Generate(testNode("worker", "v1.13"), s)
		if err != nil {
			t.Fatal(err)
		}

		err = Check(generated, test.patches, "v1.13")
		if err == nil {
			t.Errorf("%v: no error", test.patches)

			continue
		}

		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}

		if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "root:") {
			t.Errorf("an error holds a secret: %v", err)
		}
	}
}

// TestCheckLeavesOpen lets a configuration lack what the patches of a server may supply, and hold what only a newer Talos knows.
func TestCheckLeavesOpen(t *testing.T) {
	generated, err := Generate(testNode("worker", "v1.13"), testSecrets(t, "v1.5"))
	if err != nil {
		t.Fatal(err)
	}

	without := Patches{Operations: []Operation{operation("remove", "/machine/install", "")}}
	if err := Check(generated, without, "v1.13"); err != nil {
		t.Error(err)
	}

	future := Patches{Operations: []Operation{operation("add", "/machine/future", "1")}}
	if err := Check(generated, future, "v1.14"); err != nil {
		t.Error(err)
	}

	if err := Check(generated, future, "v1.13"); err == nil {
		t.Error("an unknown field is accepted")
	}
}
