package bmc

import (
	"context"
	"errors"
	"fmt"

	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
)

// Device is the way to the machine's own BMC. An answer is a completion code and data.
type Device interface {
	Exchange(ctx context.Context, request lan.Request) ([]byte, error)
}

// Refusal is a command that the BMC answered with a completion code other than 0
// (table 5-2).
type Refusal struct {
	Command types.Command
	Code    byte
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: the BMC answers %#02x: %s", r.Command.Name, r.Code, types.StrCC(r.Command, r.Code))
}

// ErrSilent is in the error of a BMC that does not answer.
var ErrSilent = errors.New("the BMC does not answer")

// Completion codes that tell nothing of what was asked. The first is also the kernel's, for
// a BMC that does not answer it (Linux IPMI_TIMEOUT_COMPLETION_CODE).
const (
	codeTimeout = 0xc3
	codeBusy    = 0xc0
)

// refused tells that the BMC did answer, and did not do it.
func refused(err error) bool {
	_, is := errors.AsType[*Refusal](err)
	return is
}

// refusedWith tells that the BMC answered one of these codes.
func refusedWith(err error, codes ...byte) bool {
	refusal, is := errors.AsType[*Refusal](err)
	if !is {
		return false
	}
	for _, code := range codes {
		if refusal.Code == code {
			return true
		}
	}
	return false
}

// ask sends a command and returns the data of its answer.
func ask(ctx context.Context, device Device, command types.Command, data ...byte) ([]byte, error) {
	answer, err := device.Exchange(ctx, lan.Request{Command: command, Data: data})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%w: %w", ErrSilent, err)
	case err != nil:
		return nil, err
	case len(answer) == 0:
		return nil, fmt.Errorf("%s: the answer is empty", command.Name)
	case answer[0] == codeTimeout:
		return nil, fmt.Errorf("%s: %w", command.Name, ErrSilent)
	case answer[0] == codeBusy:
		return nil, fmt.Errorf("%s: the BMC is busy", command.Name)
	case answer[0] != 0:
		return nil, &Refusal{command, answer[0]}
	}
	return answer[1:], nil
}

// shortAnswer is the error of an answer that lacks what it has to have.
func shortAnswer(what string, data []byte) error {
	return fmt.Errorf("%s: the BMC's answer of %d bytes is too short", what, len(data))
}
