package metalmachine

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// claims are the servers that machines, by their UIDs, have tried to take. A machine whose first try went through without an answer, or
// is not in the cache yet, takes no second server; and others look elsewhere first: without that, all that are worked on at once try the
// same server, one after the other. Nobody has a server by a claim: it may be of a machine that is gone.
type claims struct {
	mu       sync.Mutex
	servers  map[types.UID]string
	machines map[string]types.UID
}

// of is the server that a machine has tried to take last; empty when there is none.
func (c *claims) of(machine types.UID) string {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.servers[machine]
}

// try claims a server for a machine, unless it is claimed for another one.
func (c *claims) try(machine types.UID, server string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	if holder, claimed := c.machines[server]; claimed && holder != machine {
		return false
	}

	c.put(machine, server)

	return true
}

// claim claims a server for a machine, whoever else has.
func (c *claims) claim(machine types.UID, server string) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.put(machine, server)
}

// drop ends a machine's claim.
func (c *claims) drop(machine types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.forget(machine)
}

func (c *claims) put(machine types.UID, server string) {
	if c.servers == nil {
		c.servers, c.machines = map[types.UID]string{}, map[string]types.UID{}
	}

	c.forget(machine)
	c.servers[machine], c.machines[server] = server, machine
}

func (c *claims) forget(machine types.UID) {
	if server := c.servers[machine]; c.machines[server] == machine {
		delete(c.machines, server)
	}

	delete(c.servers, machine)
}
