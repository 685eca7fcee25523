package node

import (
	"context"
	"errors"
)

// Run is a node from power-on until it is to be restarted or switched off, which the outcome tells; there is none when it fails or
// the context ends. It can be called once in a process.
func Run(_ context.Context, _ Config) (Outcome, error) {
	return 0, errors.New("run node: this one has no parts yet")
}
