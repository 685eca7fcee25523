//go:build images

// These tests look at the real images: go test -tags images ./assets, after "make images".

package assets_test

import (
	"bytes"
	"debug/pe"
	"io"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/assets"
)

func readBootFile(t *testing.T, catalogue *assets.Catalogue, name string) []byte {
	t.Helper()
	file, err := catalogue.BootFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(content(t, file))
}

// TestBootFilesAreForTheirMachine guards against a 64-bit boot file under a name that goes to another processor.
func TestBootFilesAreForTheirMachine(t *testing.T) {
	catalogue := open(t, assets.Embedded(), t.TempDir())
	for name, want := range map[string]uint16{
		"snp.efi":        pe.IMAGE_FILE_MACHINE_AMD64,
		"snponly.efi":    pe.IMAGE_FILE_MACHINE_AMD64,
		"ipxe.efi":       pe.IMAGE_FILE_MACHINE_AMD64,
		"snp-arm64.efi":  pe.IMAGE_FILE_MACHINE_ARM64,
		"ipxe-arm64.efi": pe.IMAGE_FILE_MACHINE_ARM64,
	} {
		image, err := pe.NewFile(bytes.NewReader(readBootFile(t, catalogue, name)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		const efiApplication = 10 // IMAGE_SUBSYSTEM_EFI_APPLICATION, PE format, "Windows subsystem"
		header, ok := image.OptionalHeader.(*pe.OptionalHeader64)
		if image.Machine != want || !ok || header.Subsystem != efiApplication {
			t.Errorf("%s: machine %#x, want %#x, as a 64-bit EFI application", name, image.Machine, want)
		}
	}
}

// TestUndionlyIsANetworkBootProgram: a PXE ROM loads the file to 0:7C00 and jumps to its first byte (PXE 2.1 section
// 4.4.5), where iPXE has a jump over its header.
func TestUndionlyIsANetworkBootProgram(t *testing.T) {
	program := readBootFile(t, open(t, assets.Embedded(), t.TempDir()), "undionly.kpxe")
	const lowMemory = 0x9fc00 - 0x7c00
	if len(program) > lowMemory {
		t.Errorf("%d bytes do not fit below 640 KiB", len(program))
	}
	// 0xEA: far jump, which sets CS whatever segment the ROM used.
	if program[0] != 0xea {
		t.Errorf("starts with %#x, want a far jump", program[0])
	}
}

func TestKernelIsABzImageWithAnEFIStub(t *testing.T) {
	file, err := open(t, assets.Embedded(), t.TempDir()).EnvironmentFile("agent-amd64", "vmlinuz")
	if err != nil {
		t.Fatal(err)
	}
	kernel := []byte(content(t, file))
	// Linux/x86 boot protocol: signature at 0x202.
	if string(kernel[0x202:0x206]) != "HdrS" {
		t.Errorf("no boot protocol header: %q", kernel[0x202:0x206])
	}
	image, err := pe.NewFile(bytes.NewReader(kernel))
	if err != nil || image.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
		t.Errorf("no EFI stub for x64: %v", err)
	}
}

// TestDigestsAreTrue reads what a start does not.
func TestDigestsAreTrue(t *testing.T) {
	catalogue := open(t, assets.Embedded(), t.TempDir())
	var files []assets.File
	for _, name := range catalogue.BootFiles() {
		file, err := catalogue.BootFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	for _, name := range []string{"vmlinuz", "initramfs.xz", "drivers.zst", "firmware-nonfree.copyright", "linux-signed-amd64.copyright"} {
		file, err := catalogue.EnvironmentFile("agent-amd64", name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	for _, file := range files {
		if got := digest(content(t, file)); got != file.Digest {
			t.Errorf("%s: digest %s, manifest says %s", file.Name, got, file.Digest)
		}
	}
}

func TestEmbeddedFilesSeek(t *testing.T) {
	file, err := open(t, assets.Embedded(), t.TempDir()).BootFile("snp.efi")
	if err != nil {
		t.Fatal(err)
	}
	reader, err := file.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if end, err := reader.Seek(0, io.SeekEnd); err != nil || end != file.Size {
		t.Errorf("end at %d, want %d: %v", end, file.Size, err)
	}
}

func TestVersionsOfRealImages(t *testing.T) {
	versions, err := assets.Versions(assets.Embedded())
	if err != nil {
		t.Fatal(err)
	}
	if len(versions) != 2 {
		t.Fatalf("got %d images", len(versions))
	}
	for _, image := range versions {
		for _, pkg := range image.Packages {
			if pkg.Name == "" || pkg.Version == "" || pkg.Source == "" || pkg.SHA256 == "" {
				t.Errorf("%s: %+v", image.Name, pkg)
			}
		}
		if want := map[string]int{"agent-amd64": 7, "ipxe": 1}[image.Name]; len(image.Packages) != want {
			t.Errorf("%s: %d packages, want %d", image.Name, len(image.Packages), want)
		}
	}
}
