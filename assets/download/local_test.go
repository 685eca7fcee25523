package download_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

func TestAFileOfThisMachineIsCopied(t *testing.T) {
	run(t, func(f *fixture) {
		path := f.write("files/talos/vmlinuz", "kernel")
		local := store.Ref{URL: "file://" + path}
		for _, url := range []string{local.URL, "FILE://localhost" + path, "file://" + f.dir + "/files/talos/../talos/%76mlinuz"} {
			f.Want(url, store.Ref{URL: url})
			f.ready(store.Ref{URL: url}, time.Second, "kernel")
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "kernel" {
			t.Errorf("the file itself: %q, %v", text, err)
		}

		f.write("files/talos/vmlinuz", "another kernel")
		f.ready(local, 0, "kernel") // until somebody looks
		f.Want("a", local)
		f.await(local, time.Second, func(s download.State) bool { return s.Blob != nil && s.Blob.Size == int64(len("another kernel")) })
		must(t, os.Remove(path))
		f.Want("a", local)
		time.Sleep(time.Hour)
		f.ready(local, 0, "another kernel") // what is here stays here

		wanted := store.Ref{URL: local.URL, SHA512: digest("a third")}
		f.Want("b", wanted)
		f.fails(wanted, download.NotFound)
		f.write("files/talos/vmlinuz", "a third")
		f.ready(wanted, time.Hour, "a third")
	})
}

func TestOnlyFilesOfTheFoldersAreServed(t *testing.T) {
	run(t, func(f *fixture) {
		secret := f.write("pki/ca.key", "secret")
		must(t, os.MkdirAll(f.dir+"/files/folder", 0o755))
		must(t, os.Symlink(secret, f.dir+"/files/link"))
		must(t, os.Symlink("../pki", f.dir+"/files/up"))
		must(t, syscall.Mkfifo(f.dir+"/files/fifo", 0o600))
		for path, want := range map[string]download.Reason{
			f.dir + "/pki/ca.key":          download.NotAllowed,
			f.dir + "/files/../pki/ca.key": download.NotAllowed,
			f.dir + "/filesystem":          download.NotAllowed,
			f.dir + "/files/link":          download.StoreFailed,
			f.dir + "/files/up/ca.key":     download.StoreFailed,
			f.dir + "/files/fifo":          download.StoreFailed,
			f.dir + "/files/folder":        download.StoreFailed,
			f.dir + "/files":               download.StoreFailed,
			f.dir + "/files/missing":       download.NotFound,
			"/dev/zero":                    download.NotAllowed,
		} {
			bad := store.Ref{URL: "file://" + path}
			f.Want(path, bad)
			f.fails(bad, want)
		}
	})
}

func TestAFileBroughtByHandTakesThePlaceOfADownload(t *testing.T) {
	run(t, func(f *fixture) {
		unreachable := store.Ref{URL: "http://nobody.test/v1/vmlinuz"}
		f.Want("a", unreachable)
		f.fails(unreachable, download.Unreachable)
		time.Sleep(3 * time.Hour)
		path := f.write("import/nobody.test/v1/vmlinuz", "kernel")
		f.ready(unreachable, 10*time.Second, "kernel")
		if _, err := os.Stat(path); err == nil {
			t.Error("what was taken over is still there")
		}
		time.Sleep(time.Second)
		if left, err := filepath.Glob(f.dir + "/import/*"); err != nil || len(left) > 0 {
			t.Errorf("left: %v", left)
		}

		wanted := store.Ref{URL: "http://nobody.test/x", SHA512: digest("by digest")}
		f.Want("b", wanted)
		f.fails(wanted, download.Unreachable)
		f.write("import/some name", "by digest")
		f.ready(wanted, 10*time.Second, "by digest")
	})
}

// TestAWrongFileBroughtByHand is said, and does not keep the right one from being downloaded.
func TestAWrongFileBroughtByHand(t *testing.T) {
	run(t, func(f *fixture) {
		wanted := store.Ref{URL: "http://nobody.test/v1/vmlinuz", SHA512: digest("kernel")}
		path := f.write("import/v1/vmlinuz", "wrong")
		f.Want("a", wanted)
		f.fails(wanted, download.DigestMismatch, path, digest("wrong"))
		f.fails(wanted, download.Unreachable, path, digest("wrong"))
		if _, err := os.Stat(path); err != nil {
			t.Errorf("somebody's file is gone: %v", err)
		}
		f.write("import/v1/vmlinuz", "kernel")
		f.ready(wanted, time.Hour, "kernel")

		online := store.Ref{URL: address, SHA512: digest("kernel")}
		f.server.set("/v1/vmlinuz", "kernel")
		f.write("import/v1/vmlinuz", "wrong again")
		f.Want("b", store.Ref{URL: host + "/v2/initramfs.xz"})
		must(t, os.RemoveAll(f.dir+"/blobs/"+digest("kernel")))
		f.Want("a", online)
		f.ready(online, time.Hour, "kernel")
	})
}

func TestAFileBroughtByHandWaitsForRoom(t *testing.T) {
	free := int64(0)
	run(t, func(f *fixture) {
		wanted := store.Ref{URL: "http://nobody.test/v1/vmlinuz"}
		f.write("import/v1/vmlinuz", "kernel")
		f.Want("a", wanted)
		f.fails(wanted, download.DiskFull, "import/v1/vmlinuz")
		free = 1 << 40
		f.ready(wanted, time.Hour, "kernel")
	}, func(c *download.Config) { c.Free = func() (int64, error) { return free, nil } })
}

func TestAFileBroughtByHandThatCannotBeRead(t *testing.T) {
	run(t, func(f *fixture) {
		must(t, os.RemoveAll(f.dir+"/import"))
		f.write("import", "is no folder")
		f.server.set("/v1/vmlinuz", "kernel")
		f.Want("a", ref, store.Ref{URL: "http://nobody.test/x/y"})
		f.ready(ref, time.Second, "kernel")
		f.fails(store.Ref{URL: "http://nobody.test/x/y"}, download.Unreachable, "look for files brought by hand", "not a directory")
	})
}
