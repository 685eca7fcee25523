package v1alpha3

import metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"

// Conditions of a TalosControlPlane. The names are upstream's.
const (
	// ReadyCondition sums up the others.
	ReadyCondition metal.ConditionType = "Ready"
	// AvailableCondition tells whether the API of the cluster answers.
	AvailableCondition metal.ConditionType = "Available"
	// MachinesBootstrappedCondition tells whether a node was told to begin the etcd cluster.
	MachinesBootstrappedCondition metal.ConditionType = "MachinesBootstrapped"
	// MachinesCreatedCondition tells whether machines could be made.
	MachinesCreatedCondition metal.ConditionType = "MachinesCreated"
	// ResizedCondition tells whether there are as many machines as wanted.
	ResizedCondition metal.ConditionType = "Resized"
	// MachinesSpecUpToDateCondition tells whether the machines are made of what is wanted.
	MachinesSpecUpToDateCondition metal.ConditionType = "MachinesSpecUpToDate"
	// EtcdClusterHealthyCondition tells whether all members of etcd are well.
	EtcdClusterHealthyCondition metal.ConditionType = "EtcdClusterHealthyCondition"
	// MachinesHealthyCondition tells whether no machine is to be replaced because it is unhealthy. Upstream has none like it.
	MachinesHealthyCondition metal.ConditionType = "MachinesHealthy"
)

// Reasons of conditions of a TalosControlPlane that are False. Those that upstream has are upstream's.
const (
	ReasonWaitingForOwner          = "WaitingForOwner"
	ReasonWaitingForInfrastructure = "WaitingForClusterInfrastructure"
	ReasonWaitingForEndpoint       = "WaitingForControlPlaneEndpoint"
	ReasonWaitingForMachines       = "WaitingForMachines"
	ReasonWaitingForTalosBoot      = "WaitingForTalosBoot"
	ReasonMachineGenerationFailed  = "MachineGenerationFailed"
	ReasonScalingUp                = "ScalingUp"
	ReasonScalingDown              = "ScalingDown"
	ReasonRollingUpdate            = "RollingUpdateInProgress"
	ReasonEtcdUnhealthy            = "EtcdClusterUnhealthy"
	// ReasonLastMember is that of a machine that cannot go because etcd would be lost with it.
	ReasonLastMember = "EtcdMajorityNeeded"
	// ReasonRemediating is that of an unhealthy machine that is being replaced, and ReasonRemediationRefused of one that is not, because
	// etcd would be lost with it.
	ReasonRemediating        = "Remediating"
	ReasonRemediationRefused = "RemediationRefused"
	// ReasonUpgradingTalos and ReasonUpgradingKubernetes are those of machines that are upgraded in place, and ReasonUpgradeFailed of
	// what a person has to see to for that.
	ReasonUpgradingTalos      = "UpgradingTalos"
	ReasonUpgradingKubernetes = "UpgradingKubernetes"
	ReasonUpgradeFailed       = "UpgradeFailed"
	// ReasonStepFailed is that of anything else that was tried in vain, and is tried again.
	ReasonStepFailed = "StepFailed"
	ReasonDeleting   = "Deleting"
)
