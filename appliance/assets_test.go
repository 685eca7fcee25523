package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/assets"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

// environmentOf boots from URLs that the store has, or has not.
func environmentOf(name, kernel string, annotations map[string]string) *v1alpha2.Environment {
	e := &v1alpha2.Environment{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}}
	e.Spec.Kernel.URL, e.Spec.Initrd.URL = kernel, "http://user:secret@missing.test/initrd"
	return e
}

func TestEnvironmentFilesAreServedFromTheStore(t *testing.T) {
	config := Defaults()
	config.DataDir = t.TempDir()
	kept, err := openAssets(config)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, kept.store, "http://a/kernel", "kernel")

	replace := map[string]string{v1alpha2.AnnotationReplaceAgent: "true"}
	for name, test := range map[string]struct {
		object *v1alpha2.Environment
		file   string
		want   string // content; or what the error says
		fails  bool
	}{
		"talos":                      {environmentOf("talos", "http://a/kernel", nil), "vmlinuz", "kernel", false},
		"talos, initrd":              {environmentOf("talos", "http://a/kernel", nil), "initramfs.xz", `see "kubectl get environment talos -o yaml"`, true},
		"talos, another file":        {environmentOf("talos", "http://a/kernel", nil), "vmlinuz.txt", "environment talos has no vmlinuz.txt", true},
		"not there":                  {environmentOf("other", "http://a/kernel", nil), "vmlinuz", `there is no environment "talos"`, true},
		"the agent":                  {environmentOf("other", "http://a/kernel", nil), "agent-amd64/vmlinuz", "agent", false},
		"the agent's name":           {environmentOf("agent-amd64", "http://a/kernel", nil), "agent-amd64/vmlinuz", "agent", false},
		"in the agent's place":       {environmentOf("agent-amd64", "http://a/kernel", replace), "agent-amd64/vmlinuz", "kernel", false},
		"in its place, not here yet": {environmentOf("agent-amd64", "http://a/missing", replace), "agent-amd64/vmlinuz", "agent", false},
		"no agent":                   {environmentOf("other", "http://a/kernel", nil), "agent-arm64/vmlinuz", "agent-arm64/vmlinuz", true},
		"an agent of one's own":      {environmentOf("agent-arm64", "http://a/kernel", replace), "agent-arm64/vmlinuz", "kernel", false},
	} {
		environment, file, ok := strings.Cut(test.file, "/")
		if !ok {
			environment, file = "talos", test.file
		}
		files := bootFiles{agents(t), reader(t, test.object), kept.store}
		found, err := files.EnvironmentFile(environment, file)
		if test.fails {
			if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		content, err := found.Open()
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(content); err != nil || string(text) != test.want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		if err := content.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAgentsAreServedWithoutTheAPI: the boot server looks for them before there is a cache.
func TestAgentsAreServedWithoutTheAPI(t *testing.T) {
	if _, err := (bootFiles{agents(t), broken{}, nil}).EnvironmentFile("agent-amd64", "vmlinuz"); err != nil {
		t.Error(err)
	}
	if _, err := (bootFiles{agents(t), broken{}, nil}).EnvironmentFile("talos", "vmlinuz"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of another: %v", err)
	}
}

type broken struct{ client.Reader }

func (broken) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("the cache is not started")
}

func reader(t *testing.T, e *v1alpha2.Environment) client.Reader {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha2.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(e).Build()
}

func fill(t *testing.T, kept *store.Store, url, text string) {
	t.Helper()
	partial, err := kept.Partial(url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(partial, text); err != nil {
		t.Fatal(err)
	}
	if _, err := partial.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := partial.Keep(); err != nil {
		t.Fatal(err)
	}
}

// agents is a catalogue whose agent's kernel says so.
func agents(t *testing.T) *assets.Catalogue {
	t.Helper()
	images := fstest.MapFS{}
	for folder, names := range map[string][]string{"agent-amd64": {"vmlinuz", "initramfs.xz", "drivers.zst"}, "ipxe": {"undionly.kpxe", "snponly.efi", "ipxe.efi"}} {
		var files []map[string]any
		for _, name := range names {
			images[folder+"/"+name] = &fstest.MapFile{Data: []byte("agent")}
			files = append(files, map[string]any{"name": name, "size": 5, "sha256": strings.Repeat("ab", 32)})
		}
		manifest, err := json.Marshal(map[string]any{"files": files})
		if err != nil {
			t.Fatal(err)
		}
		images[folder+"/manifest.json"] = &fstest.MapFile{Data: manifest}
	}
	catalogue, err := assets.Open(assets.Config{Images: images, Overlay: t.TempDir(), BootScript: []byte("#!ipxe\n")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = catalogue.Close() })
	return catalogue
}
