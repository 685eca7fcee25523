package offline_test

import (
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/assets/offline"
)

const address = "https://releases.test/talos/download/v1.13.6/vmlinuz-amd64"

func digest(text string) string {
	sum := sha512.Sum512([]byte(text))
	return hex.EncodeToString(sum[:])
}

func open(t testing.TB) (*offline.Folder, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "import")
	folder, err := offline.Open(dir)
	must(t, err)
	return folder, dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
}

func TestPathIsTheOneOfWget(t *testing.T) {
	folder, dir := open(t)
	for url, want := range map[string]string{
		address:                                "releases.test/talos/download/v1.13.6/vmlinuz-amd64",
		"http://10.0.0.1:8080/a/b":             "10.0.0.1:8080/a/b",
		"http://user:secret@a/b?c=d/e":         "a/b?c=d%2Fe",
		"http://a/b/../c//d":                   "a/c/d",
		"http://a/b%2Fc":                       "a/b/c",
		"file:///srv/x":                        "srv/x",
		"http://a/../../etc/passwd":            "a/etc/passwd",
		"http://a/.hidden/x":                   "",
		"http://a/" + strings.Repeat("a", 256): "",
		"http://a/x%00y":                       "",
		"://":                                  "",
		"":                                     "",
		"http://../x":                          "",
	} {
		got, err := folder.Path(url)
		if want == "" {
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %q, %v", url, got, err)
			}
			continue
		}
		if err != nil || got != filepath.Join(dir, want) {
			t.Errorf("%s: %q, %v", url, got, err)
		}
	}
}

func TestFind(t *testing.T) {
	for name, test := range map[string]struct {
		files   map[string]string
		digests []string
		want    string
	}{
		"none":                      {},
		"the whole path":            {files: map[string]string{"releases.test/talos/download/v1.13.6/vmlinuz-amd64": "a"}, want: "releases.test/talos/download/v1.13.6/vmlinuz-amd64"},
		"its end":                   {files: map[string]string{"v1.13.6/vmlinuz-amd64": "a"}, want: "v1.13.6/vmlinuz-amd64"},
		"the longest":               {files: map[string]string{"v1.13.6/vmlinuz-amd64": "a", "download/v1.13.6/vmlinuz-amd64": "b"}, want: "download/v1.13.6/vmlinuz-amd64"},
		"the name is not enough":    {files: map[string]string{"vmlinuz-amd64": "a"}},
		"another release":           {files: map[string]string{"v1.13.5/vmlinuz-amd64": "a"}},
		"part of a name":            {files: map[string]string{"6/vmlinuz-amd64": "a", "3.6/vmlinuz-amd64": "b"}},
		"another host":              {files: map[string]string{"other.test/talos/download/v1.13.6/vmlinuz-amd64": "a"}},
		"by digest, of any name":    {files: map[string]string{"x": "a", "kernel": "b"}, digests: []string{digest("c"), digest("b")}, want: "kernel"},
		"no such digest":            {files: map[string]string{"x": "a"}, digests: []string{digest("c")}},
		"by path before its digest": {files: map[string]string{"v1.13.6/vmlinuz-amd64": "a", "x": "b"}, digests: []string{digest("b")}, want: "v1.13.6/vmlinuz-amd64"},
		"rsync's":                   {files: map[string]string{"v1.13.6/.vmlinuz-amd64.Xy12": "a", ".v1.13.6/vmlinuz-amd64": "b"}, digests: []string{digest("a"), digest("b")}},
	} {
		folder, dir := open(t)
		write(t, dir, test.files)
		file, err := folder.Find(t.Context(), address, test.digests...)
		if test.want == "" {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %q, %v", name, file.Name, err)
			}
			continue
		}
		if err != nil || file.Name != test.want || file.Size != 1 || file.Path() != filepath.Join(dir, test.want) {
			t.Errorf("%s: %+v, %v", name, file, err)
		}
	}
}

