// Package offline finds files that a person brought by hand, on an appliance that cannot download them.
//
// They lie in one folder, in the way in which "wget --force-directories" lays them out: HOST/PATH of the URL that each
// stands for. The leading parts may be left out, as long as the last two are there: every release of Talos has a
// vmlinuz-amd64, so the name alone says nothing. A file of any name is found by its SHA-512, where that is asked for.
package offline
