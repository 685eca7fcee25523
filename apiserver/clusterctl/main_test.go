package clusterctl_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sidero-appliance/sidero-appliance/apiserver"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterapi"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/controllers/kube"
)

// happensWithin bounds the wait for what happens by itself.
const happensWithin = 30 * time.Second

func TestMain(m *testing.M) {
	apitest.CaptureLog()
	ctrllog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// appliance is an API with the inventory, and what deletes namespaces.
type appliance struct {
	*apitest.Plane

	kubectl apitest.Kubectl
	// owner is a client of the appliance itself.
	owner client.Client
	// webhooks is where those of Cluster API are reached, if they run.
	webhooks *clusterapi.Listener
}

// start runs an appliance of a version on a data directory.
func start(t *testing.T, dir, version string) appliance {
	t.Helper()

	apitest.ServeVersion(t)
	webhooks := clusterapi.NewListener()
	a := appliance{
		Plane:    apitest.StartIn(t, dir, func(c *apiserver.Config) { c.LocalServices = webhooks.Services() }),
		webhooks: webhooks,
	}
	a.kubectl = a.Kubectl(t)

	owner := a.Client(t, pki.Owner)

	scheme := runtime.NewScheme()
	must(t, clusterctlv1.AddToScheme(scheme))

	var err error
	a.owner, err = client.New(owner, client.Options{Scheme: scheme})
	must(t, err)

	objects, err := bootstrap.New(bootstrap.Config{Client: owner, Version: version, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	apitest.Run(t, objects)

	controllers, err := kube.New(owner)
	must(t, err)
	apitest.Run(t, controllers)

	return a
}

// inventory is what the inventory holds, by namespace and name.
func (a appliance) inventory(t *testing.T) map[string]clusterctlv1.Provider {
	t.Helper()

	var list clusterctlv1.ProviderList
	must(t, a.owner.List(t.Context(), &list))

	all := map[string]clusterctlv1.Provider{}
	for _, entry := range list.Items {
		all[entry.Namespace+"/"+entry.Name] = entry
	}

	return all
}

// eventually waits for what happens by itself.
func eventually(t *testing.T, what string, happens func() bool) {
	t.Helper()

	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, happensWithin, true, func(context.Context) (bool, error) {
		return happens(), nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
