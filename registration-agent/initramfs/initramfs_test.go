package initramfs_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs/initramfstest"
)

func TestSelectModules(t *testing.T) {
	fs := initramfstest.Tree(map[string][]byte{
		"kernel/drivers/net/virtio_net.ko":   initramfstest.Module("alias=virtio:d00000001v*", "license=GPL", "depends=net-failover,crc-ccitt", "softdep=pre: failover absent post: other"),
		"kernel/drivers/net/net_failover.ko": initramfstest.Module("depends="),
		"kernel/net/core/failover.ko":        initramfstest.Module("depends="),
		"kernel/drivers/net/other.ko":        initramfstest.Module("depends=crc32", "softdep=post: virtio-net"),
		"kernel/lib/crc32.ko":                initramfstest.Module("depends=", "softdep=pre: crc32c"),
		"kernel/crypto/crc32c_generic.ko":    initramfstest.Module("depends="),
		"kernel/drivers/net/mlx4_core.ko":    initramfstest.Module("depends=", "firmware=mlx4/a.bin", "firmware=mlx4/b.bin"),
		"kernel/drivers/net/mlx4_en.ko":      initramfstest.Module("depends=mlx4_core"),
		"kernel/README":                      []byte("no module"),
	})
	first, err := initramfs.Select(initramfs.Choice{Tree: fs, Wanted: []string{"net_failover"}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := initramfs.Select(initramfs.Choice{
		Tree: fs, Wanted: []string{"virtio_net", "crc_ccitt", "mlx4_core"}, Present: first, Implied: map[string]string{"mlx4_core": "post: mlx4_en"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var names []string
	for _, m := range second {
		names = append(names, m.Name)
		got[m.Name] = fmt.Sprint(m.File, m.Needs, m.Then, m.Aliases, m.Firmware)
	}
	want := map[string]string{
		"crc32":          "crc32.ko[crc32c_generic] [] [] []",
		"crc32c_generic": "crc32c_generic.ko[] [] [] []",
		"failover":       "failover.ko[] [] [] []",
		"mlx4_core":      "mlx4_core.ko[] [mlx4_en] [] [mlx4/a.bin mlx4/b.bin]",
		"mlx4_en":        "mlx4_en.ko[mlx4_core] [] [] []",
		"other":          "other.ko[crc32] [virtio_net] [] []",
		"virtio_net":     "virtio_net.ko[net_failover failover] [other] [virtio:d00000001v*] []",
	}
	if !maps.Equal(got, want) || !slices.IsSorted(names) {
		t.Errorf("chose %v, want %v", got, want)
	}
	for name, test := range map[string]struct {
		wanted string
		fs     fstest.MapFS
		err    string
	}{
		"not in this kernel": {"absent", fs, "no module absent"},
		"need missing":       {"a", initramfstest.Tree(map[string][]byte{"kernel/a.ko": initramfstest.Module("depends=b")}), "no module b"},
		"not ELF":            {"a", initramfstest.Tree(map[string][]byte{"kernel/a.ko": bytes.Repeat([]byte("#!/bin/sh\n"), 100)}), "bad magic"},
		"no kernel":          {"a", fstest.MapFS{}, "list modules"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := initramfs.Select(initramfs.Choice{Tree: test.fs, Wanted: []string{test.wanted}}); err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want one with %q", err, test.err)
			}
		})
	}
}

func TestCompress(t *testing.T) {
	content := bytes.Repeat([]byte("some content of a kernel module\n"), 100_000)
	first, err := initramfs.Compress(content)
	if err != nil {
		t.Fatal(err)
	}
	second, err := initramfs.Compress(content)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same content has two forms, %v", err)
	}
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	if read, err := decoder.DecodeAll(first, nil); err != nil || !bytes.Equal(read, content) {
		t.Errorf("it does not read back: %v", err)
	}
	var header zstd.Header
	// The kernel's decoder refuses windows of more than 128 MiB.
	if err := header.Decode(first); err != nil || header.WindowSize > 8<<20 && !header.SingleSegment {
		t.Errorf("header is %+v, %v", header, err)
	}
}
