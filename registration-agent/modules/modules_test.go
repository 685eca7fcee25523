package modules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// drivers is a small copy of the real thing: a PCI disk controller and a PCI network
// card whose driver sits behind a bus of its own.
func drivers() []Module {
	return []Module{
		{Name: "ahci", File: "ahci.ko", Needs: []string{"libata"}, Aliases: []string{"pci:v*d*sv*sd*bc01sc06i01*"}},
		{Name: "libata", File: "libata.ko", Needs: []string{"scsi_mod"}},
		{Name: "scsi_mod", File: "scsi_mod.ko"},
		{Name: "sd_mod", File: "sd_mod.ko", Needs: []string{"scsi_mod"}, Aliases: []string{"scsi:t-0x00*"}},
		{Name: "virtio_pci", File: "virtio_pci.ko", Aliases: []string{"pci:v00001AF4d*sv*sd*bc*sc*i*"}},
		{Name: "virtio_net", File: "virtio_net.ko", Aliases: []string{"virtio:d00000001v*"}},
	}
}

const (
	pciVirtioNet = "pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00"
	pciAHCI      = "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"
)

func index(t *testing.T, list []Module) Index {
	t.Helper()
	index, err := NewIndex(list)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func TestMatch(t *testing.T) {
	index := index(t, append(drivers(),
		Module{Name: "other", File: "other.ko", Aliases: []string{"pci:v00001AF4d0000104[0-5]sv*", "pci:v00001AF4d0000104?sv*"}},
		Module{Name: "sdhci_acpi", File: "sdhci-acpi.ko", Aliases: []string{"acpi*:80860F14:*"}},
		Module{Name: "mmc_block", File: "mmc_block.ko", Aliases: []string{"mmc:block", "block-major-179-*"}}))
	for modalias, want := range map[string][]string{
		pciVirtioNet:                {"other", "virtio_pci"},
		pciAHCI:                     {"ahci"},
		"virtio:d00000001v00001AF4": {"virtio_net"},
		"virtio:d00000002v00001AF4": nil,
		"scsi:t-0x00":               {"sd_mod"},
		"scsi:t-0x05":               nil,
		"acpi:80860F14:INT33BB:":    {"sdhci_acpi"},
		"acpi:80860F15:":            nil,
		"mmc:block":                 {"mmc_block"},
		"mmc:sdio":                  nil,
		"block-major-179-0":         nil,
		"usb:v1D6Bp0002":            nil,
		"":                          nil,
		"pci:v00001AF4d00001041":    nil,
	} {
		if got := index.Match(modalias); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", modalias, got, want)
		}
	}
}

