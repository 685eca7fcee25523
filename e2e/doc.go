// Package e2e tests the real program as its users meet it: started in a lab, reached with kubectl, booted from by machines
// with real firmware. Only what no smaller test can show is here; what a part does by itself is tested beside it.
//
// The tests are built with the tag e2e. They need root, and the programs of "make build tools".
package e2e
