// Package lab builds a small data centre out of kernel namespaces: a LAN with
// its own DHCP server, a computer for the appliance, and virtual machines with
// real firmware that boot from that LAN.
//
//	    Lab (172.30.0.1, br0)                         LAN (172.30.0.254, eth0)
//	┌────────────────────────────────────────┐    ┌─────────────────────────┐
//	│ appliance, curl, tests' own listeners  │    │ dnsmasq: plain DHCP,    │
//	│                                        │    │ .50-.150, no boot       │
//	│   br0 ─┬─────────┬─────────┬──── veth ─┼────┤ options, RA without a   │
//	│      vm0       vm1       vm2           │    │ router                  │
//	└───────┼─────────┼─────────┼────────────┘    └─────────────────────────┘
//	      QEMU      QEMU      QEMU                  further Nodes attach the
//	     SeaBIOS    OVMF    OVMF HTTP               same way (Lab.Attach)
//
// Config.LAN makes the LAN's DHCP server say more. It has a namespace of its own
// so that both it and the appliance own their UDP port 67 and both see the
// machines' broadcasts, as on a real LAN. No namespace has a default route or a
// way out, and nothing outside the namespaces is touched: any number of labs run
// side by side with the same addresses.
//
// # Nothing is left behind
//
// The namespaces have no name: each is held by a file descriptor and an OS
// thread of this process, and by the processes inside it. Those processes are
// forked by that thread with a parent-death signal. Close ends them by pid;
// when this process dies in any other way, SIGKILL included, the kernel ends
// them, and the namespaces with their bridges, taps and veths vanish with the
// last one. Two things escape the parent-death signal, so do not start them
// here when a SIGKILL of the test must not leave them: programs that change
// their user or group (the kernel forgets the signal then), and grandchildren.
//
// # Time
//
// Machines run under TCG, always: on the machines this project is tested on
// /dev/kvm opens and then hangs the guest, so that probing for it is a trap.
// Count with 3 s from power-on to the first DHCP packet for SeaBIOS and 5 s for
// OVMF on an idle core.
//
// # What never lives here
//
// Knowledge of the product: the lab knows machines, firmware and cables. A
// program started in it sees the namespace's network, but the host's file
// systems: /sys/class/net lists the host's interfaces (use netlink), and
// /etc/resolv.conf is the host's (there is no way to reach what it names).
package lab
