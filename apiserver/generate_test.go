package apiserver_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
)

// TestGeneratedCodeIsFresh generates again, in a copy of what the generators read, and compares.
func TestGeneratedCodeIsFresh(t *testing.T) {
	root, scratch := apitest.Root(t), t.TempDir()

	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(scratch, name), content, 0o600))
	}

	must(t, os.CopyFS(filepath.Join(scratch, "apiserver"), os.DirFS(filepath.Join(root, "apiserver"))))

	stale := generated(t, filepath.Join(scratch, "apiserver"))
	for path := range stale {
		must(t, os.Remove(filepath.Join(scratch, "apiserver", path)))
	}

	if out, err := exec.CommandContext(t.Context(), filepath.Join(root, "apiserver", "generate.sh"), scratch).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	fresh := generated(t, filepath.Join(scratch, "apiserver"))
	if len(fresh) != len(stale) || len(fresh) == 0 {
		t.Errorf("%d files were generated, there are %d", len(fresh), len(stale))
	}

	for path, content := range fresh {
		if !bytes.Equal(content, stale[path]) {
			t.Errorf("apiserver/%s is stale: run make generate", path)
		}
	}
}

// generated reads the generated files below a folder.
func generated(t *testing.T, root string) map[string][]byte {
	t.Helper()

	files := map[string][]byte{}

	must(t, fs.WalkDir(os.DirFS(root), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasPrefix(filepath.Base(path), "zz_generated.") {
			return err
		}

		content, err := os.ReadFile(filepath.Join(root, path))
		files[path] = content

		return err
	}))

	return files
}
