package servers_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
)

// testKubectl has a shell do what Verbose prints, and compares what that does with what the pool does.
func testKubectl(r *room) {
	r.plane.Kubectl(r.t) // or it says how to build one
	r.Verbose = true

	document, err := os.ReadFile(filepath.Join(apitest.Root(r.t), "docs", "servers.md"))
	must(r.t, err)

	for _, test := range []struct {
		name       string
		documented bool
		do         func() error
	}{
		{"accept", true, func() error { return r.Accept(r.t.Context(), []string{"s"}) }},
		{"cordon", true, func() error { return r.Cordon(r.t.Context(), []string{"s"}, true) }},
		{"wipe", true, func() error { return r.Wipe(r.t.Context(), "s", true) }},
		{"power", true, func() error { return r.Power(r.t.Context(), []string{"s"}, servers.Off, 0) }},
		{"release", true, func() error { return r.Release(r.t.Context(), "s", true) }},
		{"list", false, func() error { return r.List(r.t.Context(), []string{"s"}, servers.Wide) }},
		{"plan", true, func() error { return r.WipePlan(r.t.Context(), "s") }},
		{"status", false, func() error { return r.PowerStatus(r.t.Context(), []string{"s"}) }},
	} {
		prepare := func() {
			r.clear()
			r.make("s", func(s *v1alpha2.Server) {
				planned(s)
				s.Spec.ManagementAPI = &v1alpha2.ManagementAPI{Endpoint: "10.0.0.7:4000"}
				s.Spec.Accepted = test.name != "accept"
			})

			if test.name == "release" {
				r.bind("s", corev1.ObjectReference{Name: "gone"})
			}
		}

		prepare()
		must(r.t, test.do())

		did, command := r.facts(), lastLine(r.err.String())
		r.out.Reset()
		r.err.Reset()
		prepare()

		shell := exec.CommandContext(r.t.Context(), "sh", "-c", command)
		shell.Env = append(os.Environ(),
			"PATH="+filepath.Join(apitest.Root(r.t), "bin")+":"+os.Getenv("PATH"), "KUBECONFIG="+r.plane.Kubeconfig, "HOME="+r.t.TempDir())

		if told := strings.NewReplacer(" s ", " NAME ", "=off", "=on").Replace(command + " "); test.documented && !strings.Contains(string(document), "`"+strings.TrimSpace(told)+"`") {
			r.t.Errorf("docs/servers.md does not tell %s", told)
		}

		if out, err := shell.CombinedOutput(); err != nil || len(out) == 0 {
			r.t.Errorf("%s: %s: %v: %s", test.name, command, err, out)
		}

		if got := r.facts(); got != did {
			r.t.Errorf("%s: %s does %s, want %s", test.name, command, got, did)
		}
	}
}

// facts are what the commands can change.
func (r *room) facts() string {
	r.t.Helper()

	s := r.get("s")
	bindings := &v1alpha3.ServerBindingList{}
	must(r.t, r.Client.List(r.t.Context(), bindings))

	return strings.Join([]string{
		text(s.Spec.Accepted), text(s.Spec.Cordoned), text(s.Status.IsClean), s.Annotations[v1alpha2.PowerRequestAnnotation], s.Annotations[v1alpha2.WipeRequestAnnotation], text(len(bindings.Items) > 0),
	}, " ")
}

func text(b bool) string {
	if b {
		return "yes"
	}

	return "no"
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")

	return lines[len(lines)-1]
}
