package metalmachine

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

// claims are the servers that machines, by their UIDs, have tried to take, as the bindings that they were to have. A machine whose first
// try went through without an answer, or is not in the cache yet, takes no second server; and others look elsewhere: without that, all
// that are worked on at once try the same server, one after the other, and none knows in which failure domains the others will be.
// Nobody has a server by a claim: it may be of a machine that is gone.
type claims struct {
	mu       sync.Mutex
	bindings map[types.UID]*v1alpha3.ServerBinding
}

// of is the server that a machine has tried to take last; empty when there is none.
func (c *claims) of(machine types.UID) string {
	c.mu.Lock()
	defer c.mu.Unlock()

	if binding := c.bindings[machine]; binding != nil {
		return binding.Name
	}

	return ""
}

// claim claims the server for a machine that a function chooses by what the others have claimed, and no other machine chooses meanwhile.
func (c *claims) claim(machine *v1alpha3.MetalMachine, choose func(others []v1alpha3.ServerBinding) (string, error)) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	var others []v1alpha3.ServerBinding

	for uid, binding := range c.bindings {
		if uid != machine.UID {
			others = append(others, *binding)
		}
	}

	server, err := choose(others)
	if err != nil {
		return "", err
	}

	if c.bindings == nil {
		c.bindings = map[types.UID]*v1alpha3.ServerBinding{}
	}

	c.bindings[machine.UID] = newBinding(machine, server)

	return server, nil
}

// drop ends a machine's claim.
func (c *claims) drop(machine types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()

	delete(c.bindings, machine)
}
