// Package orders decides what a machine that runs the registration agent is to do: a pure function of its Server, its
// ServerBinding and the appliance's settings. Whoever asks reads these; what they said a moment ago is no licence.
package orders
