//go:build images

// These tests look at the real image: go test -tags images ./registration-agent/image,
// after "make images". What is true of a module they ask Debian's kmod.

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs/initramfstest"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/modules"
)

const images = "../../assets/images/agent-amd64"

// realImage is what the kernel makes of the two initramfs.
type realImage struct {
	files   fstest.MapFS
	index   modules.Index
	release string
	// byName are the modules by the kernel's names of them.
	byName map[string]realModule
	// tree is a folder of lib/modules as depmod leaves it.
	tree string
}

// realModule is a module of the image, by kmod and by the index.
type realModule struct {
	path        string
	needs, then []string
}

func openImage(t *testing.T) realImage {
	t.Helper()
	if _, err := exec.LookPath("depmod"); err != nil {
		t.Fatal("depmod is missing: install the package kmod")
	}
	var manifest manifest
	if err := json.Unmarshal(read(t, filepath.Join(images, "manifest.json")), &manifest); err != nil {
		t.Fatal(err)
	}
	image := realImage{files: fstest.MapFS{}, release: manifest.KernelRelease, byName: map[string]realModule{}, tree: t.TempDir()}
	for _, name := range []string{agentInitramfs, driversInitramfs} {
		found, _ := initramfstest.Unpack(t, decompress(t, read(t, filepath.Join(images, name))))
		for file, content := range found {
			if _, content, isFile := strings.Cut(content, " "); isFile && content != "" {
				image.files[file] = &fstest.MapFile{Data: []byte(content)}
			}
		}
	}
	var err error
	if image.index, err = modules.Read(image.files); err != nil {
		t.Fatal(err)
	}
	image.install(t)
	return image
}

func decompress(t *testing.T, content []byte) []byte {
	t.Helper()
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	content, err = decoder.DecodeAll(content, nil)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// install lays the modules out for kmod, and reads their lines of the index.
func (i realImage) install(t *testing.T) {
	t.Helper()
	folder := filepath.Join(i.tree, "lib", "modules", i.release)
	for name, file := range i.files {
		if strings.HasSuffix(name, ".ko") {
			path := filepath.Join(folder, filepath.Base(name))
			write(t, path, string(file.Data))
			i.byName[initramfs.ModuleName(name)] = realModule{path: path}
		}
	}
	// depmod warns of both when they are missing.
	write(t, filepath.Join(folder, "modules.order"), "")
	write(t, filepath.Join(folder, "modules.builtin"), "")
	i.kmod(t, "depmod", "-b", i.tree, i.release)
	for _, name := range []string{"agent", "drivers"} {
		for line := range strings.Lines(string(i.files[modules.IndexFile(name)].Data)) {
			field := strings.Fields(line)
			module := i.byName[field[1]]
			switch field[0] {
			case "module":
				module.needs = field[3:]
			case "then":
				module.then = field[2:]
			}
			i.byName[field[1]] = module
		}
	}
}

// kmod runs a program of kmod and returns the lines it prints.
func (i realImage) kmod(t *testing.T, program string, args ...string) []string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, stderr.String())
	}
	return strings.FieldsFunc(string(out), func(char rune) bool { return char == '\n' })
}

func (i realImage) modprobe(t *testing.T, args ...string) []string {
	t.Helper()
	return i.kmod(t, "modprobe", append([]string{"-d", i.tree, "-S", i.release, "-C", "/dev/null"}, args...)...)
}

// closure are all modules that loading one loads.
func (i realImage) closure(name string) []string {
	closure := []string{name}
	for n := 0; n < len(closure); n++ {
		module := i.byName[closure[n]]
		for _, next := range slices.Concat(module.needs, module.then) {
			if !slices.Contains(closure, next) {
				closure = append(closure, next)
			}
		}
	}
	return closure
}

