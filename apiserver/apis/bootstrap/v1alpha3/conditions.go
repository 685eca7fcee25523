package v1alpha3

import metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"

// Conditions of a TalosConfig. The names are upstream's.
const (
	// ReadyCondition sums up the others.
	ReadyCondition metal.ConditionType = "Ready"
	// DataSecretAvailableCondition tells whether the Secret with the machine configuration is there.
	DataSecretAvailableCondition metal.ConditionType = "DataSecretAvailable"
	// ClientConfigAvailableCondition tells whether the Secret with the cluster's configuration for talosctl is there.
	ClientConfigAvailableCondition metal.ConditionType = "ClientConfigAvailable"
)

// Reasons of conditions of a TalosConfig that are False. The first, the fourth and the last are upstream's.
const (
	ReasonWaitingForInfrastructure = "WaitingForClusterInfrastructure"
	ReasonWaitingForOwner          = "WaitingForOwner"
	ReasonWaitingForEndpoint       = "WaitingForControlPlaneEndpoint"
	ReasonGenerationFailed         = "DataSecretGenerationFailed"
	// ReasonSecretsMissing is that of a cluster whose secrets are lost: others are never made in their place.
	ReasonSecretsMissing         = "ClusterSecretsMissing"
	ReasonClientGenerationFailed = "ClientConfigGenerationFailed"
)