func TestFormatParse(t *testing.T) {
	list := append(drivers(), Module{Name: "ipmi_msghandler", File: "ipmi_msghandler.ko", Then: []string{"ipmi_devintf", "ahci"}}, Module{Name: "ipmi_devintf", File: "ipmi_devintf.ko"})
	read, err := Parse(Format(list))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range list {
		got := read.modules[want.Name]
		if got.File != want.File || !slices.Equal(got.Needs, want.Needs) || !slices.Equal(got.Then, want.Then) || !slices.Equal(got.Aliases, want.Aliases) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// TestRead has two initramfs, the second of which needs the first.
func TestRead(t *testing.T) {
	root := fstest.MapFS{
		IndexFile("initramfs"): {Data: Format(drivers())},
		IndexFile("drivers"):   {Data: Format([]Module{{Name: "mpt3sas", File: "mpt3sas.ko", Needs: []string{"scsi_mod"}, Aliases: []string{"pci:v00001000d*"}}})},
		"modules/mpt3sas.ko":   {Data: []byte("no index")},
	}
	both, err := Read(root)
	if err != nil || len(both.modules) != len(drivers())+1 || !slices.Equal(both.Match("pci:v00001000d00000097sv"), []string{"mpt3sas"}) {
		t.Errorf("read %+v, %v", both, err)
	}
	delete(root, IndexFile("initramfs"))
	if _, err := Read(root); err == nil || !strings.Contains(err.Error(), "scsi_mod") {
		t.Errorf("the second alone: %v", err)
	}
	if _, err := Read(fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), "there is no modules/*.index") {
		t.Errorf("none: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, err string }{
		"unknown line":         {"driver a a.ko", "neither"},
		"module without file":  {"module a", "neither"},
		"alias without module": {"alias a pci:*", "neither"},
		"alias of another":     {"module a a.ko\nalias b pci:*", "neither"},
		"twice":                {"module a a.ko\nmodule a b.ko", "twice"},
		"file in a directory":  {"module a ../a.ko", "do not make a module"},
		"need missing":         {"module a a.ko b", "not there"},
		"needs itself":         {"module a a.ko b\nmodule b b.ko c\nmodule c c.ko a", "needs itself"},
		"then without module":  {"then a b", "neither"},
		"then of another":      {"module a a.ko\nthen b a", "neither"},
		"then missing":         {"module a a.ko\nthen a b", "followed by b"},
		"broken pattern":       {"module a a.ko\nalias a pci:[", "syntax error"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want one with %q", err, test.err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(string(Format(drivers())), pciVirtioNet)
	f.Add("module a a.ko b\nmodule b b.ko a\n", "pci:")
	f.Add("module a a.ko\nthen a a\nalias a acpi*:[a-z]?\\", "acpi:x")
	f.Fuzz(func(t *testing.T, text, modalias string) {
		index, err := Parse([]byte(text))
		if err != nil {
			return
		}
		for _, name := range index.Match(modalias) {
			if _, found := index.modules[name]; !found {
				t.Errorf("matched %q, which is not in the index", name)
			}
		}
	})
}

// kernel is a fake: loading virtio_pci and ahci makes devices appear behind them.
type kernel struct {
	mu     sync.Mutex
	sys    fstest.MapFS
	loaded []string
	fail   map[string]error
}

func (k *kernel) insert(file string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.fail[file]; err != nil {
		return err
	}
	k.loaded = append(k.loaded, file)
	appear := map[string][2]string{
		"virtio_pci.ko": {"bus/virtio/devices/virtio0/modalias", "virtio:d00000001v00001AF4\n"},
		"ahci.ko":       {"bus/scsi/devices/0:0:0:0/modalias", "scsi:t-0x00\n"},
	}
	if device, found := appear[file]; found {
		k.grow(device[0], device[1])
	}
	return nil
}

func (k *kernel) grow(file, text string) {
	grown := maps.Clone(k.sys)
	grown[file] = &fstest.MapFile{Data: []byte(text)}
	k.sys = grown
}

// appear makes a device.
func (k *kernel) appear(file, text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.grow(file, text)
}

// Open makes kernel an fs.FS that may change between calls.
func (k *kernel) Open(name string) (fs.File, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sys.Open(name)
}

func newKernel() *kernel {
	return &kernel{sys: fstest.MapFS{
		"bus/pci/devices/0000:00:01.0/modalias": {Data: []byte(pciVirtioNet + "\n")},
		"bus/pci/devices/0000:00:02.0/modalias": {Data: []byte(pciVirtioNet + "\n")},
		"bus/pci/devices/0000:00:1f.2/modalias": {Data: []byte(pciAHCI + "\n")},
		"bus/pci/devices/0000:00:00.0/uevent":   {Data: []byte("no modalias here\n")},
		"bus/virtio/devices":                    {Mode: fs.ModeDir | 0o755},
		"bus/acpi/devices/x/modalias":           {Data: []byte("acpi:PNP0A08:\n")},
	}}
}

func (k *kernel) loader(t *testing.T) *Loader {
	return NewLoader(Config{Index: index(t, drivers()), Sys: k, Insert: k.insert, Patience: time.Minute, Logger: slog.New(slog.DiscardHandler)})
}

func TestSettle(t *testing.T) {
	k := newKernel()
	loader := k.loader(t)
	if err := loader.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, order := range [][2]string{{"scsi_mod.ko", "libata.ko"}, {"libata.ko", "ahci.ko"}, {"ahci.ko", "sd_mod.ko"}, {"virtio_pci.ko", "virtio_net.ko"}} {
		first, second := slices.Index(k.loaded, order[0]), slices.Index(k.loaded, order[1])
		if first < 0 || second < 0 || first > second {
			t.Errorf("%s was not loaded before %s: %v", order[0], order[1], k.loaded)
		}
	}
	if len(k.loaded) != len(drivers()) {
		t.Errorf("loaded %v, want each of %d modules once", k.loaded, len(drivers()))
	}
	if err := loader.Settle(t.Context()); err != nil || len(k.loaded) != len(drivers()) {
		t.Errorf("settling again loaded %v, %v", k.loaded, err)
	}
}

func TestSettleGoesOnAfterAFailure(t *testing.T) {
	k := newKernel()
	k.fail = map[string]error{"libata.ko": errors.New("key was rejected by service")}
	if err := k.loader(t).Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(k.loaded, "ahci.ko") || !slices.Contains(k.loaded, "virtio_net.ko") {
		t.Errorf("loaded %v", k.loaded)
	}
}

func TestSettleStops(t *testing.T) {
	k := newKernel()
	ctx, cancel := context.WithCancel(t.Context())
	stuck, release := make(chan struct{}, 8), make(chan struct{})
	defer close(release)
	loader := k.loader(t)
	loader.Insert = func(string) error {
		stuck <- struct{}{}
		<-release
		return nil
	}
	done := make(chan error)
	go func() { done <- loader.Settle(ctx) }()
	<-stuck
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a stuck driver holds up the end")
	}
}

// TestSettleGivesUpOnAHangingDriver has a driver that answers after the patience is
// over: what sits behind it appears with a later call.
func TestSettleGivesUpOnAHangingDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		var log bytes.Buffer
		loader := k.loader(t)
		loader.Logger = slog.New(slog.NewTextHandler(&log, nil))
		release := make(chan struct{})
		loader.Insert = func(file string) error {
			if file == "libata.ko" {
				<-release
			}
			return k.insert(file)
		}
		began := time.Now()
		settle := func(took time.Duration) {
			t.Helper()
			from := time.Now()
			if err := loader.Settle(t.Context()); err != nil || time.Since(from) != took {
				t.Errorf("settled after %s, want %s: %v", time.Since(from), took, err)
			}
		}
		settle(time.Minute)
		if !strings.Contains(log.String(), `module="ahci libata"`) || strings.Contains(log.String(), "drivers loaded") {
			t.Errorf("log is %s", log.String())
		}
		if !slices.Contains(k.loaded, "virtio_net.ko") || slices.Contains(k.loaded, "ahci.ko") {
			t.Errorf("loaded %v", k.loaded)
		}
		settle(0) // nobody waits for it twice
		close(release)
		synctest.Wait()
		settle(0)
		if !slices.Contains(k.loaded, "sd_mod.ko") || time.Since(began) != time.Minute {
			t.Errorf("loaded %v after %s", k.loaded, time.Since(began))
		}
	})
}

