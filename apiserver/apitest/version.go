package apitest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	basecompatibility "k8s.io/component-base/compatibility"
)

// ServeVersion makes the API servers that this process starts from now on say that they are of the version of Kubernetes
// that they are built from. In the program "make build" tells the linker; go test does not, and then clusterctl refuses the
// server for being v0.0.0.
func ServeVersion(t testing.TB) {
	t.Helper()

	registry := compatibility.DefaultComponentGlobalsRegistry
	if _, done := registry.EffectiveVersionFor(basecompatibility.DefaultKubeComponent).(toldVersion); done {
		return
	}

	registry.Reset()

	told := toldVersion{compatibility.DefaultBuildEffectiveVersion(), ModuleVersion(t, "k8s.io/kubernetes")}
	if err := registry.Register(basecompatibility.DefaultKubeComponent, told, utilfeature.DefaultMutableFeatureGate); err != nil {
		t.Fatal(fmt.Errorf("register version: %w", err))
	}
}

// ModuleVersion is the version of a module that go.mod asks for.
func ModuleVersion(t testing.TB, module string) string {
	t.Helper()

	text, err := os.ReadFile(filepath.Join(Root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}

	found := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(module) + ` (v\S+)`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s is not in go.mod", module)
	}

	return string(found[1])
}

type toldVersion struct {
	basecompatibility.MutableEffectiveVersion

	git string
}

// Info implements EffectiveVersion.
func (v toldVersion) Info() *apimachineryversion.Info {
	info := v.MutableEffectiveVersion.Info()
	info.GitVersion = v.git

	return info
}
