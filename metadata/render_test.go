package metadata_test

import (
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/metadata"
)

func operation(op, path, value string) v1alpha2.ConfigPatch {
	return v1alpha2.ConfigPatch{Op: op, Path: path, Value: apiextensionsv1.JSON{Raw: []byte(value)}}
}

func wholeLink() metadata.Link {
	return metadata.Link{API: "grpc://192.0.2.1:8081", Events: "[fd00::1]:4002", Logs: "tcp://[fd00::1]:4001"}
}

const documents = "---\napiVersion: v1alpha1\nkind: SideroLinkConfig\napiUrl: grpc://192.0.2.1:8081\n" +
	"---\napiVersion: v1alpha1\nkind: EventSinkConfig\nendpoint: '[fd00::1]:4002'\n" +
	"---\napiVersion: v1alpha1\nkind: KmsgLogConfig\nname: remote-log\nurl: tcp://[fd00::1]:4001\n"

// TestRender has upstream's cases (sidero-behaviour.md §7.6), and what upstream fails on.
func TestRender(t *testing.T) {
	const labels = "machine:\n  kubelet:\n    extraArgs:\n      node-labels: metal.sidero.dev/uuid=box\n"

	for name, test := range map[string]struct {
		configuration, version string
		class, server          v1alpha2.ServerSpec
		link                   metadata.Link
		want                   string
	}{
		"nothing to patch": {configuration: "version: v1alpha1\nmachine: {kubelet: {extraArgs: {node-labels: foo=bar}}}\n",
			want: "machine:\n  kubelet:\n    extraArgs:\n      node-labels: foo=bar,metal.sidero.dev/uuid=box\nversion: v1alpha1\n"},
		"no kubelet":       {configuration: "version: v1alpha1\nmachine: {}\n", want: labels + "version: v1alpha1\n"},
		"no machine":       {configuration: "version: v1alpha1\n", want: labels + "version: v1alpha1\n"},
		"documents":        {configuration: "version: v1alpha1\n", link: wholeLink(), want: labels + "version: v1alpha1\n" + documents},
		"newest Talos":     {configuration: "version: v1alpha1\n", version: "v1.14", link: wholeLink(), want: labels + "version: v1alpha1\n" + documents},
		"first with them":  {configuration: "version: v1alpha1\n", version: "v1.5.0", link: wholeLink(), want: labels + "version: v1alpha1\n" + documents},
		"too old for them": {configuration: "version: v1alpha1\n", version: "v1.4", link: wholeLink(), want: labels + "version: v1alpha1\n"},
		"has one of them": {configuration: "version: v1alpha1\n---\napiVersion: v1alpha1\nkind: SideroLinkConfig\napiUrl: grpc://own\n", link: metadata.Link{API: "grpc://x"},
			want: labels + "version: v1alpha1\n---\napiVersion: v1alpha1\nkind: SideroLinkConfig\napiUrl: grpc://own\n"},
		"class, then server": {
			configuration: "version: v1alpha1\n---\nkind: FutureConfig\nfuture: 1\n",
			class:         v1alpha2.ServerSpec{ConfigPatches: []v1alpha2.ConfigPatch{operation("add", "/future", `{"a":1}`)}},
			server:        v1alpha2.ServerSpec{ConfigPatches: []v1alpha2.ConfigPatch{operation("replace", "/future/a", "2")}},
			want:          "future:\n  a: 2\n" + labels + "version: v1alpha1\n---\nkind: FutureConfig\nfuture: 1\n",
		},
		"list of labels": {configuration: "version: v1alpha1\nmachine: {kubelet: {extraArgs: {node-labels: [a=b], v: [c, d]}}}\n",
			want: "machine:\n  kubelet:\n    extraArgs:\n      node-labels:\n      - a=b\n      - metal.sidero.dev/uuid=box\n      v:\n      - c\n      - d\nversion: v1alpha1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := metadata.Sources{Server: &v1alpha2.Server{Spec: test.server}, Configuration: []byte(test.configuration), TalosVersion: test.version}
			s.Server.Name = "box"
			s.Class = &v1alpha2.ServerClass{Spec: v1alpha2.ServerClassSpec{ConfigPatches: test.class.ConfigPatches}}

			got, err := metadata.Render(s, test.link)
			if err != nil || string(got) != test.want {
				t.Errorf("%v\n%s\nwant\n%s", err, got, test.want)
			}
		})
	}
}

