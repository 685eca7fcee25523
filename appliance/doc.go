// Package appliance is the composition root of sidero-appliance: the commands,
// the configuration, the checks before the start, and the one place where the
// components are made and put in order. Nothing imports it but main.
//
// What any of the components does is decided in their own packages; this one
// only hands them what they need. docs/architecture.md shows the whole house.
package appliance

//go:generate go test . -run TestDocumentOfFlags -update
