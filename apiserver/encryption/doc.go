// Package encryption keeps the keys that Secrets are encrypted with in the database, and changes them.
//
// The keys lie in one file, a Kubernetes EncryptionConfiguration (apiserver.config.k8s.io/v1), which the API server reads
// when it starts and again when it changes. The cipher is secretbox (XSalsa20 and Poly1305): its nonces are long enough to
// be drawn at random for any number of writes, which those of AES-GCM are not.
//
// What is encrypted, and with which key, is never guessed: each value in the database begins with the name of its key.
package encryption
