// Package metadata hands out the machine configurations of Talos, as Sidero's metadata server does: what the bootstrap provider
// made, with the patches of the server's class and of the server, the label by which a node is known, and the documents by which
// it reports to the appliance.
//
// A configuration holds the secrets of a cluster. Who may have it is decided by Decide alone, and what it is by Render; both are
// functions without side effects.
package metadata
