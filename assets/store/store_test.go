package store_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

const address = "http://releases.test/v1/vmlinuz"

func digest(text string) string {
	sum := sha512.Sum512([]byte(text))
	return hex.EncodeToString(sum[:])
}

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put keeps a text as the content of a URL.
func put(t *testing.T, s *store.Store, url, text string) store.Blob {
	t.Helper()
	p := begin(t, s, url)
	must(t, p.Restart(store.Source{Version: `"1"`, Size: int64(len(text))}))
	_, err := io.WriteString(p, text)
	must(t, err)
	blob, err := p.Seal(t.Context())
	must(t, err)
	must(t, p.Keep())
	return blob
}

func begin(t *testing.T, s *store.Store, url string) *store.Partial {
	t.Helper()
	p, err := s.Partial(url)
	must(t, err)
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// content is what the store serves, "" when there is nothing.
func content(t *testing.T, s *store.Store, ref store.Ref) string {
	t.Helper()
	file, err := s.File(ref, "vmlinuz")
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	must(t, err)
	reader, err := file.Open()
	must(t, err)
	defer reader.Close()
	text, err := io.ReadAll(reader)
	must(t, err)
	if file.Name != "vmlinuz" || file.Size != int64(len(text)) || file.Digest != digest(string(text)) {
		t.Errorf("described as %q, %d bytes, %s", file.Name, file.Size, file.Digest)
	}
	return string(text)
}

func TestAFileIsFoundByItsURLAndByItsDigest(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	blob := put(t, s, address, "kernel")
	if blob.Digest != digest("kernel") || blob.Size != 6 {
		t.Errorf("kept as %+v", blob)
	}
	for range 2 { // the second time from the disk
		for _, test := range []struct {
			ref  store.Ref
			want string
		}{
			{store.Ref{URL: address}, "kernel"},
			{store.Ref{URL: address, SHA512: digest("kernel")}, "kernel"},
			{store.Ref{URL: "http://elsewhere/", SHA512: digest("kernel")}, "kernel"},
			{store.Ref{URL: "http://elsewhere/"}, ""},
			{store.Ref{URL: address, SHA512: digest("another")}, ""},
			{store.Ref{URL: address, SHA512: "../../etc/passwd"}, ""},
			{store.Ref{URL: address, SHA512: strings.ToUpper(digest("kernel"))}, ""},
		} {
			if got := content(t, s, test.ref); got != test.want {
				t.Errorf("%+v: %q, want %q", test.ref, got, test.want)
			}
		}
		s = open(t, dir)
	}
	if found, err := s.Find(store.Ref{URL: address}); err != nil || found.Version != `"1"` {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestTheURLsNewContentTakesThePlaceOfTheOld(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, address, "a long old kernel")
	put(t, s, address, "new")
	if got := content(t, s, store.Ref{URL: address}); got != "new" {
		t.Errorf("got %q", got)
	}
	if got := content(t, s, store.Ref{SHA512: digest("a long old kernel")}); got == "" {
		t.Error("what somebody may still ask for by its digest is gone")
	}
}

// TestLostFilesAreNotThere is about files that somebody removed, cut or replaced.
func TestLostFilesAreNotThere(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"removed":     os.Remove,
		"cut":         func(path string) error { return os.Truncate(path, 3) },
		"a directory": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		dir := t.TempDir()
		s := open(t, dir)
		blob := put(t, s, address, "kernel")
		must(t, spoil(filepath.Join(dir, "blobs", blob.Digest)))
		for _, s := range []*store.Store{s, open(t, dir)} {
			if _, err := s.Find(store.Ref{URL: address}); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if name != "a directory" {
			put(t, s, address, "kernel")
			if got := content(t, s, store.Ref{URL: address}); got != "kernel" {
				t.Errorf("%s: then %q", name, got)
			}
		}
	}
}

func TestADamagedIndexIsForgotten(t *testing.T) {
	dir := t.TempDir()
	put(t, open(t, dir), address, "kernel")
	files, err := filepath.Glob(filepath.Join(dir, "urls", "*.json"))
	must(t, err)
	for _, text := range []string{"", "{", "null", `{"url":"http://other/","sha512":"` + digest("kernel") + `","size":6}`, `{"url":"` + address + `","sha512":"../x","size":6}`} {
		must(t, os.WriteFile(files[0], []byte(text), 0o600))
		if got := content(t, open(t, dir), store.Ref{URL: address}); got != "" {
			t.Errorf("with %q: %q", text, got)
		}
	}
	if _, err := store.Open(filepath.Join(files[0], "x")); err == nil {
		t.Error("opened below a file")
	}
}

func TestAPartialGoesOn(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	p := begin(t, s, address)
	must(t, p.Restart(store.Source{Version: `"1"`, Size: 6}))
	_, err := io.WriteString(p, "ker")
	must(t, err)
	if _, err := s.Partial(address); !errors.Is(err, store.ErrBusy) {
		t.Errorf("opened twice: %v", err)
	}
	must(t, p.Close())

	p = begin(t, open(t, dir), address)
	if p.Size() != 3 || p.Source() != (store.Source{Version: `"1"`, Size: 6}) {
		t.Errorf("goes on with %d bytes of %+v", p.Size(), p.Source())
	}
	_, err = io.WriteString(p, "nel")
	must(t, err)
	blob, err := p.Seal(t.Context())
	must(t, err)
	if blob.Digest != digest("kernel") {
		t.Errorf("got %+v", blob)
	}
	must(t, p.Discard())
	if p = begin(t, s, address); p.Size() != 0 || p.Source() != (store.Source{}) {
		t.Errorf("after it was discarded: %d bytes of %+v", p.Size(), p.Source())
	}
	must(t, p.Close())
}

// TestAPartialKeepsWhatIsSafe is about a machine that loses its power: of what was not synced anything may be missing.
func TestAPartialKeepsWhatIsSafe(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	p := begin(t, s, address)
	must(t, p.Restart(store.Source{Version: `"1"`}))
	first := bytes.Repeat([]byte("x"), 16<<20)
	for _, piece := range [][]byte{first, []byte("not safe")} {
		_, err := p.Write(piece)
		must(t, err)
	}
	// The other one is what the next start sees.
	if other := begin(t, open(t, dir), address); other.Size() != int64(len(first)) {
		t.Errorf("%d bytes are taken for safe", other.Size())
	}
	must(t, p.Close())

	files, err := filepath.Glob(filepath.Join(dir, "partial", "*"))
	must(t, err)
	for _, file := range files {
		if !strings.HasSuffix(file, ".json") {
			must(t, os.Truncate(file, 5))
		}
	}
	if p := begin(t, open(t, dir), address); p.Size() != 0 {
		t.Errorf("%d bytes of a file that was cut are taken for safe", p.Size())
	}
}

func TestOnlyWhatIsCompleteIsKept(t *testing.T) {
	s := open(t, t.TempDir())
	p := begin(t, s, address)
	if err := p.Keep(); err == nil {
		t.Error("kept what was not sealed")
	}
	p = begin(t, s, address)
	_, err := p.Seal(t.Context())
	must(t, err)
	if err := p.Keep(); err == nil {
		t.Error("kept nothing")
	}
	p = begin(t, s, address)
	must(t, p.Close())
}

// TestACrashWhileKeeping leaves each state that there is between the steps.
func TestACrashWhileKeeping(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	blob := put(t, s, address, "kernel")
	// The index is written, the file is not yet at its place.
	partials := filepath.Join(dir, "partial")
	index, err := filepath.Glob(filepath.Join(dir, "urls", "*.json"))
	must(t, err)
	name := strings.TrimSuffix(filepath.Base(index[0]), ".json")
	must(t, os.Rename(filepath.Join(dir, "blobs", blob.Digest), filepath.Join(partials, name)))
	must(t, os.WriteFile(filepath.Join(partials, name+".json"), []byte(`{"url":"`+address+`","source":{"size":6},"safe":6}`), 0o600))
	must(t, os.WriteFile(index[0]+".new", []byte("{"), 0o600))

	s = open(t, dir)
	if got := content(t, s, store.Ref{URL: address}); got != "" {
		t.Errorf("got %q", got)
	}
	p := begin(t, s, address)
	if p.Size() != 6 {
		t.Errorf("%d bytes are left", p.Size())
	}
	_, err = p.Seal(t.Context())
	must(t, err)
	must(t, p.Keep())
	if got := content(t, s, store.Ref{URL: address}); got != "kernel" {
		t.Errorf("got %q", got)
	}
}

func TestCollect(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, name := range []string{"by-url", "by-digest", "unused", "read", "replaced"} {
		put(t, s, "http://a/"+name, name)
	}
	put(t, s, "http://a/replaced", "new")
	must(t, begin(t, s, "http://a/left").Close())
	filling := begin(t, s, "http://a/filling")
	file, err := s.File(store.Ref{URL: "http://a/read"}, "vmlinuz")
	must(t, err)
	reader, err := file.Open()
	must(t, err)

	wanted := []store.Ref{{URL: "http://a/by-url"}, {URL: "http://b/", SHA512: digest("by-digest")}, {URL: "http://a/replaced"}, {URL: "http://a/missing"}}
	now := time.Unix(1000, 0)
	collect := func(after time.Duration) []string {
		t.Helper()
		now = now.Add(after)
		removed, err := s.Collect(wanted, now)
		must(t, err)
		return removed
	}
	if removed := append(collect(0), collect(store.Grace-1)...); len(removed) > 0 {
		t.Errorf("removed at once: %v", removed)
	}
	if removed := collect(1); len(removed) != 2 || !strings.Contains(strings.Join(removed, " "), digest("unused")) || !strings.Contains(strings.Join(removed, " "), digest("replaced")) {
		t.Errorf("removed %v", removed)
	}
	for name, want := range map[string]string{"by-url": "by-url", "unused": "", "replaced": "new", "read": "", "by-digest": ""} {
		if got := content(t, s, store.Ref{URL: "http://a/" + name}); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"by-digest", "read"} {
		if got := content(t, s, store.Ref{SHA512: digest(name)}); got != name {
			t.Errorf("%s: %q", name, got)
		}
	}
	must(t, reader.Close())
	_ = reader.Close() // counts once
	_, err = io.WriteString(filling, "it goes on")
	must(t, err)
	must(t, filling.Close())
	if removed := append(collect(time.Hour), collect(store.Grace)...); len(removed) != 1 || removed[0] != digest("read") {
		t.Errorf("removed %v", removed)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "partial")); err != nil || len(left) > 0 {
		t.Errorf("partial downloads are left: %v, %v", left, err)
	}
	wanted = append(wanted, store.Ref{URL: "http://a/unused"})
	collect(time.Hour)
	wanted = wanted[:4]
	collect(store.Grace) // begins to count only now
	if got := content(t, s, store.Ref{URL: "http://a/by-url"}); got == "" {
		t.Error("a file that is used is gone")
	}
}

// TestServedFilesCanBeSentByTheKernel: net.TCPConn looks for syscall.Conn.
func TestServedFilesCanBeSentByTheKernel(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, address, "kernel")
	file, err := s.File(store.Ref{URL: address}, "vmlinuz")
	must(t, err)
	reader, err := file.Open()
	must(t, err)
	defer reader.Close()
	if _, ok := reader.(syscall.Conn); !ok {
		t.Errorf("%T has no descriptor", reader)
	}
}

func TestFree(t *testing.T) {
	if free, err := open(t, t.TempDir()).Free(); err != nil || free <= 0 {
		t.Errorf("%d bytes are free: %v", free, err)
	}
}
