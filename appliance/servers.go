package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
)

const (
	// answersWithin bounds a request to the API.
	answersWithin = 30 * time.Second
	// completesWithin bounds the completion of a name: somebody waits with the finger on the key.
	completesWithin = 2 * time.Second
	// powerWithin is how long a person waits for a machine's power unless told otherwise.
	powerWithin = time.Minute
	// powerPoll is how often a server is looked at meanwhile.
	powerPoll = 500 * time.Millisecond
)

// serverCommands are what a person does with servers.
func (p program) serverCommands() []*cobra.Command {
	commands := []*cobra.Command{
		p.serversCommand(), p.acceptCommand(), p.cordonCommand(true), p.cordonCommand(false), p.powerCommand(), p.wipeCommand(), p.releaseCommand(),
		p.bootWindowCommand(),
	}
	for _, cmd := range commands {
		addClientFlags(cmd.Flags())
		cmd.Flags().BoolP("verbose", "v", false, "print, before each step, the kubectl command that does the same")
		if cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = p.completeServers
		}
	}
	return append(commands, p.configCommand(), p.logsCommand())
}

// addClientFlags adds those by which a command finds the API.
func addClientFlags(flags *pflag.FlagSet) {
	addPlaceFlags(flags)
	flags.Lookup("kubeconfig").Usage = "kubeconfig to use (default: the one in $KUBECONFIG, else admin.kubeconfig in --data-dir)"
}

// howToName is in the help of every command that takes servers.
const howToName = `NAME is a server's name, the beginning of it, or the machine's hostname, as long as
only one server is meant.`

func (p program) serversCommand() *cobra.Command {
	format := servers.Table
	cmd := &cobra.Command{
		Use:   "servers [NAME...]",
		Short: "Show servers: what they are, what they do, and what they wait for",
		Long: `Show all servers, or those that are named: what each is made of, what it is doing,
what it waits for, and when its machine was last heard of. -o wide shows more; json,
yaml and name are kubectl's.

` + howToName,
		Example: `  sidero-appliance servers
  sidero-appliance servers node-7 1c28b946 -o wide
  sidero-appliance servers node-7 -o yaml`,
		RunE: func(cmd *cobra.Command, names []string) error {
			return p.withServers(cmd, func(ctx context.Context, pool *servers.Pool) error { return pool.List(ctx, names, format) })
		},
	}
	formats := []servers.Format{servers.Table, servers.Wide, servers.JSON, servers.YAML, servers.Name}
	cmd.Flags().VarP(oneOf(&format, formats...), "output", "o", "table, wide, json, yaml or name")
	complete := cobra.FixedCompletions([]string{"table", "wide", "json", "yaml", "name"}, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc("output", complete); err != nil {
		panic(err) // the flag does not exist: a mistake in this function
	}
	return cmd
}

func (p program) acceptCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "accept NAME...|--all",
		Short: "Accept servers, which are wiped then and can be given to clusters",
		Long: `Accept servers. That is the licence to switch their power and to write to their
disks: a server that is accepted is wiped first, and can be given to a cluster then.
"sidero-appliance wipe --plan NAME" shows what would be wiped. Nothing is done to a
server that is not accepted.

` + howToName,
		Example: `  sidero-appliance accept node-7 node-8
  sidero-appliance accept --all`,
		Args: func(cmd *cobra.Command, names []string) error {
			if all && len(names) > 0 {
				return fmt.Errorf("\"%s\" takes names or --all, not both: see \"%[1]s --help\"", cmd.CommandPath())
			}
			if all {
				return nil
			}
			return someServers(cmd, names)
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			return p.withServers(cmd, func(ctx context.Context, pool *servers.Pool) error {
				if all {
					return pool.AcceptAll(ctx)
				}
				return pool.Accept(ctx, names)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "accept every server that is not accepted")
	return cmd
}

func (p program) cordonCommand(cordon bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cordon NAME...",
		Short: "Keep servers from being given to clusters",
		Long: `Keep servers out of every class, so that they are not given to a cluster. Those in
use stay in use. "sidero-appliance uncordon" lets them in again.

` + howToName,
		Example: `  sidero-appliance cordon node-7`,
	}
	if !cordon {
		cmd.Use, cmd.Short = "uncordon NAME...", "Let servers be given to clusters again"
		cmd.Long = `Let servers into their classes again that "sidero-appliance cordon" kept out.

` + howToName
		cmd.Example = `  sidero-appliance uncordon node-7`
	}
	cmd.Args = someServers
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		return p.withServers(cmd, func(ctx context.Context, pool *servers.Pool) error { return pool.Cordon(ctx, names, cordon) })
	}
	return cmd
}

