// Package pki makes and keeps the certificates that the API server and its clients know each other by: one certificate
// authority for the life of the data directory, a serving certificate that follows the host's addresses, client
// certificates, the key that signs service account tokens, the admin's kubeconfig and those of other people.
//
// Everything is ECDSA over P-256. Files are written beside their final place and moved there, so that a crash leaves
// either the old file or the new one.
package pki
