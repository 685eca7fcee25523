// Package download brings files from URLs into the store: over HTTP (RFC 9110), from folders of this machine, and from those
// that a person brought by hand.
//
// There is one download for each URL, whoever asks for it. It goes on where it was cut, if the server says that the content
// is still the same; it is tried again for as long as somebody wants the file, with growing pauses; and each failure has a
// reason in one word and a sentence that says what to do. What comes in is hashed, and kept when its SHA-512 is the one that
// was asked for, or none was.
package download
