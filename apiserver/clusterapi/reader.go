package clusterapi

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/index"
	"sigs.k8s.io/cluster-api/util/kubeconfig"
	"sigs.k8s.io/controller-runtime/pkg/client"

	selfcontained "github.com/sidero-appliance/sidero-appliance/apiserver/apis/kubeconfig"
)

// answersWithin leaves time to answer the webhook's caller, who waits 10 s.
const answersWithin = 5 * time.Second

// reader reads what webhooks ask for from the API. They ask rarely, when a person changes a ClusterClass or a Cluster made
// of one, so that a cache of all Clusters, ClusterClasses, MachineDeployments and so on would not pay.
type reader struct{ client.Reader }

// Get implements client.Reader. It goes on when ctx has ended: upstream asks for a ClusterClass for two seconds until that
// is reconciled and then judges by the last answer, which from a cache is never that the time is over.
func (r reader) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), answersWithin)
	defer cancel()

	return r.Reader.Get(reading, key, object, options...)
}

// List implements client.Reader. Upstream looks for the Clusters of a ClusterClass by an index of its cache, which the API
// does not have.
func (r reader) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	var asked client.ListOptions

	asked.ApplyOptions(options)

	clusters, ok := list.(*clusterv1.ClusterList)
	if !ok || asked.FieldSelector == nil {
		return r.Reader.List(ctx, list, options...)
	}

	class, ok := asked.FieldSelector.RequiresExactMatch(index.ClusterClassRefPath)
	if !ok {
		return r.Reader.List(ctx, list, options...)
	}

	asked.FieldSelector = nil
	if err := r.Reader.List(ctx, list, &asked); err != nil {
		return err
	}

	clusters.Items = slices.DeleteFunc(clusters.Items, func(c clusterv1.Cluster) bool {
		return !slices.Contains(index.ClusterByClusterClassRef(&c), class)
	})

	return nil
}

// workloads reaches the clusters that Clusters stand for, by the kubeconfigs in their Secrets. The Cluster webhook asks for
// the version of Nodes in MachinePools before it lets a Cluster be upgraded.
type workloads struct{ client.Reader }

// GetReader implements upstream's ClusterCacheReader.
func (w workloads) GetReader(ctx context.Context, cluster client.ObjectKey) (client.Reader, error) {
	content, err := kubeconfig.FromSecret(ctx, w.Reader, cluster)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig of cluster %s: %w", cluster, err)
	}

	config, err := clientConfig(content)
	if err != nil {
		return nil, fmt.Errorf("use kubeconfig of cluster %s: %w", cluster, err)
	}

	c, err := client.New(config, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("reach cluster %s: %w", cluster, err)
	}

	return c, nil
}

// clientConfig turns a kubeconfig into a client configuration. One that runs programs or reads files of this machine is
// refused: whoever may write a Secret may not do that here.
func clientConfig(content []byte) (*rest.Config, error) {
	parsed, err := selfcontained.Parse(content)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what is wrong with it
	}

	config, err := clientcmd.NewDefaultClientConfig(*parsed, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("make client configuration: %w", err)
	}

	config.Timeout = answersWithin

	return config, nil
}