// TestAFileThatIsBeingCopiedIsNotThere: the kernel tells whether somebody has it open for writing.
func TestAFileThatIsBeingCopiedIsNotThere(t *testing.T) {
	folder, dir := open(t)
	write(t, dir, map[string]string{"v1.13.6/vmlinuz-amd64": "half"})
	writer, err := os.OpenFile(filepath.Join(dir, "v1.13.6/vmlinuz-amd64"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	if file, err := folder.Find(t.Context(), address); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("found %+v, %v", file, err)
	}
	_, err = writer.WriteString(" and half")
	must(t, err)
	must(t, writer.Close())
	if file, err := folder.Find(t.Context(), address); err != nil || file.Size != int64(len("half and half")) {
		t.Errorf("found %+v, %v", file, err)
	}
}

func TestOnlyRegularFilesInTheFolderAreFound(t *testing.T) {
	folder, dir := open(t)
	write(t, filepath.Dir(dir), map[string]string{"secret": "secret"})
	must(t, os.MkdirAll(filepath.Join(dir, "v1.13.6"), 0o755))
	path := filepath.Join(dir, "v1.13.6/vmlinuz-amd64")
	for name, place := range map[string]func() error{
		"a link out of the folder": func() error { return os.Symlink("../../secret", path) },
		"a FIFO":                   func() error { return syscall.Mkfifo(path, 0o644) },
		"a directory":              func() error { return os.Mkdir(path, 0o755) },
	} {
		must(t, place())
		if file, err := folder.Find(t.Context(), address, digest("secret")); err == nil {
			t.Errorf("%s: found %+v", name, file)
		}
		must(t, os.Remove(path))
	}
}

func TestADigestIsTakenAgainWhenTheFileChanges(t *testing.T) {
	folder, dir := open(t)
	for _, text := range []string{"a", "b", "c"} {
		write(t, dir, map[string]string{"kernel": text})
		for _, want := range []string{"a", "b", "c"} {
			if _, err := folder.Find(t.Context(), address, digest(want)); (err == nil) != (want == text) {
				t.Errorf("file %s, asked for %s: %v", text, want, err)
			}
		}
	}
}

func TestRemoveTakesEmptyFoldersToo(t *testing.T) {
	folder, dir := open(t)
	write(t, dir, map[string]string{"releases.test/talos/download/v1.13.6/vmlinuz-amd64": "a", "releases.test/talos/x": "b"})
	file, err := folder.Find(t.Context(), address)
	must(t, err)
	must(t, file.Remove())
	must(t, file.Remove())
	if _, err := os.Stat(filepath.Join(dir, "releases.test/talos/download")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty folder stays: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "releases.test/talos/x")); err != nil {
		t.Error(err)
	}
	write(t, dir, map[string]string{"v1.13.6/vmlinuz-amd64": "a"})
	file, err = folder.Find(t.Context(), address)
	must(t, err)
	must(t, file.Remove())
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the folder itself: %v", err)
	}
}

