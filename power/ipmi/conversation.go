package ipmi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/openipmi"
)

// link is a way to a BMC.
type link interface {
	// Exchange sends a command and returns the answer's completion code and data: one byte at least.
	Exchange(ctx context.Context, request lan.Request) ([]byte, error)
	Close(ctx context.Context) error
}

// BMCs end a session that was not used for 60 s, give or take 3 (IPMI v2.0, 6.12.15), and do not say so.
const sessionIdle = 45 * time.Second

// closeTime is how long a BMC is given to hear that a session ends. It ends without as well.
const closeTime = 200 * time.Millisecond

// errClosed is the error of calls after Close.
var errClosed = errors.New("the driver is closed")

// do makes a call, in its turn and in a session. A session that was used before may have ended: if its first command is not
// answered, the call is made again in a new one. Calls begin with a command that changes nothing.
func (d *Driver) do(ctx context.Context, what string, call func(context.Context, *conversation) error) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return fmt.Errorf("%s: wait for another call: %w", what, ctx.Err())
	}
	bmc, err := d.begin(ctx)
	if err == nil {
		err = call(ctx, bmc)
	}
	if bmc != nil && bmc.ended && ctx.Err() == nil {
		d.drop()
		if bmc, err = d.begin(ctx); err == nil {
			err = call(ctx, bmc)
		}
	}
	if bmc != nil && bmc.broken {
		d.drop()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, explain(err))
	}
	return nil
}

// begin begins a conversation in the session that there is, or in a new one.
func (d *Driver) begin(ctx context.Context) (*conversation, error) {
	if d.closed {
		return nil, errClosed
	}
	if d.link != nil && time.Since(d.used) > sessionIdle {
		d.drop()
	}
	old := d.link != nil
	if !old {
		if err := d.connect(ctx); err != nil {
			return nil, err
		}
	}
	d.used = time.Now()
	return &conversation{link: d.link, old: old, wait: 2 * d.config.Wait}, nil
}

func (d *Driver) connect(ctx context.Context) error {
	if d.config.Interface == Open {
		device, err := openipmi.Open(ctx)
		if err != nil {
			return err
		}
		d.link = device
		return nil
	}
	config := lan.Config{Address: d.address, User: d.config.User, Password: d.config.Password, Wait: d.config.Wait, Suites: preferring(d.Suite())}
	if d.config.Interface == Lan {
		config.Version = lan.IPMI15
	}
	session, err := lan.Dial(ctx, config)
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	d.link = session
	d.suite.Store(uint32(session.Suite()))
	return nil
}

// preferring is Suites with one of them moved to the front.
func preferring(suite lan.Suite) []lan.Suite {
	if suite == 0 {
		return Suites()
	}
	suites := []lan.Suite{suite}
	for _, other := range Suites() {
		if other != suite {
			suites = append(suites, other)
		}
	}
	return suites
}

// drop ends the session that there is. The BMC hears of it, if it hears.
func (d *Driver) drop() {
	if d.link == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	_ = d.link.Close(ctx) // a session ends by itself
	d.link = nil
}

// Close ends the session.
func (d *Driver) Close() error {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	d.closed = true
	d.drop()
	return nil
}

// conversation is the commands of one call.
type conversation struct {
	link link
	// old is true when the session was there before. Its first answer is not waited for long, only for wait.
	old  bool
	wait time.Duration
	// ended is true when the session turned out to have ended, and broken when it cannot be used further.
	ended, broken bool
}

// ask sends a command. The BMC's refusal is a *RefusedError.
func (c *conversation) ask(ctx context.Context, request types.Request, response types.Response) error {
	command := request.Command()
	answer, err := c.exchange(ctx, lan.Request{Command: command, Data: request.Pack(), Once: isCycle(request)})
	if err != nil {
		c.broken = true
		return err
	}
	if code := answer[0]; code != 0 {
		return &RefusedError{Command: command.Name, Code: code, text: types.StrCC(command, code)}
	}
	if err := response.Unpack(answer[1:]); err != nil {
		return fmt.Errorf("%s: the BMC's answer makes no sense: %w", command.Name, err)
	}
	return nil
}

// isCycle is true for what does something again each time that it is done.
func isCycle(request types.Request) bool {
	control, ok := request.(*chassis.ChassisControlRequest)
	return ok && control.ChassisControl == chassis.ChassisControlPowerCycle
}

func (c *conversation) exchange(ctx context.Context, request lan.Request) ([]byte, error) {
	if !c.old {
		return c.link.Exchange(ctx, request)
	}
	c.old = false
	soon, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	answer, err := c.link.Exchange(soon, request)
	c.ended = err != nil
	return answer, err
}

// RefusedError is a BMC's completion code other than that of success (IPMI v2.0 table 5-2).
type RefusedError struct {
	Command string
	Code    byte
	text    string
}

// Error has the code's name.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the BMC answers %s with %#02x: %s", e.Command, e.Code, e.text)
}

// isUnsupported is true for codes of what a BMC cannot do, as opposed to what it cannot do now.
func isUnsupported(err error) bool {
	var refused *RefusedError
	if !errors.As(err, &refused) {
		return false
	}
	switch types.CompletionCode(refused.Code) {
	case types.CodeInvalidCommand, types.CodeInvalidCommandForLUN, types.CodeParameterNotSupported, types.CodeParameterOutOfRange,
		types.CodeRequestDataFieldInvalid, types.CodeRequestedDataNotPresent, types.CodeSubFnDisabled:
		return true
	}
	return false
}
