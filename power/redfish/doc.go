// Package redfish is the power driver of machines whose BMC has a Redfish service (DMTF DSP0266; the resources'
// properties are those of DSP2046).
//
// Sessions, requests and the words of the schema are gofish's. Resources are decoded here, and only the few properties
// that power has to do with: gofish decodes all of them, and a BMC that gives a memory size the wrong type could not be
// turned on. BMCs differ from the specification, and from what they say of themselves; what is done about it is beside
// the code that does it.
//
// BMCs have certificates that nobody signed. The one seen at first use is pinned, and another one later is an error.
package redfish
