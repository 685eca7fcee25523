package v1alpha2

// RotateBMCAnnotation is how a person asks for a new password on a server's BMC, whatever its value. It is taken off when
// the Server has the new one.
const RotateBMCAnnotation = "metal.sidero.dev/rotate-bmc-credentials"
