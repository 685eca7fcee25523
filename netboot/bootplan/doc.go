// Package bootplan decides what a machine that asks over the network boots now. It is a pure function of what the machine
// says about itself, what the API knows about it, and the appliance's settings: no socket, no clock, no client, and no
// text of a boot loader (netboot/ipxe).
//
// The rules are those of Sidero Metal 0.6: a machine that is not allocated boots the registration agent, whether it is
// known or not, accepted or not, clean or not; one that is allocated boots its Environment, and from its disk once it is
// installed. What Sidero does not have: one that a person lets have its configuration again boots its Environment once more,
// when what is on its disk does not fetch it.
package bootplan
