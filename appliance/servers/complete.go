package servers

import (
	"context"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Complete returns the names and hostnames that start as somebody has begun to type, each with what tells servers apart behind
// a tab. Those of the servers that were typed before are left out. It asks the API, and returns nothing if that fails.
func (p *Pool) Complete(ctx context.Context, before []string, begun string) []string {
	all, err := p.all(ctx)
	if err != nil {
		return nil
	}

	used := map[string]bool{}

	for _, word := range before {
		if s, err := pick(all, word); err == nil {
			used[s.Name] = true
		}
	}

	var out []string

	for i := range all {
		s := &all[i]

		switch {
		case used[s.Name]:
		case strings.HasPrefix(s.Name, strings.ToLower(begun)):
			out = append(out, s.Name+"\t"+describe(s))
		case begun != "" && strings.HasPrefix(s.Spec.Hostname, begun):
			out = append(out, printable(s.Spec.Hostname)+"\t"+s.Name)
		}
	}

	return out
}

func describe(s *v1alpha2.Server) string {
	return printable(strings.TrimSpace(s.Spec.Hostname + " " + s.Status.Phase))
}
