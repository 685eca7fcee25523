// Package tftp is a read-only TFTP server for boot files.
//
// All traffic runs over one port (no port per transfer), so that it passes NAT
// and firewalls, and every packet comes from the address and port that was
// asked. One goroutine does all of it: a transfer is a small state, moved by
// acknowledgements and a clock. Therefore Files must answer without waiting,
// from memory or the page cache.
//
// What never lives here: which files there are and what is in them (Files), and
// anything of Kubernetes or HTTP. Writing is refused.
//
// Specifications: RFC 1350 (TFTP), RFC 2347 (options), RFC 2348 (blksize),
// RFC 2349 (tsize, timeout), RFC 7440 (windowsize).
package tftp
