// Package openapi holds the OpenAPI definitions of the native API groups, generated from their Go types, and chooses
// from Kubernetes's own definitions those that are needed beside them.
package openapi

//go:generate ../generate.sh
