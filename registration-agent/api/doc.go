// Package api is the wire protocol between the registration agent and the
// appliance: the services of agent.proto, facts.proto and orders.proto, and how a call
// tells which machine makes it.
//
// agent.proto follows Sidero Metal's service api.Agent, message by message and number
// by number, so that either side can be Sidero's. facts.proto and orders.proto are what
// an appliance and its agent have beyond that.
package api

//go:generate ./generate.sh
