package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Format is a way to show servers.
type Format string

// The formats. Table is a person's, the others are kubectl's.
const (
	Table Format = "table"
	Wide  Format = "wide"
	JSON  Format = "json"
	YAML  Format = "yaml"
	Name  Format = "name"
)

// List shows the servers that are named, or all.
func (p *Pool) List(ctx context.Context, names []string, format Format) error {
	if len(names) == 0 {
		all, err := p.all(ctx)
		if err != nil {
			return err
		}

		p.say(strings.TrimSpace("get servers " + kubectlFormat(format)))

		if len(all) == 0 && (format == Table || format == Wide) {
			fmt.Fprintln(p.Err, "There are no servers yet: switch machines on that boot from the network, and they turn up here.")

			return nil
		}

		return p.show(ctx, all, format, false)
	}

	found, errs := p.find(ctx, names)
	if len(found) == 0 {
		return errs
	}

	p.say(strings.TrimSpace("get servers " + strings.Join(namesOf(found), " ") + " " + kubectlFormat(format)))

	if err := p.show(ctx, found, format, len(names) == 1); err != nil {
		return err
	}

	return errs
}

// kubectlFormat is the format of kubectl that shows the same, or most of it.
func kubectlFormat(f Format) string {
	if f == Table {
		return "-o wide"
	}

	return "-o " + string(f)
}

func namesOf(servers []v1alpha2.Server) []string {
	var names []string
	for i := range servers {
		names = append(names, servers[i].Name)
	}

	return names
}

// show prints servers, or one by itself.
func (p *Pool) show(ctx context.Context, servers []v1alpha2.Server, format Format, alone bool) error {
	switch format {
	case Name:
		for i := range servers {
			fmt.Fprintf(p.Out, "server.%s/%s\n", v1alpha2.GroupName, servers[i].Name)
		}

		return nil
	case JSON, YAML:
		return encode(p.Out, servers, format, alone)
	case Wide:
		bindings, err := p.bindings(ctx)
		if err != nil {
			return err
		}

		return errors.Join(table(p.Out, columns(p.Now(), bindings), servers), p.showBoots(servers, alone))
	default:
		narrow := slices.DeleteFunc(columns(p.Now(), nil), func(c column[v1alpha2.Server]) bool { return c.wide })

		return errors.Join(table(p.Out, narrow, servers), p.showBoots(servers, alone))
	}
}

// encode prints servers as kubectl does: without what it leaves out, and several as a List.
func encode(w io.Writer, servers []v1alpha2.Server, format Format, alone bool) error {
	list := &unstructured.UnstructuredList{Object: map[string]any{
		"apiVersion": "v1", "kind": "List", "metadata": map[string]any{"resourceVersion": ""},
	}}

	for i := range servers {
		s := &servers[i]
		s.SetGroupVersionKind(v1alpha2.GroupVersion.WithKind("Server"))
		s.ManagedFields = nil

		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s)
		if err != nil {
			return fmt.Errorf("encode server %s: %w", s.Name, err)
		}

		list.Items = append(list.Items, unstructured.Unstructured{Object: fields})
	}

	var object runtime.Object = list
	if alone && len(list.Items) == 1 {
		object = &list.Items[0]
	}

	if format == YAML {
		return serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, nil, nil, serializer.SerializerOptions{Yaml: true}).Encode(object, w)
	}

	text, err := json.MarshalIndent(object, "", "    ") // kubectl's indentation, which the serializer does not have
	if err != nil {
		return fmt.Errorf("encode servers: %w", err)
	}

	_, err = w.Write(append(text, '\n'))

	return err
}

// bindings tell by server what machine uses it.
func (p *Pool) bindings(ctx context.Context) (map[string]string, error) {
	list := &v1alpha3.ServerBindingList{}
	if err := p.Client.List(ctx, list); err != nil {
		return nil, p.explain(fmt.Errorf("list server bindings: %w", err))
	}

	users := map[string]string{}
	for _, b := range list.Items {
		users[b.Name] = b.Spec.MetalMachineRef.Namespace + "/" + b.Spec.MetalMachineRef.Name
	}

	return users, nil
}

// column is one of a table of T.
type column[T any] struct {
	title string
	wide  bool
	cell  func(*T) string
}

