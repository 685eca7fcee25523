// Package logs keeps what the kernels of machines and Talos send over SideroLink: a stream of JSON objects, one a line
// (Talos's KmsgLogConfig with a tcp:// URL).
//
// A machine may send anything, as much as it likes: what is kept of it is bounded, and every line that is kept is one JSON object.
// The package knows senders by a function, and no Kubernetes.
package logs
