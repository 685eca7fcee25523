// Package registry serves a native kind from its Go type: it turns a description of the kind, a Kind, into the stores
// that k8s.io/apiserver's handlers call. What is the same for every kind lives here: generations, the separation of
// spec and status, tables, field selectors. What a kind's fields mean lives with the kind, in a package below.
package registry
