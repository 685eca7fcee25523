package appliance

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/manifest"
	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
)

func (p program) generateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Write manifests",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2, // cobra's own default, which it sets too late
	}
	cmd.AddCommand(p.generateClusterCommand())
	return cmd
}

func (p program) generateClusterCommand() *cobra.Command {
	c := &manifest.Cluster{Name: p.environmentVariable(manifest.Name), Port: manifest.DefaultPort}
	var wrong map[string]error
	cmd := &cobra.Command{
		Use:   "cluster NAME",
		Short: "Write the manifest of a cluster, from Sidero's template",
		Long: `Write the manifest of a cluster to standard output, from Sidero's cluster template,
for "kubectl apply" to make the cluster. Nothing is changed by this command.

What you do not say is chosen by the servers that are free: the class, how many
machines, and the versions, by the Environment that the class boots. What does not fit
the servers is told on standard error. Without an appliance to ask, the manifest is
that of "clusterctl generate cluster".

Nothing here makes the cluster's API reachable at its endpoint. Give the address of a
load balancer by --endpoint, or a free address in the machines' network by
--virtual-ip: the machines of the control plane share that by themselves.

The variables of the template, such as CONTROL_PLANE_ENDPOINT, count where a flag is
not given. docs/clusters.md tells how to go on.`,
		Example: `  # A cluster of the servers that are free, whose control plane shares an address:
  sidero-appliance generate cluster rack-1 --virtual-ip 192.0.2.10 > rack-1.yaml
  kubectl apply -f rack-1.yaml

  # Three machines for the control plane and five workers, behind a load balancer:
  sidero-appliance generate cluster rack-2 --endpoint rack-2.example.com \
    --control-plane-class small --control-planes 3 --worker-class big --workers 5 |
    kubectl apply -f -`,
		Args: func(cmd *cobra.Command, names []string) error {
			if len(names) == 1 || len(names) == 0 && c.Name != "" {
				return nil
			}
			return fmt.Errorf("\"%s\" takes the name of one cluster, not %q: see \"%[1]s --help\"", cmd.CommandPath(), names)
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(names) == 1 {
				c.Name = names[0]
			}
			if err := unlessGiven(cmd.Flags(), wrong); err != nil {
				return err
			}
			return p.generateCluster(cmd, *c)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	addClusterFlags(cmd.Flags(), c)
	wrong = p.readVariables(cmd.Flags())
	p.completeClusterFlags(cmd)
	addClientFlags(cmd.Flags())
	return cmd
}

// clusterVariables are the template's variables, by the flags that say the same.
func clusterVariables() map[string]string {
	return map[string]string{
		"endpoint": manifest.Endpoint, "port": manifest.Port, "control-plane-class": manifest.ControlPlaneClass, "worker-class": manifest.WorkerClass,
		"control-planes": manifest.ControlPlanes, "workers": manifest.Workers,
		"kubernetes-version": manifest.KubernetesVersion, "talos-version": manifest.TalosVersion,
	}
}

func addClusterFlags(flags *pflag.FlagSet, c *manifest.Cluster) {
	flags.StringVar(&c.Endpoint, "endpoint", "", "address or host name of the cluster's API ("+manifest.Endpoint+"; default: that of --virtual-ip)")
	flags.StringVar(&c.VirtualIP, "virtual-ip", "", "free address in the machines' network that the control plane is to share")
	flags.Int64Var(&c.Port, "port", c.Port, "port of the cluster's API ("+manifest.Port+")")
	flags.StringVar(&c.ControlPlaneClass, "control-plane-class", "",
		"server class of the control plane ("+manifest.ControlPlaneClass+"; default: any, or the one with most free servers)")
	flags.StringVar(&c.WorkerClass, "worker-class", "", "server class of the workers ("+manifest.WorkerClass+"; default: that of the control plane)")
	flags.Var(count(&c.ControlPlanes), "control-planes",
		"machines of the control plane ("+manifest.ControlPlanes+"; default: 3 if there are servers enough, else 1)")
	flags.Var(count(&c.Workers), "workers", "workers ("+manifest.Workers+"; default: of the servers that are left, at most 3)")
	flags.StringVar(&c.KubernetesVersion, "kubernetes-version", "",
		"version of Kubernetes ("+manifest.KubernetesVersion+"; default: the newest that the version of Talos runs)")
	flags.StringVar(&c.TalosVersion, "talos-version", "",
		"version of Talos that the configuration is for ("+manifest.TalosVersion+"; default: what the class boots)")
}

// count is a number that need not be said.
func count(to **int64) pflag.Value {
	parse := func(s string) (*int64, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", s)
		}
		return &n, nil
	}
	show := func(n *int64) string {
		if n == nil {
			return ""
		}
		return strconv.FormatInt(*n, 10)
	}
	return variable[*int64]{to, parse, show, "int"}
}

// environmentVariable is one of the environment, empty when it is not there.
func (p program) environmentVariable(name string) string {
	for _, entry := range p.environment {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// readVariables has the variables in the environment count for the flags, and returns what is wrong with some, by flag.
func (p program) readVariables(flags *pflag.FlagSet) map[string]error {
	wrong := map[string]error{}
	for flag, name := range clusterVariables() {
		value := p.environmentVariable(name)
		if value == "" {
			continue
		}
		if err := flags.Lookup(flag).Value.Set(value); err != nil {
			wrong[flag] = fmt.Errorf("%s: %q is not a number: correct it, or give --%s", name, value, flag)
		}
	}
	return wrong
}

// unlessGiven are the errors about flags that were not given.
func unlessGiven(flags *pflag.FlagSet, wrong map[string]error) error {
	var all []error
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Changed {
			all = append(all, wrong[f.Name])
		}
	})
	return errors.Join(all...)
}

// generateCluster writes the manifest also when the appliance cannot be asked.
func (p program) generateCluster(cmd *cobra.Command, c manifest.Cluster) error {
	var pool *manifest.Pool
	api, err := p.client(cmd)
	if err == nil {
		pool, err = readPool(cmd.Context(), api)
	}
	c, notes := manifest.Choose(c, pool)
	text, wrong := manifest.Render(c)
	if wrong != nil {
		return wrong
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "warning: whether there are servers enough is not known: %v\n", err)
	}
	for _, note := range notes {
		fmt.Fprintf(p.stderr, "note: %s\n", note)
	}
	if pool != nil {
		warnings := manifest.Warnings(c, pool)
		if known := (client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: c.Name}); api.Get(cmd.Context(), known, &v1alpha3.MetalCluster{}) == nil {
			warnings = append(warnings, fmt.Sprintf("there is a cluster %s already: to apply this changes that one", c.Name))
		}
		for _, warning := range warnings {
			fmt.Fprintf(p.stderr, "warning: %s\n", warning)
		}
	}
	_, err = fmt.Fprint(p.stdout, text)
	return working(err)
}

// client is one of the appliance that a command's flags mean.
func (p program) client(cmd *cobra.Command) (client.Client, error) {
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
	return servers.NewClient(config)
}

// completeClusterFlags offers the classes for the flags that take one, and no files for the others.
func (p program) completeClusterFlags(cmd *cobra.Command) {
	classes := func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		ctx, stop := context.WithTimeout(cmd.Context(), completesWithin)
		defer stop()
		list := &v1alpha2.ServerClassList{}
		api, err := p.client(cmd)
		if err != nil || api.List(ctx, list) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // an error has no place in a completion
		}
		var names []string
		for _, class := range list.Items {
			if strings.HasPrefix(class.Name, begun) {
				names = append(names, fmt.Sprintf("%s\t%d available", class.Name, len(class.Status.ServersAvailable)))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		complete := cobra.NoFileCompletions
		if strings.HasSuffix(f.Name, "-class") {
			complete = classes
		}
		if err := cmd.RegisterFlagCompletionFunc(f.Name, complete); err != nil {
			panic(err) // the flag does not exist: a mistake in this function
		}
	})
}
