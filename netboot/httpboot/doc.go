// Package httpboot is the HTTP server that machines boot from: iPXE's scripts, kernels and boot files, at the addresses
// that Sidero Metal serves them. On the same port it hands gRPC calls to the registration service.
//
// It renders what netboot/bootplan decides and serves what assets holds. It decides nothing, and reads no API object: what
// is known of a machine comes through Machines.
//
// HTTP/1.1 (RFC 9110, 9112) and HTTP/2 without TLS by prior knowledge (RFC 9113 section 3.3), which is what gRPC speaks.
// There is no encryption and no authentication, because firmware has neither: nothing served here is secret.
package httpboot
