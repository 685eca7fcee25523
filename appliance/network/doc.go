// Package network decides which network interfaces the appliance serves
// machines on, and which address it tells them to come to.
//
// The decisions, [Select] and [Advertise], are pure functions over a [Host];
// [Read] is the only part that asks the kernel (by rtnetlink, rtnetlink(7)).
// Nothing here changes the network.
package network
