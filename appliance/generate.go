package appliance

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/manifest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/repository"
	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
)

// anyServer is the class that the appliance makes of all servers.
const anyServer = "any"

func (p program) generateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Write manifests",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.generateClusterCommand())
	return cmd
}

func (p program) generateClusterCommand() *cobra.Command {
	c := p.clusterDefaults()
	cmd := &cobra.Command{
		Use:   "cluster NAME",
		Short: "Write the manifest of a cluster, from Sidero's template",
		Long: `Write the manifest of a cluster to standard output, from Sidero's cluster template,
and tell whether there are servers enough for it. Nothing is changed: "kubectl apply"
makes the cluster.

Nothing here makes the cluster's API reachable at its endpoint. Give the address of a
load balancer by --endpoint, or a free address in the machines' network by
--virtual-ip: the machines of the control plane share that by themselves.

The variables of the template, such as CONTROL_PLANE_ENDPOINT, count where a flag is
not given.`,
		Example: `  sidero-appliance generate cluster rack-1 --virtual-ip 192.0.2.10 --workers 2 > rack-1.yaml
  kubectl apply -f rack-1.yaml`,
		Args: func(cmd *cobra.Command, names []string) error {
			if len(names) == 1 {
				return nil
			}
			return fmt.Errorf("\"%s\" takes the name of one cluster, not %q: see \"%[1]s --help\"", cmd.CommandPath(), names)
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			c.Name = names[0]
			return p.generateCluster(cmd, c)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.StringVar(&c.Endpoint, "endpoint", c.Endpoint, "address or host name of the cluster's API ("+manifest.Endpoint+")")
	flags.StringVar(&c.VirtualIP, "virtual-ip", "", "address that the machines of the control plane share")
	flags.Int64Var(&c.Port, "port", c.Port, "port of the cluster's API ("+manifest.Port+")")
	flags.StringVar(&c.ControlPlaneClass, "control-plane-class", c.ControlPlaneClass, "server class of the control plane ("+manifest.ControlPlaneClass+")")
	flags.StringVar(&c.WorkerClass, "worker-class", c.WorkerClass, "server class of the workers ("+manifest.WorkerClass+")")
	flags.Int64Var(&c.ControlPlanes, "control-planes", c.ControlPlanes, "machines of the control plane ("+manifest.ControlPlanes+")")
	flags.Int64Var(&c.Workers, "workers", c.Workers, "workers ("+manifest.Workers+")")
	flags.StringVar(&c.KubernetesVersion, "kubernetes-version", c.KubernetesVersion, "version of Kubernetes ("+manifest.KubernetesVersion+")")
	flags.StringVar(&c.TalosVersion, "talos-version", c.TalosVersion, "version of Talos that the configuration is for ("+manifest.TalosVersion+")")
	addPlaceFlags(flags)
	flags.Lookup("kubeconfig").Usage = "kubeconfig to use (default: the one in $KUBECONFIG, else admin.kubeconfig in --data-dir)"
	return cmd
}

// clusterDefaults are what the environment says, and else what clusterctl's configuration has. A number that is none is refused
// with the rest of the manifest.
func (p program) clusterDefaults() manifest.Cluster {
	text := func(name, otherwise string) string {
		for _, entry := range p.environment {
			if value, ok := strings.CutPrefix(entry, name+"="); ok && value != "" {
				return value
			}
		}
		return otherwise
	}
	number := func(name string, otherwise int64) int64 {
		n, err := strconv.ParseInt(text(name, strconv.FormatInt(otherwise, 10)), 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	return manifest.Cluster{
		Endpoint: text(manifest.Endpoint, ""), Port: number(manifest.Port, 6443),
		ControlPlaneClass: text(manifest.ControlPlaneClass, anyServer), WorkerClass: text(manifest.WorkerClass, anyServer),
		ControlPlanes: number(manifest.ControlPlanes, 1), Workers: number(manifest.Workers, 0),
		KubernetesVersion: text(manifest.KubernetesVersion, repository.KubernetesVersion), TalosVersion: text(manifest.TalosVersion, repository.TalosVersion),
	}
}

// generateCluster writes the manifest also when the appliance cannot be asked.
func (p program) generateCluster(cmd *cobra.Command, c manifest.Cluster) error {
	text, err := manifest.Render(c)
	if err != nil {
		return err
	}
	available, err := p.availableServers(cmd)
	if err != nil {
		fmt.Fprintf(p.stderr, "warning: whether there are servers enough is not known: %v\n", err)
	} else {
		for _, shortage := range manifest.Shortages(c, available) {
			fmt.Fprintf(p.stderr, "warning: %s\n", shortage)
		}
	}
	_, err = fmt.Fprint(p.stdout, text)
	return working(err)
}

// availableServers are how many servers each class has to give.
func (p program) availableServers(cmd *cobra.Command) (map[string]int64, error) {
	files, err := p.clientKubeconfig(cmd)
	if err != nil {
		return nil, err
	}
	config, err := readClientConfig(files)
	if err != nil {
		return nil, err
	}
	config.Timeout = answersWithin
	config.WarningHandler = rest.NoWarnings{}
	return availableIn(cmd.Context(), config)
}

func availableIn(ctx context.Context, config *rest.Config) (map[string]int64, error) {
	api, err := servers.NewClient(config)
	if err != nil {
		return nil, err
	}
	classes := &v1alpha2.ServerClassList{}
	if err := api.List(ctx, classes); err != nil {
		return nil, fmt.Errorf("list server classes: %w", err)
	}
	available := map[string]int64{}
	for i := range classes.Items {
		available[classes.Items[i].Name] = int64(len(classes.Items[i].Status.ServersAvailable))
	}
	return available, nil
}
