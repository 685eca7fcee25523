// Package emulator is a BMC with a Redfish service, for tests and for the lab: power, one-time boot override, sessions,
// TLS, a log of every command, and the lies that BMCs tell.
//
// Redfish Specification (DMTF DSP0266) 1.x, with the resources ServiceRoot, SessionService, ComputerSystem, Manager and
// Chassis. It is held to what clients we did not write accept: redfishtool and sushy drive it in its tests.
//
// It controls machines through Config.Power, or none at all. The log of commands (Server.Commands) is what tests that
// nothing was done to a machine look at: it is written before the answer is sent.
package emulator