func columns(now time.Time, users map[string]string) []column[v1alpha2.Server] {
	return []column[v1alpha2.Server]{
		{"NAME", false, func(s *v1alpha2.Server) string { return s.Name }},
		{"HOSTNAME", false, func(s *v1alpha2.Server) string { return s.Spec.Hostname }},
		{"PHASE", false, func(s *v1alpha2.Server) string { return s.Status.Phase }},
		{"ACCEPTED", true, func(s *v1alpha2.Server) string { return strconv.FormatBool(s.Spec.Accepted) }},
		{"CORDONED", true, func(s *v1alpha2.Server) string { return strconv.FormatBool(s.Spec.Cordoned) }},
		{"ALLOCATED", true, func(s *v1alpha2.Server) string { return strconv.FormatBool(s.Status.InUse) }},
		{"CLEAN", true, func(s *v1alpha2.Server) string { return strconv.FormatBool(s.Status.IsClean) }},
		{"POWER", false, func(s *v1alpha2.Server) string { return s.Status.Power }},
		{"DRIVER", true, func(s *v1alpha2.Server) string { return string(s.Spec.PowerDriver()) }},
		{"BMC", false, bmc},
		{"HARDWARE", false, hardware},
		{"MODEL", true, model},
		{"ADDRESSES", true, addresses},
		{"MACHINE", true, func(s *v1alpha2.Server) string { return users[s.Name] }},
		{"LAST SEEN", false, func(s *v1alpha2.Server) string { return age(now, s.Status.LastSeen) }},
		{"AGE", false, func(s *v1alpha2.Server) string { return age(now, &s.CreationTimestamp) }},
		{"WAITING FOR", false, func(s *v1alpha2.Server) string { return s.Status.WaitingFor }},
	}
}

// table prints rows under the titles of columns.
func table[T any](w io.Writer, columns []column[T], rows []T) error {
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)

	line := func(cell func(column[T]) string) {
		var cells []string
		for _, c := range columns {
			cells = append(cells, printable(cell(c)))
		}

		fmt.Fprintln(out, strings.Join(cells, "\t"))
	}

	line(func(c column[T]) string { return c.title })

	for i := range rows {
		line(func(c column[T]) string { return c.cell(&rows[i]) })
	}

	if err := out.Flush(); err != nil {
		return fmt.Errorf("print table: %w", err)
	}

	return nil
}

func age(now time.Time, then *metav1.Time) string {
	if then.IsZero() {
		return ""
	}

	return duration.HumanDuration(max(0, now.Sub(then.Time)))
}

// bmc is where a machine's BMC is reached, with a port that is not the usual one.
func bmc(s *v1alpha2.Server) string {
	if power := s.Spec.Power; power != nil && power.Redfish != nil && power.Redfish.Endpoint != "" {
		return power.Redfish.Endpoint
	}

	switch b := s.Spec.BMC; {
	case b == nil:
		return ""
	case b.Port == 0 || b.Port == ipmiPort:
		return b.Endpoint
	default:
		return net.JoinHostPort(b.Endpoint, strconv.FormatInt(b.Port, 10))
	}
}

// ipmiPort is RMCP's (IPMI 2.0, section 13.1.2).
const ipmiPort = 623

// hardware sums up what a machine is made of.
func hardware(s *v1alpha2.Server) string {
	h := s.Spec.Hardware
	if h == nil {
		return ""
	}

	var parts []string

	if h.Compute != nil && h.Compute.TotalCoreCount > 0 {
		parts = append(parts, count(h.Compute.TotalCoreCount, "core"))
	}

	if h.Memory != nil && h.Memory.TotalSize != "" {
		parts = append(parts, h.Memory.TotalSize)
	}

	if h.Storage != nil && h.Storage.DeviceCount > 0 {
		text := count(h.Storage.DeviceCount, "disk")
		if h.Storage.TotalSize != "" {
			text += " of " + h.Storage.TotalSize
		}

		parts = append(parts, text)
	}

	return strings.Join(parts, ", ")
}

func count(n int64, what string) string {
	if n != 1 {
		what += "s"
	}

	return fmt.Sprintf("%d %s", n, what)
}

func model(s *v1alpha2.Server) string {
	if s.Spec.Hardware == nil || s.Spec.Hardware.System == nil {
		return ""
	}

	return strings.TrimSpace(s.Spec.Hardware.System.Manufacturer + " " + s.Spec.Hardware.System.ProductName)
}

// addresses are those of the machine, without its names.
func addresses(s *v1alpha2.Server) string {
	var texts []string

	for _, a := range s.Status.Addresses {
		if net.ParseIP(a.Address) != nil {
			texts = append(texts, a.Address)
		}
	}

	return strings.Join(texts, ",")
}
