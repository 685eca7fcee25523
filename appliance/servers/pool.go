package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	talos "github.com/sidero-appliance/sidero-appliance/apiserver/apis/bootstrap/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Pool is all servers of an appliance, in the hands of a person. No field may be left out, except as said.
type Pool struct {
	Client client.Client
	// Log opens what the machine of a Server has logged, to follow it where that is asked for.
	Log func(ctx context.Context, server string, follow bool) (io.ReadCloser, error)
	// URL is where the appliance's API is, for errors.
	URL string
	// In, Out and Err are the person's terminal, or what is in its place.
	In       io.Reader
	Out, Err io.Writer
	// Kubectl is kubectl as the person has to call it, with --kubeconfig where that is needed. Verbose prints, before each
	// step, the command that does the same.
	Kubectl string
	Verbose bool
	// Now is the time. Poll is how often a server is looked at that is waited for.
	Now  func() time.Time
	Poll time.Duration
}

// NewClient makes a client of the kinds that commands of people, and machine configurations, are made of.
func NewClient(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha2.AddToScheme(scheme), v1alpha3.AddToScheme(scheme), talos.AddToScheme(scheme), clusterv1.AddToScheme(scheme),
		corev1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("set up client: %w", err)
	}

	// Few kinds are not worth asking the API for all that it has.
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(v1alpha2.GroupVersion.WithKind("Server"), meta.RESTScopeRoot)
	mapper.Add(v1alpha2.GroupVersion.WithKind("ServerClass"), meta.RESTScopeRoot)
	mapper.Add(v1alpha2.GroupVersion.WithKind("Environment"), meta.RESTScopeRoot)
	mapper.Add(v1alpha3.GroupVersion.WithKind("ServerBinding"), meta.RESTScopeRoot)
	mapper.Add(v1alpha3.GroupVersion.WithKind("MetalMachine"), meta.RESTScopeNamespace)
	mapper.Add(v1alpha3.GroupVersion.WithKind("MetalCluster"), meta.RESTScopeNamespace)
	mapper.Add(clusterv1.GroupVersion.WithKind("Machine"), meta.RESTScopeNamespace)
	mapper.Add(talos.GroupVersion.WithKind("TalosConfig"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("ConfigMap"), meta.RESTScopeNamespace)

	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("set up client: %w", err)
	}

	return c, nil
}

// all lists the servers.
func (p *Pool) all(ctx context.Context) ([]v1alpha2.Server, error) {
	list := &v1alpha2.ServerList{}
	if err := p.Client.List(ctx, list); err != nil {
		return nil, p.explain(fmt.Errorf("list servers: %w", err))
	}

	return list.Items, nil
}

// find returns the servers that are meant by words, each once. The error tells of every word that means none, or several.
func (p *Pool) find(ctx context.Context, words []string) ([]v1alpha2.Server, error) {
	all, err := p.all(ctx)
	if err != nil {
		return nil, err
	}

	var (
		found []v1alpha2.Server
		errs  []error
	)

	for _, word := range words {
		server, err := pick(all, word)

		switch {
		case err != nil:
			errs = append(errs, err)
		case !slices.ContainsFunc(found, func(s v1alpha2.Server) bool { return s.Name == server.Name }):
			found = append(found, *server)
		}
	}

	return found, errors.Join(errs...)
}

// pick chooses the server of a name, or else the only one of this hostname or whose name starts so.
func pick(all []v1alpha2.Server, word string) (*v1alpha2.Server, error) {
	var fit []*v1alpha2.Server

	for i := range all {
		s := &all[i]

		switch {
		case s.Name == word:
			return s, nil
		case word != "" && (strings.EqualFold(s.Spec.Hostname, word) || strings.HasPrefix(s.Name, strings.ToLower(word))):
			fit = append(fit, s)
		}
	}

	switch len(fit) {
	case 1:
		return fit[0], nil
	case 0:
		return nil, fmt.Errorf("there is no server whose name starts with %q, and none of this hostname: \"sidero-appliance servers\" shows all", word)
	}

	var titles []string
	for _, s := range fit {
		titles = append(titles, title(s))
	}

	return nil, fmt.Errorf("%q may mean %s: say more of the name", word, strings.Join(titles, ", or "))
}

// each does something to every server that is meant, and goes on with the others when it fails for one.
func (p *Pool) each(ctx context.Context, words []string, do func(*v1alpha2.Server) error) error {
	found, err := p.find(ctx, words)

	return errors.Join(err, about(ctx, found, do))
}

func about(ctx context.Context, found []v1alpha2.Server, do func(*v1alpha2.Server) error) error {
	var errs []error

	for i := range found {
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}

		if err := do(&found[i]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", title(&found[i]), err))
		}
	}

	return errors.Join(errs...)
}

// one finds the server that is meant and does something to it.
func (p *Pool) one(ctx context.Context, word string, do func(*v1alpha2.Server) error) error {
	return p.each(ctx, []string{word}, do)
}

// step is a change of a server that kubectl can make too.
type step struct {
	// kubectl is the command behind "kubectl".
	kubectl string
	// patch is the JSON merge patch (RFC 7396) that the command sends.
	patch string
}

// do makes a change of a server.
func (p *Pool) do(ctx context.Context, s *v1alpha2.Server, change step) error {
	p.say(change.kubectl)

	if err := p.Client.Patch(ctx, s, client.RawPatch(types.MergePatchType, []byte(change.patch))); err != nil {
		return p.explain(fmt.Errorf("change it: %w", err))
	}

	return nil
}

// say prints the command that does with kubectl what is done next.
func (p *Pool) say(command string) {
	if p.Verbose {
		fmt.Fprintf(p.Err, "%s %s\n", p.Kubectl, command)
	}
}

// tell prints a line about a server.
func (p *Pool) tell(s *v1alpha2.Server, format string, args ...any) {
	fmt.Fprintf(p.Out, "%s: %s\n", title(s), printable(fmt.Sprintf(format, args...)))
}

// errNotConfirmed ends what a person did not want after all.
var errNotConfirmed = errors.New("not confirmed: nothing was done")

// confirm waits until a person types a word.
func (p *Pool) confirm(ctx context.Context, word string) error {
	fmt.Fprintf(p.Err, "Type %s to go on: ", word)

	typed := make(chan string, 1)

	go func() { // it ends with the terminal's next line, or with the program
		line, _ := bufio.NewReader(p.In).ReadString('\n')
		typed <- line
	}()

	select {
	case line := <-typed:
		if strings.TrimSpace(line) == word {
			return nil
		}

		if !strings.HasSuffix(line, "\n") {
			fmt.Fprintln(p.Err)
		}

		return errNotConfirmed
	case <-ctx.Done():
		fmt.Fprintln(p.Err)

		return errNotConfirmed
	}
}

// title is a server's name for people.
func title(s *v1alpha2.Server) string {
	if s.Spec.Hostname == "" {
		return s.Name
	}

	return fmt.Sprintf("%s (%s)", s.Name, printable(s.Spec.Hostname))
}

// printable makes a line of a text that may come from a machine, which nobody has accepted yet: it must not steer the
// terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsPrint(r) {
			return r
		}

		return '?'
	}, text)
}
