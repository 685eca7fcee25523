package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs"
)

const copyrightFile = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Files-Excluded:
# a comment: with a colon
 vxge/X3fw*.ncf

Files: debian/*
License: GPL-2+
 This package is free software: you may

Files: tigon/tg3*.bin
Copyright: 2000-2003, Broadcom Corporation.
License: binary-redist-firmware

Files: rtl_nic/*
License: binary-redist-Realtek-permissive

Files: rtl_nic/rtl8153?-2.fw
 rtl_bt/*
License: binary-redist-Realtek-restrictive
 All rights reserved.
 .
 Files: none of this is a field

License: binary-redist-firmware
 Permission is hereby granted.
`

func TestLicenceIn(t *testing.T) {
	for file, want := range map[string]string{
		"tigon/tg3_tso.bin":     "binary-redist-firmware",
		"tigon/tg3xbin":         "",
		"rtl_nic/rtl8168.fw":    "binary-redist-Realtek-permissive",
		"rtl_nic/a/b.fw":        "binary-redist-Realtek-permissive",
		"rtl_nic/rtl8153a-2.fw": "binary-redist-Realtek-restrictive",
		"rtl_bt/x":              "binary-redist-Realtek-restrictive",
		"vxge/X3fw1.ncf":        "",
		"none":                  "",
		"":                      "",
	} {
		if got := licenceIn(copyrightFile, file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

func FuzzLicenceIn(f *testing.F) {
	f.Add(copyrightFile, "tigon/tg3.bin")
	f.Add("Files: *\nLicense: a\n\nFiles: \\*[\n", "\\x[")
	f.Fuzz(func(t *testing.T, text, file string) {
		if licence := licenceIn(text, file); !strings.Contains(text, licence) || strings.Contains(licence, "\n") {
			t.Errorf("licence %q is not in the text", licence)
		}
	})
}

// firmwarePackage is an unpacked package of one file.
func firmwarePackage(t *testing.T) debian.Package {
	t.Helper()
	pkg := debian.Package{Entry: debian.Entry{Name: "firmware-misc", Source: "firmware-nonfree", Version: "1-2"}, Dir: t.TempDir()}
	write(t, filepath.Join(pkg.Dir, "usr/share/doc/firmware-misc/copyright"), copyrightFile)
	write(t, filepath.Join(pkg.Dir, "usr/lib/firmware/tigon/tg3.bin"), "code")
	return pkg
}

func TestSelectFirmware(t *testing.T) {
	pkg := firmwarePackage(t)
	firmware := filepath.Join(pkg.Dir, "usr/lib/firmware")
	write(t, filepath.Join(firmware, "elsewhere/unread.bin"), "code")
	for link, target := range map[string]string{"tg3-link.bin": "tigon/tg3.bin", "out.bin": "../../share/doc/firmware-misc/copyright"} {
		if err := os.Symlink(target, filepath.Join(firmware, link)); err != nil {
			t.Fatal(err)
		}
	}
	packages := []debian.Package{{Entry: debian.Entry{Name: "empty"}, Dir: t.TempDir()}, pkg}
	choose := func(names ...string) ([]firmwareFile, error) {
		return selectFirmware([]initramfs.Module{{}, {Firmware: names}, {Firmware: names}}, packages)
	}

	files, err := choose("tigon/tg3.bin", "isci/isci_firmware.bin", "tg3-link.bin")
	if err != nil || len(files) != 2 {
		t.Fatalf("chose %+v, %v", files, err)
	}
	for i, name := range []string{"tg3-link.bin", "tigon/tg3.bin"} {
		if file := files[i]; file.Name != name || string(file.content) != "code" || file.Package != "firmware-misc" || file.Licence != "binary-redist-firmware" {
			t.Errorf("file %d is %+v", i, file)
		}
	}
	for name, want := range map[string]string{
		"tigon/none.bin":       "no package has tigon/none.bin",
		"elsewhere/unread.bin": `the licence of elsewhere/unread.bin is ""`,
		"out.bin":              "a link out of",
		"tigon":                "is a directory",
	} {
		if _, err := choose(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", name, err, want)
		}
	}
}

func TestCopyrights(t *testing.T) {
	pkg := firmwarePackage(t)
	files, err := copyrights([]debian.Package{pkg, pkg})
	if err != nil || len(files) != 1 || files[0].Name != "firmware-nonfree.copyright" || string(files[0].Data) != copyrightFile {
		t.Errorf("got %+v, %v", files, err)
	}
	if _, err := copyrights([]debian.Package{{Entry: debian.Entry{Name: "a", Source: "a"}, Dir: pkg.Dir}}); err == nil {
		t.Error("a package without a copyright file was accepted")
	}
}