func TestPlaceIsFound(t *testing.T) {
	folder, dir := open(t)
	write(t, filepath.Dir(dir), map[string]string{"kernel": "kernel", ".empty": ""})
	source := filepath.Join(filepath.Dir(dir), "kernel")

	placed, err := folder.Place(source, address, strings.ToUpper(digest("kernel")))
	must(t, err)
	if want := filepath.Join(dir, "releases.test/talos/download/v1.13.6/vmlinuz-amd64"); placed != (offline.Placed{Path: want, SHA512: digest("kernel"), Size: 6}) {
		t.Errorf("placed %+v", placed)
	}
	file, err := folder.Find(t.Context(), address)
	must(t, err)
	content, err := file.Open()
	must(t, err)
	must(t, content.Close())
	must(t, file.Remove())

	_, err = folder.Place(source, "", "")
	must(t, err)
	if _, err := folder.Find(t.Context(), "http://any/", digest("kernel")); err != nil {
		t.Errorf("by digest: %v", err)
	}

	for name, place := range map[string]func() error{
		"another digest": func() error { _, err := folder.Place(source, address, digest("x")); return err },
		"no path":        func() error { _, err := folder.Place(source, "http://a/.x", ""); return err },
		"empty": func() error {
			_, err := folder.Place(filepath.Join(filepath.Dir(dir), ".empty"), address, "")
			return err
		},
		"a directory": func() error { _, err := folder.Place(dir, address, ""); return err },
		"missing":     func() error { _, err := folder.Place(source+"x", address, ""); return err },
	} {
		if place() == nil {
			t.Errorf("%s: placed", name)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".incoming*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestPlacedFilesBelongToTheFoldersOwner: a person runs the command as root, the appliance may be another user.
func TestPlacedFilesBelongToTheFoldersOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	parent := t.TempDir()
	must(t, os.Chown(parent, 4711, 4712))
	source := filepath.Join(t.TempDir(), "kernel")
	must(t, os.WriteFile(source, []byte("kernel"), 0o600))
	folder, err := offline.OpenIn(parent, "assets/import")
	must(t, err)
	_, err = folder.Place(source, address, "")
	must(t, err)
	must(t, filepath.WalkDir(parent, func(path string, entry fs.DirEntry, err error) error {
		must(t, err)
		info, err := entry.Info()
		must(t, err)
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 4711 || owner.Gid != 4712 {
			t.Errorf("%s belongs to %d:%d", path, owner.Uid, owner.Gid)
		}
		return nil
	}))
}

// TestNothingIsPlacedOutside: whoever owns the folder puts links into it, and has root bring a file.
func TestNothingIsPlacedOutside(t *testing.T) {
	for name, link := range map[string]struct{ place, to string }{
		"the host's folder": {"import/releases.test", "ELSEWHERE"},
		"one below it":      {"import/releases.test/talos", "ELSEWHERE"},
		"beside the folder": {"import/releases.test", "../../elsewhere"},
		"the file itself":   {"import/releases.test/talos/download/v1.13.6/vmlinuz-amd64", "ELSEWHERE/victim"},
		"the folder itself": {"import", "ELSEWHERE"},
		"a link to nothing": {"import/releases.test", "/nowhere"},
	} {
		parent := t.TempDir()
		base, elsewhere, source := filepath.Join(parent, "data"), filepath.Join(parent, "elsewhere"), filepath.Join(parent, "kernel")
		write(t, parent, map[string]string{"kernel": "kernel", "elsewhere/victim": "victim"})
		place := filepath.Join(base, link.place)
		must(t, os.MkdirAll(filepath.Dir(place), 0o755))
		must(t, os.Symlink(strings.ReplaceAll(link.to, "ELSEWHERE", elsewhere), place))

		folder, err := offline.OpenIn(base, "import")
		if err == nil {
			_, err = folder.Place(source, address, "")
		}
		if want := name == "the file itself"; (err == nil) != want { // a link in the file's place is replaced
			t.Errorf("%s: %v", name, err)
		}
		entries, err := os.ReadDir(elsewhere)
		must(t, err)
		if content, err := os.ReadFile(filepath.Join(elsewhere, "victim")); err != nil || string(content) != "victim" || len(entries) != 1 {
			t.Errorf("%s: elsewhere is %v, %q, %v", name, entries, content, err)
		}
		if _, err := os.Lstat("/nowhere"); err == nil {
			t.Errorf("%s: /nowhere was made", name)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, url := range []string{address, "http://a/../b?x/y", "file:///", "http://[::1]:80/%2e%2e/x", "http://a/%00"} {
		f.Add(url)
	}
	folder, dir := open(f)
	f.Fuzz(func(t *testing.T, url string) {
		path, err := folder.Path(url)
		if err != nil {
			return
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || !filepath.IsLocal(name) || name == "." {
			t.Errorf("%q leads to %q", url, path)
		}
	})
}
