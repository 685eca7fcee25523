// Package dhcp is a proxyDHCP server: it tells machines that boot over the
// network where their boot program is, beside a LAN's own DHCP server, and
// hands out no addresses.
//
// It listens on UDP 67 (DISCOVER, and REQUEST addressed to it) and on UDP 4011
// (boot server requests). Everything it decides is in Reply, a pure function of
// the packet, the interface it came in on and the policy; sockets, counters and
// the memory of which offer style a machine liked live in Server.
//
// What never lives here: which server may boot what (that is decided over HTTP,
// when the boot script is asked for), leases, and anything of Kubernetes.
//
// Specifications: RFC 2131 (DHCP), RFC 2132 and 3046 (options), RFC 4578 (PXE
// options 93, 94, 97), Intel's Preboot Execution Environment 2.1 (proxyDHCP,
// option 43 and port 4011), UEFI 2.10 §24.7 (HTTP boot), RFC 6842 (option 61).
package dhcp
