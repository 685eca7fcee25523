package ipmi

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bougou/go-ipmi/pkg/open"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/openipmi"
)

// kernel is an IPMI device whose answers the test gives.
type kernel struct {
	answer func(*open.Request) ([]byte, error)
	takes  time.Duration
	closed bool
}

func (k *kernel) Connect(context.Context, int32) error { return nil }
func (k *kernel) Close(context.Context) error          { k.closed = true; return nil }

// Send does as the kernel does: it does not look at the context.
func (k *kernel) Send(_ context.Context, request *open.Request, timeout time.Duration) ([]byte, error) {
	time.Sleep(min(k.takes, timeout))
	if k.takes > timeout {
		return nil, errors.New("timeout")
	}
	return k.answer(request)
}

func inBand(t *testing.T, k *kernel) *Driver {
	t.Helper()
	driver, err := New(Config{Interface: Open})
	if err != nil {
		t.Fatal(err)
	}
	driver.link, driver.used = openipmi.New(k), time.Now()
	return driver
}

func TestOpen(t *testing.T) {
	const chassis = 0
	sent := [][]byte{}
	driver := inBand(t, &kernel{answer: func(r *open.Request) ([]byte, error) {
		sent = append(sent, append([]byte{r.NetFn, r.Cmd}, r.Data...))
		if r.Cmd == 1 {
			return []byte{0, 0, 0, 0}, nil
		}
		return []byte{0}, nil
	}})
	if state, err := driver.State(t.Context()); state != power.Off || err != nil {
		t.Errorf("%s, %v", state, err)
	}
	if err := driver.On(t.Context()); err != nil {
		t.Error(err)
	}
	if want := [][]byte{{chassis, 1}, {chassis, 1}, {chassis, 2, 1}}; !slices.EqualFunc(sent, want, slices.Equal[[]byte]) {
		t.Errorf("sent %x, want %x", sent, want)
	}
}

func TestOpenErrors(t *testing.T) {
	failure := errors.New("no such device")
	for name, answer := range map[string]func(*open.Request) ([]byte, error){
		"fails":   func(*open.Request) ([]byte, error) { return nil, failure },
		"empty":   func(*open.Request) ([]byte, error) { return nil, nil },
		"refuses": func(*open.Request) ([]byte, error) { return []byte{0xc1}, nil },
		"short":   func(*open.Request) ([]byte, error) { return []byte{0, 1}, nil },
	} {
		k := &kernel{answer: answer}
		if state, err := inBand(t, k).State(t.Context()); state != power.Unknown || err == nil {
			t.Errorf("%s: %s, %v", name, state, err)
		}
	}
}

// TestOpenHangs: a call ends with its context also when the kernel does not give back what it has.
func TestOpenHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{takes: 12 * time.Second, answer: func(*open.Request) ([]byte, error) { return []byte{0, 1, 0, 0}, nil }}
		driver := inBand(t, k)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		begin := time.Now()
		if _, err := driver.State(ctx); !errors.Is(err, context.Canceled) || time.Since(begin) > 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if !k.closed {
			t.Error("the device is not closed when the kernel has given it back")
		}
	})
}

// TestOpenSilent: what the kernel cannot get from the BMC in time is told as such.
func TestOpenSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device := openipmi.New(&kernel{takes: time.Minute})
		begin := time.Now()
		_, err := device.Exchange(t.Context(), lan.Request{Command: types.CommandGetChassisStatus})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 15*time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}
