package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/client-go/informers"
	"k8s.io/kubernetes/pkg/controlplane/apiserver/options"
	kubeoptions "k8s.io/kubernetes/pkg/kubeapiserver/options"
	"k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl"
	"github.com/sidero-appliance/sidero-appliance/apiserver/descriptor"
	"github.com/sidero-appliance/sidero-appliance/apiserver/encryption"
	"github.com/sidero-appliance/sidero-appliance/apiserver/lending"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/natives"
)

const (
	serviceAccountIssuer = "https://kubernetes.default.svc"

	// watchesEndWithin is how long a stopping server lets its watches take to end. Without a time it does not tell them to
	// end at all, and one kubectl get -w holds the stop up for a minute.
	watchesEndWithin = 2 * time.Second

	// historyKept is how long at least etcd keeps what was, and twice that at most. Kinds without a watch cache are watched
	// anew every few minutes, from where they changed last: after a burst etcd then reads all that it keeps, 180 MB after
	// 10,000 Servers were made, for each of them.
	historyKept = 2 * time.Minute

	// readsPerProcessor and writesPerProcessor are how many requests priority and fairness lets in, instead of Kubernetes's
	// numbers if these are lower. Those are for a machine with a dozen processors: on two, the two dozen lists of ten thousand
	// servers that they let in at once hold half a gigabyte.
	readsPerProcessor  = 32
	writesPerProcessor = 16
)

// kubeOptions are the options of Kubernetes's generic control plane that make it this appliance's.
func (c Config) kubeOptions(ctx context.Context) (options.CompletedOptions, error) {
	o := options.NewOptions()
	o.SystemNamespaces = []string{metav1.NamespaceSystem, metav1.NamespacePublic, metav1.NamespaceDefault}

	o.SecureServing.Listener = c.Listener
	listens := c.Listener.Addr().(*net.TCPAddr) //nolint:errcheck,forcetypeassert // a TCPListener's address
	o.SecureServing.BindAddress, o.SecureServing.BindPort = listens.IP, listens.Port
	o.SecureServing.ServerCert.CertKey.CertFile, o.SecureServing.ServerCert.CertKey.KeyFile = c.Authority.ServingFiles()
	o.GenericServerRunOptions.AdvertiseAddress = c.AdvertiseAddress.AsSlice()

	o.Etcd.StorageConfig.Transport.ServerList = c.EtcdServers
	o.Etcd.StorageConfig.CompactionInterval = historyKept
	o.Etcd.WatchCacheSizes = uncached()

	if err := c.setEncryption(ctx, o); err != nil {
		return options.CompletedOptions{}, err
	}

	o.GenericServerRunOptions.ShutdownWatchTerminationGracePeriod = watchesEndWithin
	setPriority(o.GenericServerRunOptions)
	o.Features.EnableProfiling = false

	setAdmission(o.Admission.GenericAdmission)

	c.setAuthentication(o)
	o.Authorization.Modes = []string{"RBAC"} // empty would mean AlwaysAllow

	completed, err := o.Complete(ctx, nil, nil)
	if err != nil {
		return completed, fmt.Errorf("complete options: %w", err)
	}

	if err := errors.Join(completed.Validate()...); err != nil {
		return completed, fmt.Errorf("validate options: %w", err)
	}

	return completed, nil
}

// setPriority chooses how many requests priority and fairness lets in.
func setPriority(o *genericoptions.ServerRunOptions) {
	processors := runtime.GOMAXPROCS(0)
	o.MaxRequestsInFlight = min(o.MaxRequestsInFlight, readsPerProcessor*processors)
	o.MaxMutatingRequestsInFlight = min(o.MaxMutatingRequestsInFlight, writesPerProcessor*processors)
}

// uncached are the kinds without a watch cache, in the form of the option: those that only the server itself watches, and
// that seldom change. A cache costs memory and a dozen goroutines, and saves reads that nobody makes.
func uncached() []string {
	var sizes []string

	for group, resources := range map[string][]string{
		admissionregistrationv1.GroupName: {
			"mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
			"validatingadmissionpolicies", "validatingadmissionpolicybindings",
			"mutatingwebhookconfigurations", "validatingwebhookconfigurations",
		},
		flowcontrolv1.GroupName: {"flowschemas", "prioritylevelconfigurations"},
	} {
		for _, resource := range resources {
			sizes = append(sizes, resource+"."+group+"#0")
		}
	}

	return sizes
}

// setEncryption makes the server encrypt Secrets and take up new keys while it runs.
func (c Config) setEncryption(ctx context.Context, o *options.Options) error {
	path := c.Authority.EncryptionFile()
	if err := encryption.Ensure(ctx, path, c.EtcdServers); err != nil {
		return fmt.Errorf("prepare encryption of secrets: %w", err)
	}

	o.Etcd.EncryptionProviderConfigFilepath = path
	o.Etcd.EncryptionProviderConfigAutomaticReload = true

	return nil
}

func (c Config) setAuthentication(o *options.Options) {
	a := o.Authentication
	a.Anonymous.Allow = false
	a.ClientCert.ClientCA = c.Authority.File()
	a.ServiceAccounts.Issuers = []string{serviceAccountIssuer}
	a.ServiceAccounts.KeyFiles = []string{c.Authority.TokenKeyFile()}
	a.ServiceAccounts.OptionalTokenGetter = func(factory informers.SharedInformerFactory) serviceaccount.ServiceAccountTokenGetter {
		return tokenGetter{
			secrets:  factory.Core().V1().Secrets().Lister(),
			accounts: factory.Core().V1().ServiceAccounts().Lister(),
		}
	}
	o.ServiceAccountSigningKeyFile = c.Authority.TokenKeyFile()
}

// setAdmission chooses the plugins. The guards come last, so that no webhook changes what they keep after them.
func setAdmission(o *genericoptions.AdmissionOptions) {
	o.DefaultOffPlugins = sets.New(kubeoptions.AllOrderedPlugins...).Difference(enabledAdmission())
	o.Plugins.Register(descriptor.GuardName, func(io.Reader) (admission.Interface, error) {
		return descriptor.NewGuard(natives.Groups())
	})
	o.Plugins.Register(clusterctl.GuardName, func(io.Reader) (admission.Interface, error) {
		return clusterctl.NewGuard(pki.Owner.Name), nil
	})
	o.Plugins.Register(lending.GuardName, func(io.Reader) (admission.Interface, error) { return lending.NewGuard(), nil })
	o.RecommendedPluginOrder = append(slices.Clip(o.RecommendedPluginOrder), descriptor.GuardName, clusterctl.GuardName, lending.GuardName)
}

// enabledAdmission are the admission plugins that make sense without workloads.
func enabledAdmission() sets.Set[string] {
	return sets.New(
		lifecycle.PluginName,
		mutatingwebhook.PluginName, validatingwebhook.PluginName,
		mutatingpolicy.PluginName, validatingpolicy.PluginName,
	)
}

// enabledVersions are the groups of Kubernetes that kubectl and controllers need where no pods run.
func enabledVersions() *serverstorage.ResourceConfig {
	config := serverstorage.NewResourceConfig()
	config.EnableVersions(
		corev1.SchemeGroupVersion,
		admissionregistrationv1.SchemeGroupVersion,
		authenticationv1.SchemeGroupVersion,
		authorizationv1.SchemeGroupVersion,
		coordinationv1.SchemeGroupVersion,
		eventsv1.SchemeGroupVersion,
		flowcontrolv1.SchemeGroupVersion,
		rbacv1.SchemeGroupVersion,
	)

	return config
}
