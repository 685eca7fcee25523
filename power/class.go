package power

import "errors"

// Class is what an error of a driver means for trying again.
type Class int

const (
	// Transient is an error that may be gone the next time. Errors without a class are that.
	Transient Class = iota
	// Denied is a user, a password or rights that the device turned down. Trying often can lock the account.
	Denied
	// Refused is an answer of a device that is well: it does not do this, and will not the next time.
	Refused
)

// Classify gives an error a class and leaves its text alone.
func Classify(err error, class Class) error {
	if err == nil {
		return nil
	}
	return &classified{err, class}
}

// ClassOf is the class that an error was given last. What needs a person is Refused.
func ClassOf(err error) Class {
	var given *classified
	var person *NeedsPersonError
	switch {
	case errors.As(err, &given):
		return given.class
	case errors.As(err, &person):
		return Refused
	}
	return Transient
}

type classified struct {
	error
	class Class
}

func (c *classified) Unwrap() error { return c.error }