// TestDevicesFindTheirDrivers has a product for each driver, whose modalias leads to it
// by the agent's index and by kmod's.
func TestDevicesFindTheirDrivers(t *testing.T) {
	image := openImage(t)
	proven := map[string]bool{}
	for _, device := range devices() {
		t.Run(device.driver+" "+device.modalias, func(t *testing.T) {
			found := image.index.Match(device.modalias)
			if !slices.Contains(found, device.driver) {
				t.Errorf("%s is driven by %v, want %s", device.product, found, device.driver)
			}
			peer := image.modprobe(t, "-R", device.modalias)
			for n := range peer {
				peer[n] = initramfs.ModuleName(peer[n])
			}
			slices.Sort(peer)
			if peer = slices.Compact(peer); !slices.Equal(peer, found) {
				t.Errorf("%s: modprobe says %v, the index %v", device.product, peer, found)
			}
		})
		for _, name := range image.closure(device.driver) {
			proven[name] = true
		}
	}
	for name := range image.byName {
		if !proven[name] {
			t.Errorf("no device of the table leads to %s", name)
		}
	}
	for _, name := range append(agentModules(), driverModules()...) {
		if !slices.ContainsFunc(devices(), func(d device) bool { return d.driver == name }) {
			t.Errorf("the table has no product for %s", name)
		}
	}
}

// TestModulesAreComplete asks kmod for everything that a module needs.
func TestModulesAreComplete(t *testing.T) {
	image := openImage(t)
	named := map[string]bool{}
	for name, module := range image.byName {
		t.Run(name, func(t *testing.T) {
			info := func(field string) []string { return image.kmod(t, "modinfo", "-F", field, module.path) }
			for _, list := range info("depends") {
				for _, need := range strings.Split(initramfs.ModuleName(list), ",") {
					if !slices.Contains(module.needs, need) {
						t.Errorf("needs %s: the index has %v", need, module.needs)
					}
				}
			}
			// Soft dependencies included.
			for _, line := range image.modprobe(t, "-D", name) {
				file, isModule := strings.CutPrefix(line, "insmod ")
				if need := initramfs.ModuleName(strings.TrimSpace(file)); isModule && !slices.Contains(image.closure(name), need) {
					t.Errorf("modprobe would load %s, the agent %v", need, image.closure(name))
				}
			}
			for _, file := range info("firmware") {
				named[file] = true
				_, spare := spareFirmware()[file]
				if _, there := image.files["lib/firmware/"+file]; there == spare {
					t.Errorf("firmware %s: in the image %t, known to be left out %t", file, there, spare)
				}
			}
			if kernel := strings.Join(info("vermagic"), ""); !strings.HasPrefix(kernel, image.release+" ") {
				t.Errorf("is for the kernel %s, want %s", kernel, image.release)
			}
			// The kernel is told to load no other (module.sig_enforce).
			if len(info("signer")) != 1 {
				t.Error("is not signed")
			}
		})
	}
	for file := range spareFirmware() {
		if !named[file] {
			t.Errorf("no driver names %s", file)
		}
	}
	for file := range image.files {
		if name, isFirmware := strings.CutPrefix(file, "lib/firmware/"); isFirmware && !named[name] {
			t.Errorf("no driver asks for %s", file)
		}
	}
}

// TestDriversThatAskModprobe has what no alias and no dependency says.
func TestDriversThatAskModprobe(t *testing.T) {
	image := openImage(t)
	for name, implied := range map[string]string{
		"mlx4_core": "mlx4_en", "ipmi_si": "ipmi_devintf", "ipmi_ssif": "ipmi_devintf", "tg3": "broadcom", "r8169": "realtek",
		"asix": "ax88796b", "smsc95xx": "smsc", "lan78xx": "microchip", "bnx2x": "crc32c_generic", "sd_mod": "crct10dif_generic",
	} {
		if !slices.Contains(image.closure(name), implied) {
			t.Errorf("%s does not bring %s, but %v", name, implied, image.closure(name))
		}
	}
}

// TestFirstInitramfsStandsAlone boots a virtual machine without the second one.
func TestFirstInitramfsStandsAlone(t *testing.T) {
	found, _ := initramfstest.Unpack(t, decompress(t, read(t, filepath.Join(images, agentInitramfs))))
	_, index, _ := strings.Cut(found[modules.IndexFile("agent")], " ")
	if _, err := modules.Parse([]byte(index)); err != nil {
		t.Error(err)
	}
	for file := range found {
		if strings.HasPrefix(file, "lib/firmware") {
			t.Errorf("%s is not free, it belongs into %s", file, driversInitramfs)
		}
	}
	if _, err := os.Stat(filepath.Join(images, "firmware-nonfree.copyright")); err != nil {
		t.Error(err)
	}
}
