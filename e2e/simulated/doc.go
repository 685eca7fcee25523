// Package simulated has machines that are no more than a few goroutines: for crowds, and for tests that kill the appliance
// again and again, where virtual machines are too dear.
//
// All but the hardware is real. Firmware asks for a boot script over HTTP and obeys it; the agent is package agent, which
// registers, waits for orders and wipes, here a file that stands for the machine's disk; the BMC is power/ipmi/simulator, by
// which the machine goes on and off. A machine that is told to start again, because it is in use, has an operating system
// from then on: it writes data to its disk that nobody may touch. With a System of the test's the machine boots what it is told
// to instead, and from its disk once that has put itself there.
//
// What a machine has written down itself (Boots, Wipes, Commands and the bytes of its disk) is the witness of what was done to it.
package simulated