// TestSettleAfterACutShortOne waits for what the earlier call had begun.
func TestSettleAfterACutShortOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		loader := k.loader(t)
		release := make(chan struct{})
		loader.Insert = func(file string) error {
			<-release
			return k.insert(file)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := loader.Settle(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		time.AfterFunc(10*time.Second, func() { close(release) })
		from := time.Now()
		if err := loader.Settle(t.Context()); err != nil || time.Since(from) != 10*time.Second || len(k.loaded) != len(drivers()) {
			t.Errorf("loaded %v after %s, %v", k.loaded, time.Since(from), err)
		}
	})
}

func TestSettleSurvivesAPanic(t *testing.T) {
	k := newKernel()
	loader := k.loader(t)
	loader.Insert = func(file string) error {
		if file == "libata.ko" {
			panic("index out of range")
		}
		return k.insert(file)
	}
	if err := loader.Settle(t.Context()); err != nil || !slices.Contains(k.loaded, "virtio_net.ko") {
		t.Errorf("loaded %v, %v", k.loaded, err)
	}
	if err := loader.Load("ahci"); err == nil || !strings.Contains(err.Error(), "panic: index out of range") {
		t.Errorf("what needs it: %v", err)
	}
}

func TestSettleSaysWhatIsNewOnly(t *testing.T) {
	k := newKernel()
	var log bytes.Buffer
	loader := k.loader(t)
	loader.Logger = slog.New(slog.NewTextHandler(&log, nil))
	for range 3 {
		if err := loader.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if count := strings.Count(log.String(), "drivers loaded"); count != 1 {
		t.Errorf("said %d times: %s", count, log.String())
	}
}

// TestSettleLoadsWhatFollows has a module that no device asks for: it is loaded after
// another one, which does not wait for it.
func TestSettleLoadsWhatFollows(t *testing.T) {
	k := newKernel()
	list := append(drivers(), Module{Name: "ipmi_devintf", File: "ipmi_devintf.ko", Needs: []string{"virtio_pci"}})
	for i := range list {
		if list[i].Name == "virtio_pci" {
			list[i].Then = []string{"ipmi_devintf", "ahci"}
		}
	}
	loader := k.loader(t)
	loader.Index = index(t, list)
	if err := loader.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, second := slices.Index(k.loaded, "virtio_pci.ko"), slices.Index(k.loaded, "ipmi_devintf.ko")
	if first < 0 || second < first || len(k.loaded) != len(list) {
		t.Errorf("loaded %v", k.loaded)
	}
}

// TestSettleWaitsForGradualBuses plugs devices in one behind the other, as the kernel
// finds them on USB: a hub, a disk at it, the card in a reader.
func TestSettleWaitsForGradualBuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.appear("bus/usb/devices/usb1/uevent", "DEVTYPE=usb_device\n")
		loader := k.loader(t)
		loader.Quiet = 2 * time.Second
		loader.Index = index(t, append(drivers(),
			Module{Name: "usb_storage", File: "usb-storage.ko", Aliases: []string{"usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*"}},
			Module{Name: "mmc_block", File: "mmc_block.ko", Aliases: []string{"mmc:block"}}))
		time.AfterFunc(1900*time.Millisecond, func() {
			k.appear("bus/usb/devices/1-1:1.0/modalias", "usb:v0781p5583d0100dc00dsc00dp00ic08isc06ip50in00\n")
		})
		time.AfterFunc(3800*time.Millisecond, func() {
			k.appear("bus/mmc/devices/mmc0:0001/uevent", "DRIVER=\nMMC_TYPE=SD\nMODALIAS=mmc:block\n")
		})
		time.AfterFunc(6500*time.Millisecond, func() {
			k.appear("bus/usb/devices/1-2:1.0/modalias", "usb:too late\n")
		})
		from := time.Now()
		if err := loader.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(from); took < 5800*time.Millisecond || took > 6400*time.Millisecond {
			t.Errorf("settled after %s, want 2 s after the last device", took)
		}
		if !slices.Contains(k.loaded, "usb-storage.ko") || !slices.Contains(k.loaded, "mmc_block.ko") {
			t.Errorf("loaded %v", k.loaded)
		}
	})
}

// TestSettleEndsWhenDevicesNeverDo has a device that drops off its bus and comes back.
func TestSettleEndsWhenDevicesNeverDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		loader := k.loader(t)
		loader.Quiet = 2 * time.Second
		loader.Index = index(t, append(drivers(), Module{Name: "cdc_ether", File: "cdc_ether.ko", Aliases: []string{"usb:*"}}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			again := time.NewTicker(time.Second)
			defer again.Stop()
			for i := 0; ; i++ {
				k.appear(fmt.Sprintf("bus/usb/devices/1-1.%d/uevent", i), "")
				select {
				case <-again.C:
				case <-ctx.Done():
					return
				}
			}
		}()
		from := time.Now()
		if err := loader.Settle(ctx); err != nil || time.Since(from) != loader.Patience {
			t.Errorf("settled after %s, want %s: %v", time.Since(from), loader.Patience, err)
		}
	})
}

func TestLoadUnknown(t *testing.T) {
	if err := newKernel().loader(t).Load("nothing"); err == nil {
		t.Error("a module that is not in the image was loaded")
	}
}
