package lab

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestMissingRequirementsNameTheDebianPackage(t *testing.T) {
	nothing := errors.New("not here")
	err := checkRequirements(
		func(string) (string, error) { return "", nothing },
		func(string) (fs.FileInfo, error) { return nil, nothing },
	)
	for _, debian := range []string{"qemu-system-x86", "dnsmasq-base", "iproute2", "ovmf", "seabios", "ipxe-qemu"} {
		if err == nil || !strings.Contains(err.Error(), "install the Debian package "+debian) {
			t.Errorf("%v: want the package %s named", err, debian)
		}
	}
	all := func(string) (string, error) { return "", nil }
	if err := checkRequirements(all, func(string) (fs.FileInfo, error) { return nil, nil }); err != nil {
		t.Errorf("nothing is missing: %v", err)
	}
}

func TestEachRequirementIsReportedAlone(t *testing.T) {
	err := checkRequirements(
		func(name string) (string, error) {
			if name == "dnsmasq" {
				return "", exec.ErrNotFound
			}
			return name, nil
		},
		func(string) (fs.FileInfo, error) { return nil, nil },
	)
	want := "the lab needs the program dnsmasq: install the Debian package dnsmasq-base"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := explainMissing("unheard-of", os.ErrNotExist); !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "Debian") {
		t.Errorf("got %v", err)
	}
}
