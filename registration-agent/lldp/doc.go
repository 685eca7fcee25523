// Package lldp hears which port of which switch is at the other end of a cable. Switches
// announce that every 30 seconds by default, by the Link Layer Discovery Protocol (IEEE
// 802.1AB). The package never sends.
//
// Some adapters (Intel's X710 family) take these frames away in their firmware, and nothing
// is heard on them.
package lldp
