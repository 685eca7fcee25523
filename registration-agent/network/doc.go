// Package network brings up the interface that the machine booted from, and only that
// one: the others may lead to networks where a second address would do harm, and DHCP
// on all of them costs minutes. Address, routes, MTU, name and name servers come from
// DHCPv4 (RFC 2131, 2132, 3442); the lease is renewed for as long as the agent waits.
//
// It sends no vendor class, so that PXE boot servers leave its requests alone.
package network
