// Package identity tells machines apart that claim one SMBIOS UUID (DSP0134 section 7.2.1): boards are made with the same one,
// or with one that stands for none. All of it is pure functions of what machines and Servers tell.
package identity
