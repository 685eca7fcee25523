// Package lan is IPMI over LAN: sessions with a BMC over UDP, by RMCP+ (IPMI v2.0 rev. 1.1, chapter 13) and by the
// sessions of IPMI 1.5 (chapters 6.12 and 22).
//
// Messages and key derivation are go-ipmi's. Its client is not used: it decrypts packets without checking who they are from,
// and a short one, which anybody on the network can send, ends the whole process from a goroutine of its own. Here a packet
// is decrypted when its authentication code is right, and everything else that arrives is dropped.
package lan
