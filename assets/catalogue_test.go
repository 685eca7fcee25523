package assets_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sidero-appliance/sidero-appliance/assets"
)

const script = "#!ipxe\nexit\n"

// images are fixture images: each file holds its own name.
func images(t *testing.T) fstest.MapFS {
	t.Helper()
	return fstest.MapFS{
		"agent-amd64/vmlinuz":       {Data: []byte("vmlinuz")},
		"agent-amd64/initramfs.xz":  {Data: []byte("initramfs.xz")},
		"agent-amd64/drivers.zst":   {Data: []byte("drivers.zst")},
		"agent-amd64/manifest.json": {Data: manifest(t, "kernel", "linux-image-6.1.0-56-amd64", "vmlinuz", "initramfs.xz", "drivers.zst")},
		"ipxe/undionly.kpxe":        {Data: []byte("undionly.kpxe")},
		"ipxe/snponly.efi":          {Data: []byte("snponly.efi")},
		"ipxe/ipxe.efi":             {Data: []byte("ipxe.efi")},
		"ipxe/ipxe-arm64.efi":       {Data: []byte("ipxe-arm64.efi")},
		"ipxe/manifest.json":        {Data: manifest(t, "package", "ipxe", "undionly.kpxe", "snponly.efi", "ipxe.efi", "ipxe-arm64.efi")},
	}
}

