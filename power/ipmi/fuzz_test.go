package ipmi

import (
	"context"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
)

// parrot is a BMC that answers everything with the same.
type parrot []byte

func (p parrot) Exchange(context.Context, lan.Request) ([]byte, error) {
	return append([]byte{p[0]}, p[1:]...), nil
}

func (p parrot) Close(context.Context) error { return nil }

// FuzzAnswers: whatever a BMC answers to commands, calls come to an end.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte{0, 1, 0, 0})
	f.Add([]byte{0, 1, 5, 0x80, 4, 0, 0, 0})
	f.Add([]byte{0, 0x20, 1, 2, 0x34, 2, 0x80, 0xf2, 0x1b, 0, 1, 0})
	f.Add([]byte{0xc1})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if len(answer) == 0 {
			return // links do not let that through
		}
		call := func(do func(*Driver) error) error {
			driver, err := New(Config{Interface: Open})
			if err != nil {
				t.Fatal(err)
			}
			driver.link, driver.used = parrot(answer), time.Now()
			return do(driver)
		}
		var state power.State
		err := call(func(d *Driver) (err error) { state, err = d.State(t.Context()); return err })
		if (state == power.Unknown) != (err != nil) {
			t.Errorf("state %s, %v", state, err)
		}
		_ = call(func(d *Driver) error { _, err := d.Device(t.Context()); return err })
		_ = call(func(d *Driver) error { return d.BootFromNetwork(t.Context(), power.UEFI) })
		_ = call(func(d *Driver) error { return d.Off(t.Context()) })
		_ = call(func(d *Driver) error { return d.Cycle(t.Context()) })
	})
}
