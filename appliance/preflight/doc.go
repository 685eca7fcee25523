// Package preflight checks, before anything is started, what commonly keeps the
// appliance from running: rights, ports, the data directory, a second instance.
// Every error is one line that says what is wrong and how to cure it.
//
// Nothing here is left changed, except that the data directory is made if it is
// missing and holds a lock file afterwards.
package preflight
