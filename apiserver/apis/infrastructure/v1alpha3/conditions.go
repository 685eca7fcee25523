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
	// ReasonGoes is that of a machine that takes no server any more, because its Machine or its Cluster is deleted.
	ReasonGoes = "Deleting"
	// ReasonNodeResets is that of a machine that is deleted, and whose node was told to wipe its system disk, or to restart only.
	ReasonNodeResets = "NodeResets"
	// ReasonWaitingForPerson is that of a machine whose server nobody but a person can restart.
	ReasonWaitingForPerson = "WaitingForPerson"
	// ReasonServerPaused is that of a machine whose server is paused by itself, and of its remediation: a person may work on it.
	ReasonServerPaused = "ServerPaused"
	// ReasonServerBack is that of a remediation of a machine that was left alone, for a pause or as ReasonInstallsTalos tells, and need not
	// be any more.
	ReasonServerBack = "ServerBack"
	// ReasonInstallsTalos is that of a remediation of a machine that was told to install a release of Talos, and restarts with it.
	ReasonInstallsTalos = "InstallsTalos"
	// ReasonPowerCycled is that of a remediation that waits for what a power cycle does that was asked for.
	ReasonPowerCycled = "PowerCycled"
	// ReasonNoServer is that of a remediation of a machine without a server.
	ReasonNoServer = "NoServer"
	// ReasonReplaced is that of a remediation that has given its machine up, for another to be made.
	ReasonReplaced = "Replaced"
	// ReasonHandedOver is that of a remediation that has left its machine to the control plane that it is of.
	ReasonHandedOver = "HandedOver"
	// ReasonKept is that of a remediation that has given its machine up, which nothing would make again.
	ReasonKept = "Kept"
	// ReasonHealthy is that of a remediation that is not needed any more.
	ReasonHealthy = "Healthy"
)
