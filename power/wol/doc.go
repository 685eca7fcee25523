// Package wol is the power driver of machines that Wake-on-LAN turns on: a network card that still has power watches for
// a magic packet with its own address.
//
// It can turn on and nothing else. Nothing answers a magic packet, so a call that returns nil has sent it and knows no
// more; turning off needs a person.
//
// A magic packet is six bytes 0xff and sixteen times the card's MAC address (AMD, Magic Packet Technology, publication
// 20213). It is sent as UDP to port 9, which most cards and all routers with a setting for it expect, and, where asked
// for, as an Ethernet frame of type 0x0842, which reaches cards that only look there, and needs no IP address on the
// interface.
package wol
