package registration

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

const (
	// maxWaiting is how many servers may wait to be accepted.
	maxWaiting = 5000
	// maxAccepted is how many there may be where every machine is accepted by itself.
	maxAccepted = 10000

	// countedAgain is after how long the servers are counted again while new machines come: each that came is counted besides.
	countedAgain = time.Second
)

var (
	errFull         = fmt.Errorf("%d servers wait to be accepted: accept or delete some of them first", maxWaiting)
	errFullAccepted = fmt.Errorf("there are %d servers, more than are accepted without a person: delete those that are gone, "+
		"or start without --auto-accept-servers", maxAccepted)
)

// room knows how many servers there are. It is safe for concurrent use.
type room struct {
	mu      sync.Mutex
	counted time.Time
	// servers are all, and waiting those that are not accepted.
	servers, waiting int
}

// enter refuses a new machine when there are so many that they cannot all be real: anybody on the network can
// register, and the database must not fill up.
func (r *room) enter(ctx context.Context, config Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()

	if time.Since(r.counted) >= countedAgain {
		if err := r.count(ctx, config.Cache); err != nil {
			return err
		}
	}

	switch {
	case config.Policy.AutoAccept && r.servers >= maxAccepted:
		return errFullAccepted
	case r.waiting >= maxWaiting:
		return errFull
	}

	r.servers++

	if !config.Policy.AutoAccept {
		r.waiting++
	}

	return nil
}

func (r *room) count(ctx context.Context, objects client.Reader) error {
	servers := &v1alpha2.ServerList{}
	if err := objects.List(ctx, servers, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("count servers: %w", err)
	}

	r.counted, r.servers, r.waiting = time.Now(), len(servers.Items), 0

	for i := range servers.Items {
		if !servers.Items[i].Spec.Accepted {
			r.waiting++
		}
	}

	return nil
}
