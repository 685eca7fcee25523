// Package registration is the service that machines register with: Sidero's api.Agent over gRPC, which Sidero's own agent
// speaks too. It turns what a machine says into a Server object.
//
// Nobody proves who they are here, as upstream: whoever is on the machines' network can say anything. So nothing that is
// said is a licence: a person accepts a server, and facts that somebody else has set are left alone.
package registration