func (p program) wipeCommand() *cobra.Command {
	var plan, yes bool
	cmd := &cobra.Command{
		Use:   "wipe [--plan] NAME",
		Short: "Show what a wipe would do to a server's disks, or have it wiped again",
		Long: `With --plan, show which disks of a server would be wiped, which would be kept, and
why, and what was done the last time. Nothing is changed.

Without it, have a server wiped again that is clean and not in use, after you have
confirmed it, or with --yes. Every accepted server is wiped by itself before its
first use and after each, so this is seldom needed.

` + howToName,
		Example: `  sidero-appliance wipe --plan node-7
  sidero-appliance wipe node-7`,
		Args: func(cmd *cobra.Command, names []string) error {
			if plan && yes {
				return fmt.Errorf("--plan changes nothing, so there is nothing to say --yes to: see \"%s --help\"", cmd.CommandPath())
			}
			return oneServer(cmd, names)
		},
		ValidArgsFunction: p.completeServer,
		RunE: func(cmd *cobra.Command, names []string) error {
			return p.withServers(cmd, func(ctx context.Context, pool *servers.Pool) error {
				if plan {
					return pool.WipePlan(ctx, names[0])
				}
				return pool.Wipe(ctx, names[0], yes)
			})
		},
	}
	cmd.Flags().BoolVar(&plan, "plan", false, "show what would be wiped, and change nothing")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (p program) releaseCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "release NAME",
		Short: "Take a server back from a cluster",
		Long: `Take back a server that is in use. As long as the Machine is there that it belongs
to, that is what to delete, and this command tells how. When the Machine is gone or
is being deleted, and the server is in use nevertheless, the server is taken back
after you have confirmed it, or with --yes. Then it is wiped.

` + howToName,
		Example: `  sidero-appliance release node-7`,
		Args:    oneServer,

		ValidArgsFunction: p.completeServer,
		RunE: func(cmd *cobra.Command, names []string) error {
			return p.withServers(cmd, func(ctx context.Context, pool *servers.Pool) error { return pool.Release(ctx, names[0], yes) })
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (p program) powerCommand() *cobra.Command {
	timeout := powerWithin
	verbs := []string{"on", "off", "cycle", "status"}
	cmd := &cobra.Command{
		Use:   "power on|off|cycle|status NAME...",
		Short: "Switch servers on or off, or show whether they are on",
		Long: `Switch accepted servers on or off, or off and on again, and wait until it is done;
or show whether they are on, and what is wrong with their power control if it does
not work.

The appliance goes on looking after them: a server in use that is turned off is
turned on again after a while, and a clean one that is turned on is turned off. To
keep it as it is, pause it first, and end the pause later:

  kubectl annotate server NAME cluster.x-k8s.io/paused=true
  kubectl annotate server NAME cluster.x-k8s.io/paused-

` + howToName,
		Example: `  sidero-appliance power status node-7
  sidero-appliance power cycle node-7 node-8
  sidero-appliance power off node-7 --timeout 5m`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || !slices.Contains(verbs, args[0]) {
				return fmt.Errorf("\"%s\" takes on, off, cycle or status, and then names: see \"%[1]s --help\"", cmd.CommandPath())
			}
			if timeout < 0 {
				return fmt.Errorf("--timeout %s: must not be negative", timeout)
			}
			return someServers(cmd, args[1:])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withServers(cmd, func(ctx context.Context, pool *servers.Pool) error {
				if args[0] == "status" {
					return pool.PowerStatus(ctx, args[1:])
				}
				return pool.Power(ctx, args[1:], servers.Order(args[0]), timeout)
			})
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return verbs, cobra.ShellCompDirectiveNoFileComp
			}
			return p.completeServers(cmd, args[1:], begun)
		},
	}
	cmd.Flags().Var(duration(&timeout), "timeout", "how long to wait until it is done; 0: do not wait")
	return cmd
}

// someServers is about the words behind a command that takes servers.
func someServers(cmd *cobra.Command, names []string) error {
	if len(names) > 0 {
		return nil
	}
	return fmt.Errorf("\"%s\": which servers? see \"%[1]s --help\"", cmd.CommandPath())
}

// oneServer is about the words behind a command that takes one server.
func oneServer(cmd *cobra.Command, names []string) error {
	if len(names) == 1 {
		return nil
	}
	return fmt.Errorf("\"%s\" takes one server, not %d: see \"%[1]s --help\"", cmd.CommandPath(), len(names))
}

