// Package servers is what a person does with servers from a terminal: look at them, accept, cordon and wipe them, switch
// their power, and take them back from a cluster.
//
// All of it goes through the API, with the rights of the person's kubeconfig, and kubectl can do each step too: a Pool that
// is verbose says how. What a server does next is decided by the controllers; nothing is decided here, but whether a wish
// makes sense.
package servers