// TestRenderOrder applies what upstream's order has (sidero-behaviour.md §7.1), also JSON patches after a strategic one has added a
// document, where upstream fails.
func TestRenderOrder(t *testing.T) {
	s := metadata.Sources{
		Configuration: []byte("version: v1alpha1\nmachine: {type: worker, sysctls: {by: bootstrap}}\n"),
		Class:         &v1alpha2.ServerClass{}, Server: &v1alpha2.Server{},
	}
	s.Server.Name = "box"
	s.Class.Spec.ConfigPatches = []v1alpha2.ConfigPatch{
		operation("test", "/machine/sysctls/by", `"bootstrap"`), operation("replace", "/machine/sysctls/by", `"class"`),
	}
	s.Class.Spec.StrategicPatches = []string{
		"machine: {sysctls: {by: class-strategic}}",
		"apiVersion: v1alpha1\nkind: ExtensionServiceConfig\nname: frr\nenvironment: [BY=class]\n",
	}
	s.Server.Spec.ConfigPatches = []v1alpha2.ConfigPatch{
		operation("test", "/machine/sysctls/by", `"class-strategic"`), operation("replace", "/machine/sysctls/by", `"server"`),
	}
	s.Server.Spec.StrategicPatches = []string{
		`[{"op": "test", "path": "/machine/sysctls/by", "value": "server"}]`,
		"machine: {sysctls: {by: server-strategic}}\n---\napiVersion: v1alpha1\nkind: ExtensionServiceConfig\nname: frr\nenvironment: [BY=server]\n",
	}

	got, err := metadata.Render(s, wholeLink())
	if err != nil {
		t.Fatal(err)
	}

	rest := string(got)
	for _, want := range []string{
		"node-labels: metal.sidero.dev/uuid=box\n", "by: server-strategic\n", "---\n", "kind: ExtensionServiceConfig\n", "- BY=class\n", "- BY=server\n",
		"kind: SideroLinkConfig\n", "kind: EventSinkConfig\n", "kind: KmsgLogConfig\n",
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("no %q behind what is before it:\n%s", want, got)
		}

		rest = after
	}
}

// TestRenderRefuses names the patch and its path, and not what it holds.
func TestRenderRefuses(t *testing.T) {
	const secret = "hunter2"

	for want, test := range map[string]struct{ configuration, path string }{
		"patch with Server box: spec.configPatches[0] (replace /machine/nothing/below)": {"version: v1alpha1\nmachine: {}\n", "/machine/nothing/below"},
		"unknown config type": {"version: v2\nmachine: {type: x}\n", "/machine/type"},
	} {
		s := metadata.Sources{Server: &v1alpha2.Server{}, Configuration: []byte(test.configuration)}
		s.Server.Name = "box"
		s.Server.Spec.ConfigPatches = []v1alpha2.ConfigPatch{operation("replace", test.path, `"`+secret+`"`)}

		_, err := metadata.Render(s, metadata.Link{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestRenderOfSharedUUID: where others have the UUID of a server's machine, it joins SideroLink by the server's name.
func TestRenderOfSharedUUID(t *testing.T) {
	for name, want := range map[string]string{
		"4c4c4544-0039-3010-804a-b7c04f563432":              "apiUrl: grpc://192.0.2.1:8081\n",
		"4c4c4544-0039-3010-804a-b7c04f563432-525400010203": "apiUrl: grpc://192.0.2.1:8081/?jointoken=4c4c4544-0039-3010-804a-b7c04f563432-525400010203\n",
	} {
		s := metadata.Sources{Server: &v1alpha2.Server{}, Configuration: []byte("version: v1alpha1\n")}
		s.Server.Name = name

		if got, err := metadata.Render(s, wholeLink()); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}
