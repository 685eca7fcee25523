// Package guard keeps a defect of one goroutine from ending the program: the agent is
// process 1, and when that ends the kernel panics with the cause scrolled away.
package guard

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// Run does the work and turns a panic into an error, with its stack in the log.
func Run(logger *slog.Logger, work func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
			logger.Error("panic", "error", fmt.Sprint(cause), "stack", string(debug.Stack()))
		}
	}()
	return work()
}
