package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrap "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// secretKey is where the bootstrap contract of Cluster API has a machine's configuration.
const secretKey = "value"

// Problem is why there is no configuration to hand out, with the HTTP status that upstream answers then.
type Problem struct {
	Status int
	Err    error
}

// Error implements error.
func (p *Problem) Error() string { return p.Err.Error() }

// Unwrap lets errors.Is look inside.
func (p *Problem) Unwrap() error { return p.Err }

func missing(format string, args ...any) error {
	return &Problem{http.StatusNotFound, fmt.Errorf(format, args...)}
}

func failed(format string, args ...any) error {
	return &Problem{http.StatusInternalServerError, fmt.Errorf(format, args...)}
}

// Lookup finds what configurations are made of.
type Lookup struct {
	// Objects has Servers, ServerClasses and ServerBindings. A cache will do.
	Objects client.Reader
	// Live has MetalMachines, Machines, TalosConfigs and Secrets, which are better kept in no cache.
	Live client.Reader
}

// Binding is a server's, and the Server.
func (l Lookup) Binding(ctx context.Context, name string) (*v1alpha3.ServerBinding, *metal.Server, error) {
	binding := &v1alpha3.ServerBinding{}
	if err := l.Objects.Get(ctx, client.ObjectKey{Name: name}, binding); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil, missing("server is not allocated (missing serverbinding): %s", name)
		}

		return nil, nil, failed("read ServerBinding %s: %w", name, err)
	}

	server := &metal.Server{}
	if err := l.Objects.Get(ctx, client.ObjectKey{Name: name}, server); err != nil {
		return nil, nil, failed("read Server %s: %w", name, err)
	}

	return binding, server, nil
}

// Sources are what an allocated server's configuration is made of. Errors are Problems.
func (l Lookup) Sources(ctx context.Context, binding *v1alpha3.ServerBinding, server *metal.Server) (Sources, error) {
	machine, err := l.machine(ctx, binding)
	if err != nil {
		return Sources{}, err
	}

	s := Sources{Server: server}
	if s.Configuration, err = l.configuration(ctx, machine); err != nil {
		return Sources{}, err
	}

	if ref := binding.Spec.ServerClassRef; ref != nil {
		s.Class = &metal.ServerClass{}
		if err := l.Objects.Get(ctx, client.ObjectKey{Name: ref.Name}, s.Class); err != nil {
			return Sources{}, failed("read ServerClass %s: %w", ref.Name, err)
		}
	}

	s.TalosVersion, err = l.talosVersion(ctx, machine)

	return s, err
}

// machine is the Machine of Cluster API that a server is.
func (l Lookup) machine(ctx context.Context, binding *v1alpha3.ServerBinding) (*clusterv1.Machine, error) {
	ref := binding.Spec.MetalMachineRef

	metalMachine := &v1alpha3.MetalMachine{}
	if err := l.Live.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, metalMachine); err != nil {
		return nil, failed("read MetalMachine %s/%s: %w", ref.Namespace, ref.Name, err)
	}

	if !binding.IsOf(metalMachine) {
		return nil, failed("MetalMachine %s/%s is another one than the server was given to, which had its name", ref.Namespace, ref.Name)
	}

	owner, ok := OwningMachine(metalMachine)
	if !ok {
		return nil, failed("MetalMachine %s/%s has no owner: no Machine of Cluster API", ref.Namespace, ref.Name)
	}

	machine := &clusterv1.Machine{}
	if err := l.Live.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: owner}, machine); err != nil {
		return nil, failed("read Machine %s/%s: %w", ref.Namespace, owner, err)
	}

	return machine, nil
}

// OwningMachine is the name of the Machine that owns an object, in whichever version the reference has it.
func OwningMachine(o metav1.Object) (string, bool) {
	for _, owner := range o.GetOwnerReferences() {
		version, err := schema.ParseGroupVersion(owner.APIVersion)
		if err == nil && version.Group == clusterv1.GroupVersion.Group && owner.Kind == "Machine" {
			return owner.Name, true
		}
	}

	return "", false
}

func (l Lookup) configuration(ctx context.Context, machine *clusterv1.Machine) ([]byte, error) {
	name := machine.Spec.Bootstrap.DataSecretName
	if name == nil {
		return nil, missing("Machine %s/%s has no configuration yet: its bootstrap provider has not made one", machine.Namespace, machine.Name)
	}

	secret := &corev1.Secret{}
	if err := l.Live.Get(ctx, client.ObjectKey{Namespace: machine.Namespace, Name: *name}, secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, missing("there is no Secret %s/%s with the configuration of the machine", machine.Namespace, *name)
		}

		return nil, failed("read Secret %s/%s: %w", machine.Namespace, *name, err)
	}

	configuration, ok := secret.Data[secretKey]
	if !ok {
		return nil, missing("Secret %s/%s has no key %s", machine.Namespace, *name, secretKey)
	}

	return configuration, nil
}

// talosVersion is what the machine's TalosConfig says. Other bootstrap providers say nothing.
func (l Lookup) talosVersion(ctx context.Context, machine *clusterv1.Machine) (string, error) {
	ref := machine.Spec.Bootstrap.ConfigRef
	if ref.Kind != "TalosConfig" || ref.APIGroup != bootstrap.GroupName {
		return "", nil
	}

	config := &bootstrap.TalosConfig{}
	if err := l.Live.Get(ctx, client.ObjectKey{Namespace: machine.Namespace, Name: ref.Name}, config); err != nil {
		if apierrors.IsNotFound(err) {
			return "", nil // its configuration is there all the same
		}

		return "", failed("read TalosConfig %s/%s: %w", machine.Namespace, ref.Name, err)
	}

	return config.Spec.TalosVersion, nil
}

// statusOf is the HTTP status of an error.
func statusOf(err error) int {
	var p *Problem
	if errors.As(err, &p) {
		return p.Status
	}

	return http.StatusInternalServerError
}
