package v1alpha3

import metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"

// Conditions that this implementation adds to upstream's.
const (
	// ConditionReady sums up an object. Cluster API shows it on the object that it is of.
	ConditionReady metal.ConditionType = "Ready"
	// ConditionServerBound tells whether a MetalMachine has a server, or why not.
	ConditionServerBound metal.ConditionType = "ServerBound"
)

// Reasons of conditions that are False.
const (
	ReasonWaitingForOwner          = "WaitingForOwner"
	ReasonWaitingForInfrastructure = "WaitingForClusterInfrastructure"
	ReasonWaitingForBootstrapData  = "WaitingForBootstrapData"
	// ReasonNothingNamed is that of a machine that names neither a server nor a class.
	ReasonNothingNamed = "NeitherServerNorClass"
	// ReasonNoServerFits is that of a machine whose class has no server for it now.
	ReasonNoServerFits = "NoServerFits"
	// ReasonServerNotAvailable is that of a machine that cannot have the server that it names.
	ReasonServerNotAvailable = "ServerNotAvailable"
	// ReasonClassNotFound is that of a machine whose class does not exist.
	ReasonClassNotFound = "ServerClassNotFound"
	// ReasonClassNotUnderstood is that of a machine whose class nobody can understand.
	ReasonClassNotUnderstood = "ServerClassNotUnderstood"
	// ReasonPowerCycled is that of a remediation that waits for what a power cycle does.
	ReasonPowerCycled = "PowerCycled"
	// ReasonNoServer is that of a remediation of a machine without a server.
	ReasonNoServer = "NoServer"
	// ReasonReplaced is that of a remediation that has given its machine up.
	ReasonReplaced = "Replaced"
	// ReasonHealthy is that of a remediation that is not needed any more.
	ReasonHealthy = "Healthy"
)
