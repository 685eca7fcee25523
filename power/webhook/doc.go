// Package webhook is the power driver of whatever has an HTTP interface: smart plugs, power strips, home automation.
//
// What to send is configuration: a Request each for on, off, cycle and state, with ${placeholders} for what differs from
// machine to machine and for secrets. Preset has the requests of Shelly plugs, Tasmota and Home Assistant.
//
// A plug takes the power away from the machine, so its state is the plug's: a machine that was shut down has power and is
// "on". And a machine starts when its power comes back only if its firmware is set to ("restore on AC power loss: power
// on").
//
// Neither secrets nor URLs are in errors; a URL may hold a secret in any part but its host.
package webhook
