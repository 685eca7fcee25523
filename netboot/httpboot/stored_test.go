package httpboot_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/assets"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
	"github.com/sidero-appliance/sidero-appliance/netboot/httpboot"
)

// environments has one Environment, of a catalogue's agents beside it.
type environments struct {
	*assets.Catalogue
	store *store.Store
}

const kernelURL = "http://releases.test/vmlinuz"

func (e environments) EnvironmentFile(name, file string) (assets.File, error) {
	switch {
	case name != "talos":
		return e.Catalogue.EnvironmentFile(name, file)
	case file != "vmlinuz":
		return assets.File{}, fmt.Errorf("%s of environment talos is not here yet: %w", file, fs.ErrNotExist)
	default:
		return e.store.File(store.Ref{URL: kernelURL}, file)
	}
}

// stored keeps content as the kernel of the Environment talos. It returns the directory of the store's files.
func stored(t testing.TB, content []byte) (environments, string) {
	t.Helper()
	dir := t.TempDir()
	kept, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	partial, err := kept.Partial(kernelURL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := partial.Write(content); err != nil {
		t.Fatal(err)
	}
	if _, err := partial.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := partial.Keep(); err != nil {
		t.Fatal(err)
	}
	return environments{catalogue(t, 1<<10), kept}, filepath.Join(dir, "blobs")
}

func TestFilesOfEnvironments(t *testing.T) {
	content := bytes.Repeat([]byte("Talos's kernel "), 100_000)
	files, blobs := stored(t, content)
	s := start(t, func(c *httpboot.Config) { c.Files = files })
	const path = "/env/talos/vmlinuz"

	whole := s.get(t, path)
	tag := whole.Header.Get("ETag")
	if whole.StatusCode != http.StatusOK || whole.body != string(content) || whole.ContentLength != int64(len(content)) || len(tag) != 130 || tag[0] != '"' {
		t.Errorf("%s, %d bytes, ETag %s", whole.Status, whole.ContentLength, tag)
	}
	if seen := s.await(t, httpboot.KindEnvironment); seen.Bytes != int64(len(content)) || seen.Err != nil {
		t.Errorf("seen %+v", seen)
	}
	if head := s.do(t, http.MethodHead, path, nil); head.ContentLength != int64(len(content)) || head.body != "" || head.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("HEAD: %v", head.Header)
	}

	for name, test := range map[string]struct {
		header http.Header
		status int
		body   string
	}{
		"the end":             {http.Header{"Range": {"bytes=-7"}}, 206, string(content[len(content)-7:])},
		"more than a piece":   {http.Header{"Range": {"bytes=3-200000"}}, 206, string(content[3:200001])},
		"still the same":      {http.Header{"Range": {"bytes=10-19"}, "If-Range": {tag}}, 206, string(content[10:20])},
		"another by now":      {http.Header{"Range": {"bytes=10-19"}, "If-Range": {`"old"`}}, 200, string(content)},
		"has it":              {http.Header{"If-None-Match": {tag}}, 304, ""},
		"no such bytes":       {http.Header{"Range": {"bytes=99999999-"}}, 416, "invalid range: failed to overlap\n"},
		"two parts, as curl":  {http.Header{"Range": {"bytes=0-0,-1"}}, 206, ""},
		"a header of nothing": {http.Header{"Range": {"lines=1-2"}}, 416, "invalid range\n"},
	} {
		got := s.do(t, http.MethodGet, path, test.header)
		if got.StatusCode != test.status || got.body != test.body && !strings.Contains(got.Header.Get("Content-Type"), "multipart") {
			t.Errorf("%s: %s, %d bytes", name, got.Status, len(got.body))
		}
	}

	if missing := s.get(t, "/env/talos/initramfs.xz"); missing.StatusCode != http.StatusNotFound || !strings.Contains(missing.body, "not here yet") {
		t.Errorf("%s: %s", missing.Status, missing.body)
	}
	// Cut behind the appliance's back: nothing is served rather than a part.
	blob, err := filepath.Glob(filepath.Join(blobs, "*"))
	if err != nil || len(blob) != 1 {
		t.Fatal(blob, err)
	}
	if err := os.Truncate(blob[0], 5); err != nil {
		t.Fatal(err)
	}
	if got := s.get(t, path); got.StatusCode != http.StatusNotFound {
		t.Errorf("a file that was cut: %s", got.Status)
	}
}

// TestHTTP2HasNoSendfile: its frames are made here.
func TestHTTP2HasNoSendfile(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 300_000)
	files, _ := stored(t, content)
	s := start(t, func(c *httpboot.Config) { c.Files = files })
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	response, err := client.Get(s.url + "/env/talos/vmlinuz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || !bytes.Equal(body, content) || response.ProtoMajor != 2 {
		t.Errorf("%d bytes by %s: %v", len(body), response.Proto, err)
	}
}

func BenchmarkFileOfAnEnvironment(b *testing.B) {
	content := bytes.Repeat([]byte("x"), 128<<20)
	files, _ := stored(b, content)
	s := startBench(b, files)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		response, err := http.Get(s + "/env/talos/vmlinuz")
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, response.Body); err != nil || n != int64(len(content)) {
			b.Fatal(n, err)
		}
		_ = response.Body.Close()
	}
}
