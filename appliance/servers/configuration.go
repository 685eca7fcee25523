package servers

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pmezard/go-difflib/difflib"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/metadata"
)

// hidden stands for a secret.
const hidden = "(hidden)"

// around is how many lines are shown before and after a change.
const around = 3

// RenderConfiguration prints what a server's machine would get now, to the byte; or, unless secrets are to be shown, the same in
// another layout with a mark for each.
func (p *Pool) RenderConfiguration(ctx context.Context, name string, secrets bool) error {
	return p.one(ctx, name, func(s *v1alpha2.Server) error {
		binding, err := p.inUse(ctx, s)
		if err != nil {
			return err
		}

		made, err := p.configuration(ctx, s, binding)
		if err != nil {
			return err
		}

		if !secrets {
			if made, err = machineconfig.Redact(made, func(string) string { return hidden }); err != nil {
				return err //nolint:wrapcheck // it says what it is
			}
		}

		p.tellOfSecrets(secrets)

		_, err = p.Out.Write(made)

		return err //nolint:wrapcheck // of the terminal
	})
}

// DiffConfiguration prints what has changed in a server's configuration since its machine fetched it last.
func (p *Pool) DiffConfiguration(ctx context.Context, name string, secrets bool) error {
	return p.one(ctx, name, func(s *v1alpha2.Server) error {
		binding, err := p.inUse(ctx, s)
		if err != nil {
			return err
		}

		fetched, err := p.records().Fetched(ctx, binding)
		if errors.Is(err, metadata.ErrNotFetched) {
			return fmt.Errorf("%w since it came into use: \"sidero-appliance config render %s\" shows what its machine would get", err, s.Name)
		}

		if err != nil {
			return p.explain(err)
		}

		made, err := p.configuration(ctx, s, binding)
		if err != nil {
			return err
		}

		changes, err := compare(fetched, made, secrets)
		if err != nil {
			return err
		}

		if changes == "" {
			fmt.Fprintf(p.Err, "%s: nothing has changed since its machine fetched its configuration, at %s\n", title(s), stamp(fetched.At))

			return nil
		}

		p.tellOfSecrets(secrets)
		fmt.Fprint(p.Out, changes)

		return nil
	})
}

// inUse is the record of a server's use. It is an error if its machine gets no configuration at all.
func (p *Pool) inUse(ctx context.Context, s *v1alpha2.Server) (*v1alpha3.ServerBinding, error) {
	binding, err := p.binding(ctx, s.Name)

	switch {
	case err != nil:
		return nil, err
	case binding == nil:
		return nil, errors.New("it is not in use: there is no configuration for its machine")
	case !s.Spec.Accepted:
		return nil, errors.New("it is not accepted: its machine gets no configuration")
	default:
		return binding, nil
	}
}

func (p *Pool) records() metadata.Records {
	return metadata.Records{Client: p.Client, Namespace: bootstrap.Namespace}
}

// configuration is made as the appliance makes it, by the same function and of the same objects.
func (p *Pool) configuration(ctx context.Context, s *v1alpha2.Server, binding *v1alpha3.ServerBinding) ([]byte, error) {
	link, err := p.records().Link(ctx)
	if errors.Is(err, metadata.ErrNoLink) {
		return nil, fmt.Errorf("%w: the appliance does so when it starts: start it, or look into its log", err)
	}

	if err != nil {
		return nil, p.explain(err)
	}

	sources, err := metadata.Lookup{Objects: p.Client, Live: p.Client}.Sources(ctx, binding, s)
	if err != nil {
		return nil, p.explain(err)
	}

	made, err := metadata.Render(sources, link)
	if err != nil {
		return nil, fmt.Errorf("its machine gets no configuration until this is mended: %w", err)
	}

	if err := machineconfig.Validate(made); err != nil && machineconfig.Known(sources.TalosVersion) {
		fmt.Fprintf(p.Err, "warning: %s\n", printable(err.Error()))
	}

	return made, nil
}

func (p *Pool) tellOfSecrets(shown bool) {
	if shown {
		fmt.Fprintln(p.Err, "This holds secrets of a cluster: whoever has them can take it over.")
	} else {
		fmt.Fprintln(p.Err, "Secrets are hidden: --secrets shows them.")
	}
}

// compare is a unified diff of two configurations, empty when they mean the same. Hidden secrets are told apart by marks that mean
// nothing anywhere else.
func compare(fetched metadata.Fetched, made []byte, secrets bool) (string, error) {
	write := machineconfig.Canonical

	if !secrets {
		key := make([]byte, sha256.Size)
		rand.Read(key) //nolint:errcheck // it never fails

		write = func(configuration []byte) ([]byte, error) {
			return machineconfig.Redact(configuration, func(secret string) string { return marked(key, secret) })
		}
	}

	before, err := write(fetched.Configuration)
	if err != nil {
		return "", fmt.Errorf("what its machine fetched: %w", err)
	}

	now, err := write(made)
	if err != nil {
		return "", err
	}

	return difflib.GetUnifiedDiffString(difflib.UnifiedDiff{ //nolint:wrapcheck // it cannot fail
		A: lines(before), B: lines(now), FromFile: "fetched " + stamp(fetched.At), ToFile: "now", Context: around,
	})
}

// marked is a mark that is the same for the same secret. Without the key, which nobody keeps, it tells nothing of it.
func marked(key []byte, secret string) string {
	code := hmac.New(sha256.New, key)
	code.Write([]byte(secret))

	return fmt.Sprintf("%s %x)", strings.TrimSuffix(hidden, ")"), code.Sum(nil)[:4])
}

func lines(text []byte) []string { return slices.Collect(strings.Lines(string(text))) }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
