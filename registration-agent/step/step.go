// Package step holds the error that the registration agent shows to the person in
// front of the machine: what it was doing, why that failed, and what to check. It
// knows nothing of the steps themselves.
package step

import (
	"errors"
	"fmt"
)

// Error is a step that failed.
type Error struct {
	// Step is what was being done, as a verb and a noun.
	Step string
	// Check says what a person can look at or change.
	Check string
	// Err is the cause.
	Err error
}

// Failed makes an Error.
func Failed(step string, err error, check string) error {
	return &Error{Step: step, Check: check, Err: err}
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Step, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// Of finds the step in an error, or makes up one for an error that has none.
func Of(err error) *Error {
	if failed, found := errors.AsType[*Error](err); found {
		return failed
	}
	return &Error{Step: "run the agent", Check: "nothing on site: this is a defect of the agent, report it with this text", Err: err}
}