// withServers lets a command do something with the servers of the appliance that its flags mean.
func (p program) withServers(cmd *cobra.Command, do func(context.Context, *servers.Pool) error) error {
	files, err := p.clientKubeconfig(cmd)
	if err != nil {
		return err
	}
	config, err := readClientConfig(files)
	if err != nil {
		return working(err)
	}
	pool, err := p.pool(cmd, files, config)
	if err != nil {
		return working(err)
	}
	return working(do(cmd.Context(), pool))
}

func (p program) pool(cmd *cobra.Command, files kubeconfigFiles, config *rest.Config) (*servers.Pool, error) {
	config.Timeout = answersWithin
	config.QPS = -1 // the API server's priority and fairness does it better
	config.WarningHandler = rest.NewWarningWriter(p.stderr, rest.WarningWriterOptions{Deduplicate: true})
	c, err := servers.NewClient(config)
	if err != nil {
		return nil, err
	}
	verbose, _ := cmd.Flags().GetBool("verbose") //nolint:errcheck // commands that kubectl has no counterpart of have no such flag
	kubectl := "kubectl"
	if !files.byVariable {
		kubectl += " --kubeconfig " + shellWord(files.paths[0])
	}
	log, err := servers.NewLog(config)
	if err != nil {
		return nil, err
	}
	return &servers.Pool{
		Client: c, Log: log, URL: config.Host, In: cmd.InOrStdin(), Out: p.stdout, Err: p.stderr,
		Kubectl: kubectl, Verbose: verbose, Now: time.Now, Poll: powerPoll,
	}, nil
}

// kubeconfigFiles are those that tell how the API is reached.
type kubeconfigFiles struct {
	paths []string
	// byVariable tells that $KUBECONFIG names them, which kubectl knows too.
	byVariable bool
}

// clientKubeconfig finds them: a flag beats the variable, and that beats an appliance on this machine.
func (p program) clientKubeconfig(cmd *cobra.Command) (kubeconfigFiles, error) {
	given := cmd.Flags().Changed
	if flag := cmd.Flags().Lookup("kubeconfig"); given("kubeconfig") && flag.Value.String() != "" {
		return kubeconfigFiles{paths: []string{flag.Value.String()}}, nil
	}
	for _, entry := range p.environment {
		paths := filepath.SplitList(strings.TrimPrefix(entry, clientcmd.RecommendedConfigPathEnvVar+"="))
		if !given("data-dir") && !given("config") && strings.HasPrefix(entry, clientcmd.RecommendedConfigPathEnvVar+"=") && len(paths) > 0 {
			return kubeconfigFiles{paths: paths, byVariable: true}, nil
		}
	}
	config, err := p.load(cmd.Flags())
	return kubeconfigFiles{paths: []string{config.KubeconfigPath()}}, err
}

// readClientConfig reads them. $KUBECONFIG may name several, of which some are missing, as kubectl has it.
func readClientConfig(files kubeconfigFiles) (*rest.Config, error) {
	missing := 0
	for _, path := range files.paths {
		switch _, err := os.Stat(path); {
		case errors.Is(err, fs.ErrNotExist):
			missing++
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("you may not read the kubeconfig at %s: try again as root, or name your own with --kubeconfig", path)
		}
	}
	if missing == len(files.paths) {
		return nil, fmt.Errorf("there is no kubeconfig at %s: name one with --kubeconfig or KUBECONFIG; "+
			"\"sidero-appliance kubeconfig\" on the appliance's machine prints it", strings.Join(files.paths, ", "))
	}
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: files.paths}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("you may not read the kubeconfig at %s: try again as root, or name your own with --kubeconfig", strings.Join(files.paths, ", "))
	case err != nil:
		return nil, fmt.Errorf("read kubeconfig %s: %w", strings.Join(files.paths, ", "), err)
	}
	return config, nil
}

// completeServers offers names from the API, or nothing when that does not answer at once.
func (p program) completeServers(cmd *cobra.Command, before []string, begun string) ([]string, cobra.ShellCompDirective) {
	var names []string
	ctx, stop := context.WithTimeout(cmd.Context(), completesWithin)
	defer stop()
	cmd.SetContext(ctx)
	// An error has no place in a completion.
	_ = p.withServers(cmd, func(ctx context.Context, pool *servers.Pool) error {
		names = pool.Complete(ctx, before, begun)
		return nil
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeServer is for commands that take one.
func (p program) completeServer(cmd *cobra.Command, before []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(before) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.completeServers(cmd, before, begun)
}
