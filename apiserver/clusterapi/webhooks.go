package clusterapi

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	coreadmission "sigs.k8s.io/cluster-api/core/webhooks/admission"
	coreconversion "sigs.k8s.io/cluster-api/core/webhooks/conversion"
	"sigs.k8s.io/cluster-api/feature"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/controller-runtime/pkg/webhook/conversion"
)

// setProcess sets what upstream keeps once for the whole process, however many APIs run in it, as they do in tests: the last
// one counts. No other package sets these.
func setProcess(k *kinds, given string) error {
	for _, text := range []string{features, given} {
		if err := feature.MutableGates.Set(text); err != nil {
			return fmt.Errorf("set features: %w", err)
		}
	}

	coreconversion.SetAPIVersionGetter(k.apiVersion)

	return nil
}

// registrar is as much of a manager as upstream's webhooks need to register. The rest of a real one, above all its caches,
// would only cost memory; being nil, it would end the program at the start if it were used.
type registrar struct {
	ctrl.Manager

	scheme     *runtime.Scheme
	config     *rest.Config
	server     webhook.Server
	converters conversion.Registry
}

func (r *registrar) GetScheme() *runtime.Scheme                { return r.scheme }
func (r *registrar) GetConfig() *rest.Config                   { return r.config }
func (r *registrar) GetWebhookServer() webhook.Server          { return r.server }
func (r *registrar) GetConverterRegistry() conversion.Registry { return r.converters }

// register makes the server serve all webhooks of Cluster API. They read what they need by the reader.
func (r *registrar) register(reader client.Reader) error {
	for _, hook := range []interface {
		SetupWebhookWithManager(mgr ctrl.Manager) error
	}{
		&coreadmission.Cluster{Client: reader, ClusterCacheReader: workloads{reader}},
		&coreadmission.ClusterClass{Client: reader},
		&coreadmission.ClusterResourceSet{},
		&coreadmission.ClusterResourceSetBinding{},
		&coreadmission.ExtensionConfig{},
		&coreadmission.IPAddress{Client: reader},
		&coreadmission.IPAddressClaim{},
		&coreadmission.Machine{},
		&coreadmission.MachineDeployment{},
		&coreadmission.MachineDrainRule{},
		&coreadmission.MachineHealthCheck{},
		&coreadmission.MachinePool{},
		&coreadmission.MachineSet{},
	} {
		if err := hook.SetupWebhookWithManager(r); err != nil {
			return fmt.Errorf("register webhook %T: %w", hook, err)
		}
	}

	return nil
}

// checkReferences makes the webhooks that validate objects with references to kinds of providers check those first.
func checkReferences(scheme *runtime.Scheme, k *kinds) func(path string, hook *admission.Webhook) {
	decoder, objects := admission.NewDecoder(scheme), checked()

	return func(path string, hook *admission.Webhook) {
		if object, ok := objects[path]; ok {
			hook.Handler = admission.MultiValidatingHandler(&referenceCheck{decoder, k, object}, hook.Handler)
		}
	}
}
