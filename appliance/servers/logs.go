package servers

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// LogOptions are how a machine's log is printed.
type LogOptions struct {
	// Follow goes on with what comes.
	Follow bool
	// JSON prints lines as they came.
	JSON bool
}

// Logs prints what the machine of a server has logged, until the context ends if that is asked for.
func (p *Pool) Logs(ctx context.Context, name string, options LogOptions) error {
	return p.one(ctx, name, func(s *v1alpha2.Server) error {
		log, err := p.Log(ctx, s.Name, options.Follow)
		if err != nil {
			return p.explain(fmt.Errorf("read log: %w", err))
		}
		defer log.Close() //nolint:errcheck // only read

		err = p.printLog(log, options)
		if ctx.Err() != nil && options.Follow {
			return nil // a person has seen enough
		}

		return err
	})
}

func (p *Pool) printLog(log io.Reader, options LogOptions) error {
	lines := bufio.NewReader(log)

	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 && !options.JSON {
			line = []byte(readable(line) + "\n")
		}

		if _, err := p.Out.Write(line); err != nil {
			return fmt.Errorf("print log: %w", err)
		}

		if errors.Is(err, io.EOF) {
			return nil
		}

		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
	}
}

// readable is a line for people: when, from where, how bad, and what. A line of another kind stays as it is, as far as it can be printed.
func readable(line []byte) string {
	var record struct {
		Time     string `json:"talos-time"`
		Level    string `json:"talos-level"`
		Facility string `json:"facility"`
		Priority string `json:"priority"`
		Message  string `json:"msg"`
	}

	if json.Unmarshal(line, &record) != nil || record.Message == "" {
		return printable(strings.TrimRight(string(line), "\r\n"))
	}

	text := record.Message
	if level := cmp.Or(record.Priority, record.Level); level != "" {
		text = level + ": " + text
	}

	for _, part := range []string{record.Facility, record.Time} {
		if part != "" {
			text = part + " " + text
		}
	}

	return printable(text)
}

// NewLog returns what opens the log of a Server: that of its API. It waits for ever for what is still to come.
func NewLog(config *rest.Config) (func(ctx context.Context, server string, follow bool) (io.ReadCloser, error), error) {
	patient := rest.CopyConfig(config)
	patient.Timeout = 0
	patient.APIPath, patient.GroupVersion = "/apis", &v1alpha2.GroupVersion
	patient.NegotiatedSerializer = scheme.Codecs.WithoutConversion()

	api, err := rest.RESTClientFor(patient)
	if err != nil {
		return nil, fmt.Errorf("set up client: %w", err)
	}

	return func(ctx context.Context, server string, follow bool) (io.ReadCloser, error) {
		request := api.Get().Resource("servers").Name(server).SubResource("log")
		if follow {
			request = request.Param("follow", "true")
		}

		return request.Stream(ctx)
	}, nil
}
