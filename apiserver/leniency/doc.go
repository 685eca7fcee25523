// Package leniency accepts what Sidero's documents show and its schemas refuse: a ServerClass whose qualifiers are a list,
// or name parts of the hardware directly. Such an object is rewritten before it is decoded, and the client warned. It is
// done there, on the body of the request, because all ways to write an object begin with one, server-side apply included.
// Nothing else is changed; a body that is not understood is left for the decoder to complain about.
package leniency
