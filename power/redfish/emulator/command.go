package emulator

import (
	"slices"
	"time"
)

// Authentication is how a request proved who sent it.
type Authentication string

// The ways to authenticate.
const (
	Anonymous Authentication = "anonymous"
	Basic     Authentication = "basic"
	Session   Authentication = "session"
)

// Command is a request the BMC got.
type Command struct {
	Time           time.Time
	Remote         string
	Method, Path   string
	Authentication Authentication
	// Action is what a request that changes something asks for, such as "reset ForceOff", "boot Once Pxe UEFI", "login"
	// and "logout". A request that reads has none.
	Action string
	// System the action is for.
	System string
	// Status is the HTTP status of the answer.
	Status int
}

// Commands are all requests so far, in the order they were answered.
func (s *Server) Commands() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Actions are what requests asked to change, in order, those refused included.
func (s *Server) Actions() []string {
	var actions []string
	for _, command := range s.Commands() {
		if command.Action != "" {
			actions = append(actions, command.Action)
		}
	}
	return actions
}

// Boots are how machines started, in order.
func (s *Server) Boots() []Boot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.boots)
}
