// Package store keeps downloaded files by their content: each is named by its SHA-512, and an index tells which content a
// URL had. A file that has a name here is whole and was hashed from the disk; what is still on its way is a Partial.
//
// The directory holds:
//
//	blobs/DIGEST      the files
//	urls/KEY.json     which of them a URL stands for
//	partial/KEY       what there is so far of a URL's content
//	partial/KEY.json  what a server said of it, to go on from there
//
// One process at a time uses it. Every change is on the disk before it counts: written beside, synced, renamed, and the
// directory synced. A crash at any moment costs a part of a download, never a wrong file.
//
// Nothing here knows HTTP: assets/download fills the store.
package store
