package clusterapi

import (
	"fmt"

	"k8s.io/component-base/featuregate"
	"sigs.k8s.io/cluster-api/feature"
)

// features are those of Cluster API that differ from its defaults here, or must not follow them.
const features = "ClusterTopology=true,MachinePool=true"

// CheckFeatures refuses what is no list of Cluster API's features, such as MachinePool=false,ClusterTopology=false, and those that need
// programs beside Cluster API's own reconcilers, which are not here.
func CheckFeatures(text string) error {
	gates := feature.MutableGates.DeepCopy()
	if err := gates.Set(text); err != nil {
		return fmt.Errorf("%w; known are %s, %s, %s, %s and %s", err, feature.ClusterTopology, feature.MachinePool,
			feature.MachineSetPreflightChecks, feature.MachineTaintPropagation, feature.ReconcilerRateLimiting)
	}

	for _, name := range []featuregate.Feature{feature.RuntimeSDK, feature.InPlaceUpdates} {
		if gates.Enabled(name) {
			return fmt.Errorf("%s cannot be switched on: it needs runtime extensions, which the appliance does not call", name)
		}
	}

	return nil
}
