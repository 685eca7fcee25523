package controlplane_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bootstrap "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	infrastructure "github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	rights "github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clustertest"
	"github.com/sidero-appliance/sidero-appliance/controllers/provider"
	"github.com/sidero-appliance/sidero-appliance/controllers/talos/controlplane"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/talosapi/talostest"
)

const (
	clusterName  = "c"
	version      = "v1.35.2"
	preTerminate = clusterv1.PreTerminateDeleteHookAnnotationPrefix + "/talos-control-plane"
)

// lab is an API, a cluster of doubles of Talos nodes, and what stands in for Cluster API and the infrastructure.
type lab struct {
	*clustertest.API

	t       *testing.T
	talos   *talostest.Cluster
	plane   *v1alpha3.TalosControlPlane
	cluster *clusterv1.Cluster
}

// node finds the double of a machine.
func (l *lab) node(name string) *talostest.Node { return l.talos.Node(name) }

func newLab(t *testing.T, replicas int64) *lab {
	t.Helper()

	secrets, err := machineconfig.NewSecrets("v1.13", time.Now())
	clustertest.Must(t, err)

	configuration, err := machineconfig.Generate(machineconfig.Node{
		Role: "controlplane", TalosVersion: "v1.13", KubernetesVersion: version,
		Cluster: machineconfig.Cluster{Name: clusterName, Host: "127.0.0.1", Port: 6443},
	}, secrets)
	clustertest.Must(t, err)

	authority, key := secrets.TalosCA()
	l := &lab{API: clustertest.Start(t), t: t, talos: &talostest.Cluster{Authority: authority, Key: key, Configuration: configuration}}

	host, port := serveKubernetes(t, secrets, l.kubernetes())
	l.cluster = &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: clusterName, Namespace: metav1.NamespaceDefault}}
	l.cluster.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{
		APIGroup: infrastructure.GroupName, Kind: "MetalCluster", Name: clusterName,
	}
	l.cluster.Spec.ControlPlaneRef = clusterv1.ContractVersionedObjectReference{
		APIGroup: v1alpha3.GroupName, Kind: "TalosControlPlane", Name: "c-cp",
	}
	l.cluster.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: host, Port: port}
	clustertest.Must(t, l.Create(t.Context(), l.cluster))
	l.Provision(l.cluster)
	l.secrets(secrets)

	for _, name := range []string{"t", "u"} {
		template := &infrastructure.MetalMachineTemplate{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault}}
		template.Spec.Template.Spec.ServerClassRef = &corev1.ObjectReference{Name: "any"}
		clustertest.Must(t, l.Create(t.Context(), template))
	}

	clustertest.Must(t, l.Create(t.Context(), &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "any"}}))

	l.plane = &v1alpha3.TalosControlPlane{ObjectMeta: metav1.ObjectMeta{
		Name: "c-cp", Namespace: metav1.NamespaceDefault,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(l.cluster, clusterv1.GroupVersion.WithKind("Cluster"))},
	}, Spec: v1alpha3.TalosControlPlaneSpec{
		Replicas: ptr.To(replicas), Version: version,
		InfrastructureTemplate: corev1.ObjectReference{APIVersion: infrastructure.GroupVersion.String(), Kind: "MetalMachineTemplate", Name: "t"},
		ControlPlaneConfig:     v1alpha3.ControlPlaneConfig{ControlPlane: bootstrap.TalosConfigSpec{GenerateType: bootstrap.GenerateControlPlane}},
	}}
	clustertest.Must(t, l.Create(t.Context(), l.plane))

	go l.simulate(t.Context())

	return l
}

// secrets are what the bootstrap provider makes.
func (l *lab) secrets(s *machineconfig.Secrets) {
	l.t.Helper()

	data, err := s.Data()
	clustertest.Must(l.t, err)

	certificate, key := s.KubernetesCA()
	for name, data := range map[string]map[string][]byte{
		"c-talos": data, "c-ca": {corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key},
	} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: metav1.NamespaceDefault, Labels: map[string]string{clusterv1.ClusterNameLabel: clusterName},
		}, Data: data}
		clustertest.Must(l.t, l.Create(l.t.Context(), secret))
	}
}

// begin runs the controller with the rights that it has in the appliance.
func (l *lab) begin() *apitest.Running {
	l.t.Helper()

	return l.Begin(controlplane.New(provider.Config{
		Client: l.Plane.Client(l.t, rights.TalosControlPlane), Identity: "test",
		Logger: logr.FromSlogHandler(l.Logger().Handler()), Log: l.Logger(),
	}))
}

