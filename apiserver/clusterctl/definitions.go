package clusterctl

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/config"
)

//go:embed cert-manager.yaml
var certManagerStandIns []byte

// inventoryName is the name of the inventory's definition.
const inventoryName = "providers.clusterctl.cluster.x-k8s.io"

// inventoryDefinition is the definition that clusterctl carries, as it would write it.
func inventoryDefinition() (*apiextensionsv1.CustomResourceDefinition, error) {
	all, err := definitions(config.ClusterctlAPIManifest)
	if err != nil {
		return nil, fmt.Errorf("read clusterctl's definitions: %w", err)
	}

	for _, d := range all {
		if d.Name == inventoryName {
			d.Labels = map[string]string{clusterctlv1.ClusterctlCoreLabel: clusterctlv1.ClusterctlCoreLabelInventoryValue}

			return &d, nil
		}
	}

	return nil, fmt.Errorf("read clusterctl's definitions: %s is not among them", inventoryName)
}

// certManagerDefinitions are those of the kinds that clusterctl asks for cert-manager with.
func certManagerDefinitions() ([]apiextensionsv1.CustomResourceDefinition, error) {
	all, err := definitions(certManagerStandIns)
	if err != nil {
		return nil, fmt.Errorf("read cert-manager's stand-ins: %w", err)
	}

	return all, nil
}

// definitions reads a manifest and fills in what the API server would, so that it can be compared with what is stored.
func definitions(manifest []byte) ([]apiextensionsv1.CustomResourceDefinition, error) {
	var all []apiextensionsv1.CustomResourceDefinition

	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), len(manifest))

	for {
		var d apiextensionsv1.CustomResourceDefinition

		err := decoder.Decode(&d)
		if errors.Is(err, io.EOF) {
			return all, nil
		}

		if err != nil {
			return nil, err
		}

		apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&d.Spec)
		all = append(all, d)
	}
}