func manifest(t *testing.T, origin, pkg string, names ...string) []byte {
	t.Helper()
	files := []map[string]any{}
	for _, name := range names {
		files = append(files, map[string]any{"name": name, "size": len(name), "sha256": digest(name)})
	}
	text, err := json.Marshal(map[string]any{
		origin:  map[string]string{"package": pkg, "version": "1.2-3", "sha256": digest(pkg), "source": pkg, "sourceVersion": "1.2-3"},
		"files": files,
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func open(t *testing.T, images fs.FS, overlay string) *assets.Catalogue {
	t.Helper()
	catalogue, err := assets.Open(assets.Config{Images: images, Overlay: overlay, BootScript: []byte(script)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = catalogue.Close() })
	return catalogue
}

func content(t *testing.T, file assets.File) string {
	t.Helper()
	reader, err := file.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(text)) != file.Size {
		t.Errorf("%s: size %d, content has %d bytes", file.Name, file.Size, len(text))
	}
	return string(text)
}

func TestBootFileServesTheNamesOfSidero(t *testing.T) {
	catalogue := open(t, images(t), t.TempDir())
	want := map[string]string{
		"undionly.kpxe":   "undionly.kpxe",
		"undionly.kpxe.0": "undionly.kpxe",
		"snp.efi":         "snponly.efi",
		"snponly.efi":     "snponly.efi",
		"ipxe.efi":        "ipxe.efi",
		"snp-arm64.efi":   "ipxe-arm64.efi",
		"ipxe-arm64.efi":  "ipxe-arm64.efi",
		"autoexec.ipxe":   script,
	}
	got := map[string]string{}
	for _, name := range catalogue.BootFiles() {
		file, err := catalogue.BootFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = content(t, file)
		if file.Digest != digest(got[name]) || file.Name != name {
			t.Errorf("%s: name %q, digest %q", name, file.Name, file.Digest)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBootFileAcceptsEveryWayToWriteAName(t *testing.T) {
	catalogue := open(t, images(t), t.TempDir())
	for _, name := range []string{"snp.efi", "/snp.efi", "//snp.efi", "./snp.efi", "a/../snp.efi", "../../snp.efi"} {
		if file, err := catalogue.BootFile(name); err != nil || content(t, file) != "snponly.efi" {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestArm64IsOptional(t *testing.T) {
	images := images(t)
	images["ipxe/manifest.json"].Data = manifest(t, "package", "ipxe", "undionly.kpxe", "snponly.efi", "ipxe.efi")
	if _, err := open(t, images, t.TempDir()).BootFile("snp-arm64.efi"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want not exist: a file without a manifest entry is not served", err)
	}
}

func TestOverlayIsConfinedAndWins(t *testing.T) {
	parent := t.TempDir()
	overlay := filepath.Join(parent, "tftp")
	catalogue := open(t, images(t), overlay)
	write(t, filepath.Join(parent, "secret"), "secret")
	write(t, filepath.Join(overlay, "1a2b3c4d/start4.elf"), "firmware of a Raspberry Pi")
	write(t, filepath.Join(overlay, "ipxe.efi"), "the operator's own")
	for link, target := range map[string]string{"inside": "ipxe.efi", "outside": "../secret", "absolute": "/etc/passwd", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(overlay, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(overlay, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}

	for name, want := range map[string]string{
		"1a2b3c4d/start4.elf": "firmware of a Raspberry Pi",
		"ipxe.efi":            "the operator's own",
		"inside":              "the operator's own",
		"snp.efi":             "snponly.efi",
	} {
		file, err := catalogue.BootFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, file); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if file, _ := catalogue.BootFile("ipxe.efi"); file.Digest != "" || file.Modified.IsZero() {
		t.Errorf("operator's file: digest %q, modified %v", file.Digest, file.Modified)
	}
	for _, name := range []string{
		"", "/", ".", "..", "../secret", "1a2b3c4d", "ipxe.efi/x", "fifo", "nothing", "vmlinuz", "manifest.json",
		"ipxe/manifest.json", "a\x00b", "\xff", strings.Repeat("a", 256), strings.Repeat("a/", 500),
	} {
		if _, err := catalogue.BootFile(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: got %v, want not exist", name, err)
		}
	}
	for _, name := range []string{"outside", "absolute", "loop"} {
		if _, err := catalogue.BootFile(name); err == nil {
			t.Errorf("%s: served", name)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEnvironmentFile(t *testing.T) {
	catalogue := open(t, images(t), t.TempDir())
	for _, name := range []string{"vmlinuz", "initramfs.xz", "drivers.zst"} {
		file, err := catalogue.EnvironmentFile("agent-amd64", name)
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, file); got != name || file.Digest != digest(name) {
			t.Errorf("%s: got %q", name, got)
		}
	}
	for _, name := range [][2]string{
		{"agent-amd64", "manifest.json"}, {"agent-amd64", ""}, {"", "vmlinuz"}, {"ipxe", "ipxe.efi"}, {"agent-arm64", "vmlinuz"},
		{"..", "vmlinuz"}, {"agent-amd64", "../ipxe/ipxe.efi"},
	} {
		if _, err := catalogue.EnvironmentFile(name[0], name[1]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: got %v, want not exist", name, err)
		}
	}
}

func TestOpenRefusesABinaryWithoutImages(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(fstest.MapFS)
		want  []string
	}{
		"none": {
			func(images fstest.MapFS) { clear(images) },
			[]string{"agent-amd64/vmlinuz", "agent-amd64/initramfs.xz", "agent-amd64/drivers.zst", "ipxe/undionly.kpxe", "make images"},
		},
		"no agent": {
			func(images fstest.MapFS) { delete(images, "agent-amd64/manifest.json") },
			[]string{"agent-amd64/vmlinuz, agent-amd64/initramfs.xz, agent-amd64/drivers.zst", "make images"},
		},
		"file gone":    {func(images fstest.MapFS) { delete(images, "ipxe/ipxe.efi") }, []string{`"ipxe.efi" is missing`, "make images"}},
		"file cut":     {func(images fstest.MapFS) { images["ipxe/ipxe.efi"].Data = nil }, []string{"0 bytes instead of 8", "make images"}},
		"manifest cut": {func(images fstest.MapFS) { images["ipxe/manifest.json"].Data = []byte("{") }, []string{"ipxe/manifest.json", "make images"}},
		"no digest": {func(images fstest.MapFS) {
			images["ipxe/manifest.json"].Data = []byte(`{"files":[{"name":"ipxe.efi","size":8}]}`)
		}, []string{"sha256", "make images"}},
		"escaping entry": {func(images fstest.MapFS) { images["ipxe/manifest.json"].Data = manifest(t, "package", "ipxe", "../x") }, []string{"not in the folder", "make images"}},
	} {
		t.Run(name, func(t *testing.T) {
			images := images(t)
			test.spoil(images)
			_, err := assets.Open(assets.Config{Images: images, Overlay: t.TempDir(), BootScript: []byte(script)})
			if err == nil {
				t.Fatal("opened")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestOpenRefusesAnEmptyBootScript(t *testing.T) {
	if _, err := assets.Open(assets.Config{Images: images(t), Overlay: t.TempDir()}); err == nil {
		t.Error("opened")
	}
}

// TestOpenReadsNoImage holds the promise that a start does not read the images.
func TestOpenReadsNoImage(t *testing.T) {
	recorder := openRecorder{FS: images(t), opened: map[string]bool{}}
	open(t, recorder, t.TempDir())
	if diff := cmp.Diff(map[string]bool{"agent-amd64/manifest.json": true, "ipxe/manifest.json": true}, recorder.opened); diff != "" {
		t.Error(diff)
	}
}

// openRecorder is a file system that notes what is opened. Stat does not count.
type openRecorder struct {
	fs.FS
	opened map[string]bool
}

func (r openRecorder) Open(name string) (fs.File, error) {
	r.opened[name] = true
	return r.FS.Open(name)
}

func (r openRecorder) Stat(name string) (fs.FileInfo, error) { return fs.Stat(r.FS, name) }

func TestVersions(t *testing.T) {
	pkg := func(name string) []assets.Package {
		return []assets.Package{{Name: name, Version: "1.2-3", SHA256: digest(name), Source: name, SourceVersion: "1.2-3"}}
	}
	want := []assets.Image{
		{Name: "agent-amd64", Packages: pkg("linux-image-6.1.0-56-amd64")},
		{Name: "ipxe", Packages: pkg("ipxe")},
	}
	images := images(t)
	images["agent-amd64/manifest.json"].Data = bytes.Replace(images["agent-amd64/manifest.json"].Data, []byte(`{`),
		[]byte(`{"firmware":[{"package":"firmware-bnx2","version":"1.2-3","sha256":"`+digest("firmware-bnx2")+`","source":"firmware-bnx2","sourceVersion":"1.2-3"}],`), 1)
	want[0].Packages = append(want[0].Packages, pkg("firmware-bnx2")...)
	got, err := assets.Versions(images)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := assets.Versions(fstest.MapFS{}); err != nil || len(got) != 0 {
		t.Errorf("without images: %v, %v", got, err)
	}
}
