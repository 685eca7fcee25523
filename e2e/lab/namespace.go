package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// namespace is an anonymous network namespace with one OS thread that stays in
// it until close. That thread forks the namespace's processes: a parent-death
// signal fires when the forking thread ends, not the process, so the thread has
// to live as long as they shall.
type namespace struct {
	file  *os.File // what other threads and processes enter the namespace by
	calls chan func()
	stop  chan struct{}
	ended chan struct{}
	close func()
}

// newNamespace makes an empty namespace whose loopback interface is down.
func newNamespace() (*namespace, error) {
	n := &namespace{calls: make(chan func()), stop: make(chan struct{}), ended: make(chan struct{})}
	n.close = sync.OnceFunc(func() {
		close(n.stop)
		<-n.ended
		_ = n.file.Close()
	})
	made := make(chan error)
	onOwnThread(func() {
		defer close(n.ended)
		err := n.unshare()
		made <- err
		if err == nil {
			n.serve()
		}
	})
	if err := <-made; err != nil {
		return nil, fmt.Errorf("create network namespace: %w", err)
	}
	return n, nil
}

// unshare moves the calling thread into a new namespace.
func (n *namespace) unshare() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("%w: the lab needs CAP_SYS_ADMIN and CAP_NET_ADMIN: run it as root", err)
		}
		return err
	}
	file, err := os.Open("/proc/thread-self/ns/net")
	n.file = file
	return err
}

func (n *namespace) serve() {
	for {
		select {
		case call := <-n.calls:
			call()
		case <-n.stop:
			return
		}
	}
}

// onForkThread runs call on the namespace's own thread. Only what has to happen
// there belongs here, because calls queue.
func (n *namespace) onForkThread(call func() error) error {
	result := make(chan error, 1)
	select {
	case n.calls <- func() { result <- call() }:
		return <-result
	case <-n.ended:
		return fmt.Errorf("enter network namespace: %w", net.ErrClosed)
	}
}

// inside runs visit on a thread of its own that has entered the namespace and
// ends afterwards. Sockets that visit opens belong to the namespace.
func (n *namespace) inside(visit func() error) error {
	result := make(chan error, 1)
	onOwnThread(func() {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		result <- visit()
	})
	return <-result
}

// onOwnThread runs f on an OS thread that no other goroutine uses meanwhile and
// that ends with f.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread() // never unlocked: that makes the runtime end the thread
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		// The main thread cannot end before the process does: hold it until
		// another thread has taken the work, then give it back.
		taken := make(chan struct{})
		onOwnThread(func() { close(taken); f() })
		<-taken
		runtime.UnlockOSThread()
	}()
}
