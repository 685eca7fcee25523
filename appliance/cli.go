package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sidero-appliance/sidero-appliance/appliance/buildinfo"
	"github.com/sidero-appliance/sidero-appliance/appliance/supervisor"
)

// Exit codes of the program. The systemd unit knows them too.
const (
	exitOK     = 0
	exitFailed = 1 // something went wrong while working
	// exitUsage: the command line or the configuration is wrong, so trying again
	// does not help. EX_CONFIG of sysexits.h; not 2, with which a panic ends.
	exitUsage = 78
)

// program is what the commands need from the world around them.
type program struct {
	environment []string
	stdout      io.Writer
	stderr      io.Writer
	// compose makes the components of the run command.
	compose func(site) ([]supervisor.Component, error)
}

// Main runs the command line, without the program's name, and returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	p := program{environment: os.Environ(), stdout: stdout, stderr: stderr, compose: compose}
	return p.executeUntilSignal(args)
}

// executeUntilSignal ends the command's context when the process is told to
// stop. The second signal, from somebody who is tired of waiting, ends the process.
func (p program) executeUntilSignal(args []string) int {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup(1) asks to survive the terminal
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	context.AfterFunc(ctx, stop)
	return p.execute(ctx, args)
}

func (p program) execute(ctx context.Context, args []string) int {
	root := p.rootCommand()
	root.SetArgs(append([]string{}, args...)) // nil would be those of the process
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(p.stderr, "error: %s\n", strings.TrimSpace(line))
	}
	if errors.As(err, new(failure)) {
		return exitFailed
	}
	return exitUsage
}

// failure marks an error that is not about the command line or the configuration.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// working marks the error of a command that was called rightly.
func working(err error) error {
	if err == nil {
		return nil
	}
	return failure{err}
}

func (p program) rootCommand() *cobra.Command {
	// Libraries add flags of their own to this set of the whole process, and cobra
	// would offer them on every command.
	pflag.CommandLine = pflag.NewFlagSet("none", pflag.ContinueOnError)
	root := &cobra.Command{
		Use:   "sidero-appliance",
		Short: "Turns a rack of bare machines into Talos clusters, from one program",
		Long: `sidero-appliance manages bare machines: it boots them over the network, lists
them in "kubectl get servers", and makes Kubernetes clusters with Talos of them.

It is one program with everything inside; start it with "sidero-appliance run".
Then use kubectl, or the commands for servers, which say the same in fewer words.`,
		Version:       buildinfo.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,

		SuggestionsMinimumDistance: 2, // cobra's own default, which it sets too late
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: see \"%s --help\"", err, cmd.CommandPath())
	})
	root.AddGroup(&cobra.Group{ID: "appliance", Title: "The appliance:"}, &cobra.Group{ID: "servers", Title: "Servers:"})
	addCommands(root, "appliance", p.runCommand(), p.versionCommand(), p.kubeconfigCommand(), p.assetsCommand(), p.rotateCommand(), p.clusterctlRepositoryCommand(),
		p.generateCommand())
	addCommands(root, "servers", p.serverCommands()...)
	return root
}

// addCommands adds commands that help shows under one title.
func addCommands(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, cmd := range commands {
		cmd.GroupID = group
		root.AddCommand(cmd)
	}
}

// noSuchCommand is about a first word that is no command.
func noSuchCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	meant := ""
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		meant = fmt.Sprintf(" did you mean %s?", strings.Join(near, " or "))
	}
	return fmt.Errorf("there is no command %q:%s see \"%s --help\"", args[0], meant, root.CommandPath())
}

// noArguments is about words behind a command that takes flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("\"%s\" takes flags only, not %q: see \"%[1]s --help\"", cmd.CommandPath(), args[0])
}

// load reads the configuration for a command, whose flags may be some or all of
// the settings.
func (p program) load(flags *pflag.FlagSet) (Loaded, error) {
	return Load(Sources{Flags: flags, Environment: p.environment, ReadFile: os.ReadFile})
}
