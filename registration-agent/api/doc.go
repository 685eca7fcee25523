// Package api is the wire protocol between the registration agent and the
// appliance: agent.proto and the code generated from it, nothing written by hand.
//
// It follows Sidero Metal's service api.Agent, message by message and number by
// number, so that either side can be Sidero's.
package api

//go:generate ./generate.sh
