package openipmi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bougou/go-ipmi/pkg/open"

	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
)

// deviceTimeout is how long the kernel is given when the context gives no end. It gives up on a BMC by itself after about as
// long.
const deviceTimeout = 15 * time.Second

// ErrNoDevice is in the error of Open when the kernel has no IPMI device.
var ErrNoDevice = errors.New("the kernel has no IPMI device")

// Device is the kernel's IPMI device, by which a machine reaches its own BMC.
type Device struct {
	backend open.Backend
	// busy is held by the command that the kernel has.
	busy chan struct{}
}

// Open opens the first device.
func Open(ctx context.Context) (*Device, error) {
	backend := &open.DeviceBackend{}
	if err := backend.Connect(ctx, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDevice, err)
	}
	return New(backend), nil
}

// New is the device of a backend that is connected.
func New(backend open.Backend) *Device {
	return &Device{backend, make(chan struct{}, 1)}
}

// Exchange sends a command. The kernel does not give it back before it is done, so when the context ends it is left behind
// and the device is of no use until then.
func (d *Device) Exchange(ctx context.Context, request lan.Request) ([]byte, error) {
	select {
	case d.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	timeout := deviceTimeout
	if end, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(end))
	}
	type result struct {
		answer []byte
		err    error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-d.busy }()
		began := time.Now()
		answer, err := d.backend.Send(ctx, &open.Request{NetFn: uint8(request.Command.NetFn), Cmd: request.Command.ID, Data: request.Data}, max(timeout, time.Millisecond))
		if err != nil && time.Since(began) >= timeout {
			err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
		}
		done <- result{answer, err}
	}()
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", request.Command.Name, ctx.Err())
	case result := <-done:
		if result.err == nil && len(result.answer) == 0 {
			result.err = errors.New("the kernel's answer is empty")
		}
		if result.err != nil {
			return nil, fmt.Errorf("%s: %w", request.Command.Name, result.err)
		}
		return result.answer, nil
	}
}

// Close closes the device, when the kernel has given back what it has.
func (d *Device) Close(ctx context.Context) error {
	select {
	case d.busy <- struct{}{}:
		return d.backend.Close(ctx)
	case <-ctx.Done():
	}
	go func() {
		d.busy <- struct{}{}
		_ = d.backend.Close(context.Background()) // nobody waits any more
	}()
	return ctx.Err()
}