// simulate gives each Machine a node and its address, and lets those go that are deleted and not held, with what they are made of.
func (l *lab) simulate(ctx context.Context) {
	//nolint:errcheck // it ends with the test
	_ = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		machines := &clusterv1.MachineList{}
		if err := l.List(ctx, machines); err != nil {
			return false, nil
		}

		for i := range machines.Items {
			if err := l.step(ctx, &machines.Items[i]); err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
				l.t.Logf("simulate %s: %v", machines.Items[i].Name, err)
			}
		}

		return false, nil
	})
}

func (l *lab) step(ctx context.Context, m *clusterv1.Machine) error {
	before := m.DeepCopy()

	if _, held := m.Annotations[preTerminate]; m.DeletionTimestamp != nil {
		if held {
			conditions.Set(m, metav1.Condition{
				Type: clusterv1.MachineDeletingCondition, Status: metav1.ConditionTrue, Reason: clusterv1.MachineDeletingWaitingForPreTerminateHookReason,
			})

			return l.Status().Patch(ctx, m, client.MergeFrom(before))
		}

		l.node(m.Name).SwitchOff()

		for _, o := range []client.Object{&bootstrap.TalosConfig{}, &infrastructure.MetalMachine{}} {
			o.SetNamespace(m.Namespace)
			o.SetName(m.Name)

			if err := l.Delete(ctx, o); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}

		m.Finalizers = nil

		return l.Patch(ctx, m, client.MergeFrom(before))
	}

	if len(m.Status.Addresses) > 0 {
		return nil
	}

	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: m.Name + "-bootstrap-data", Namespace: m.Namespace}}
	secret.Data = map[string][]byte{"value": l.talos.Configuration}

	if err := l.Create(ctx, secret); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}

	m.Spec.Bootstrap.DataSecretName = &secret.Name
	if err := l.Patch(ctx, m, client.MergeFrom(before)); err != nil {
		return err
	}

	before = m.DeepCopy()
	node := l.talos.Start(l.t, m.Name)
	m.Status.Addresses = clusterv1.MachineAddresses{{Type: clusterv1.MachineInternalIP, Address: node.Address}}

	return l.Status().Patch(ctx, m, client.MergeFrom(before))
}

// spare makes a server that is free, so that machines can be replaced.
func (l *lab) spare(name string) *metal.Server {
	l.t.Helper()

	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{Accepted: true}}
	clustertest.Must(l.t, l.Create(l.t.Context(), s))

	before := s.DeepCopy()
	s.Status.IsClean = true
	clustertest.Must(l.t, l.Status().Patch(l.t.Context(), s, client.MergeFrom(before)))

	return s
}

// settled waits until the machines are as wanted, and all are members.
func (l *lab) settled() {
	l.t.Helper()
	l.until("it is as wanted", func(p *v1alpha3.TalosControlPlane) bool {
		n := ptr.Deref(p.Spec.Replicas, 0)

		return p.Status.ObservedGeneration == p.Generation && p.Status.Ready && p.Status.Replicas == n &&
			ptr.Deref(p.Status.UpToDateReplicas, 0) == n && len(l.talos.Members()) == int(n) &&
			p.Status.Conditions.Is(v1alpha3.ReadyCondition, corev1.ConditionTrue)
	})
}

// annotate sets an annotation of the control plane, or takes it away when it is nil.
func (l *lab) annotate(name string, value *string) {
	l.t.Helper()

	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{name: value}}})
	clustertest.Must(l.t, err)
	clustertest.Must(l.t, l.Patch(l.t.Context(), l.plane, client.RawPatch(types.MergePatchType, patch)))
}

// names are those of the machines that stay.
func (l *lab) names() []string {
	l.t.Helper()

	var names []string

	for _, m := range l.machines() {
		if m.DeletionTimestamp == nil {
			names = append(names, m.Name)
		}
	}

	slices.Sort(names)

	return names
}

// until waits for the control plane to be as wanted.
func (l *lab) until(what string, is func(*v1alpha3.TalosControlPlane) bool) {
	l.t.Helper()
	l.plane = clustertest.Until(l.API, l.plane, what, is)
}

// change changes the control plane.
func (l *lab) change(how func(*v1alpha3.TalosControlPlaneSpec)) {
	l.t.Helper()

	before := l.plane.DeepCopy()
	how(&l.plane.Spec)
	clustertest.Must(l.t, l.Patch(l.t.Context(), l.plane, client.MergeFrom(before)))
}

func (l *lab) machines() []clusterv1.Machine {
	l.t.Helper()

	machines := &clusterv1.MachineList{}
	clustertest.Must(l.t, l.List(l.t.Context(), machines))

	return machines.Items
}
