// Package boottoken makes and checks the tokens by which machines fetch their configuration. A token is an HMAC (RFC 2104) over
// the identity of a server's binding and the generation of its boot window, so nothing of it is stored: whoever has the key
// makes it again. It is a secret as long as the window is open, and Redact keeps it out of logs.
//
// The package does no I/O and knows no Kubernetes.
package boottoken
