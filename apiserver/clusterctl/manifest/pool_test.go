package manifest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"k8s.io/utils/ptr"
)

// class has so many servers that are free, whose names begin with its own.
func class(name string, free int) Class {
	k := Class{Name: name, Talos: "v1.13.6"}
	for i := range free {
		k.Available = append(k.Available, fmt.Sprintf("%s%d", name, i))
	}

	return k
}

func pool(classes ...Class) *Pool { return &Pool{Classes: classes} }

// TestChoose has nothing said but what is in the case.
func TestChoose(t *testing.T) {
	n := ptr.To[int64]

	for name, c := range map[string]struct {
		said Cluster
		pool *Pool
		want string // control plane's class and machines, workers'
		note string
	}{
		"nobody to ask":               {Cluster{}, nil, "any 1, any 0", "without workers"},
		"no classes":                  {Cluster{}, pool(), "any 1, any 0", "of 0 servers"},
		"nothing free":                {Cluster{}, pool(class("any", 0)), "any 1, any 0", "without workers"},
		"one":                         {Cluster{}, pool(class("any", 1)), "any 1, any 0", "without workers"},
		"two":                         {Cluster{}, pool(class("any", 2)), "any 1, any 1", "of 2 servers"},
		"four":                        {Cluster{}, pool(class("any", 4)), "any 1, any 3", "of 4 servers"},
		"five":                        {Cluster{}, pool(class("any", 5)), "any 3, any 2", "3 of the control plane and 2 workers, of 5 servers"},
		"many":                        {Cluster{}, pool(class("any", 900)), "any 3, any 3", "of 900 servers"},
		"any comes first":             {Cluster{}, pool(class("any", 2), class("big", 4)), "any 1, any 1", "of 2 servers"},
		"no class any":                {Cluster{}, pool(class("big", 1), class("small", 2)), "small 1, small 1", "of 2 servers"},
		"alike":                       {Cluster{}, pool(class("b", 1), class("a", 1)), "a 1, a 0", "of 1 servers"},
		"of two classes":              {Cluster{ControlPlaneClass: "cp", WorkerClass: "w"}, pool(class("cp", 3), class("w", 1)), "cp 3, w 1", "of 4 servers"},
		"of a small one":              {Cluster{ControlPlaneClass: "cp", WorkerClass: "w"}, pool(class("cp", 2), class("w", 9)), "cp 1, w 3", "of 11 servers"},
		"of two that share":           {Cluster{ControlPlaneClass: "a", WorkerClass: "b"}, pool(class("a", 4), Class{Name: "b", Available: []string{"a0", "a1"}}), "a 1, b 2", "of 4 servers"},
		"workers are said":            {Cluster{Workers: n(1)}, pool(class("any", 4)), "any 3, any 1", "of 4 servers"},
		"too many workers are said":   {Cluster{Workers: n(9)}, pool(class("any", 4)), "any 1, any 9", "of 4 servers"},
		"no workers are said":         {Cluster{Workers: n(0)}, pool(class("any", 3)), "any 3, any 0", "of 3 servers"},
		"the control plane is said":   {Cluster{ControlPlanes: n(1)}, pool(class("any", 9)), "any 1, any 3", "of 9 servers"},
		"too large a one is said":     {Cluster{ControlPlanes: n(5)}, pool(class("any", 3)), "any 5, any 0", "of 3 servers"},
		"all is said":                 {Cluster{ControlPlanes: n(1), Workers: n(0)}, pool(class("any", 9)), "any 1, any 0", ""},
		"a class is said that is not": {Cluster{ControlPlaneClass: "none"}, pool(class("any", 9)), "none 1, none 0", "of 0 servers"},
	} {
		got, notes := Choose(c.said, c.pool)
		note := strings.Join(notes, "; ")

		if is := fmt.Sprintf("%s %d, %s %d", got.ControlPlaneClass, *got.ControlPlanes, got.WorkerClass, *got.Workers); is != c.want ||
			!strings.Contains(note, c.note) || (note == "") != (c.note == "") {
			t.Errorf("%s: %s; %s", name, is, note)
		}
	}
}

func TestVersions(t *testing.T) {
	for name, c := range map[string]struct {
		said  Cluster
		boots string
		want  string
	}{
		"unknown":         {Cluster{}, "", "v1.13 v1.36.3"},
		"newest":          {Cluster{}, "v1.13.6", "v1.13 v1.36.3"},
		"older":           {Cluster{}, "v1.10.4", "v1.10 v1.33.0"},
		"newer":           {Cluster{}, "v9.9.0", "v9.9 v1.36.3"},
		"Talos is said":   {Cluster{TalosVersion: "v1.9"}, "v1.13.6", "v1.9 v1.32.0"},
		"both are said":   {Cluster{TalosVersion: "v1.9", KubernetesVersion: "v1.31.7"}, "v1.13.6", "v1.9 v1.31.7"},
		"nonsense":        {Cluster{TalosVersion: "new"}, "v1.13.6", "new v1.36.3"},
		"no Talos at all": {Cluster{}, "custom", "v1.13 v1.36.3"},
	} {
		got, _ := Choose(c.said, pool(Class{Name: "any", Talos: c.boots}))
		if is := got.TalosVersion + " " + got.KubernetesVersion; is != c.want {
			t.Errorf("%s: %s, want %s", name, is, c.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	const sameClass = "take their servers from the same class, any"

	servers := map[string][]netip.Prefix{"node-7": {netip.MustParsePrefix("10.0.0.7/24")}, "node-8": {netip.MustParsePrefix("10.0.0.8/24")}}

	for name, c := range map[string]struct {
		change func(*Cluster, *Pool)
		want   []string
	}{
		"fits": {func(*Cluster, *Pool) {}, nil},
		"no classes": {func(_ *Cluster, p *Pool) { p.Classes = nil }, []string{
			"no server class any: the machines wait until you make it. --control-plane-class names another: there is none yet",
			"no server class big: the machines wait until you make it. --worker-class names another: there is none yet",
		}},
		"another class": {func(c *Cluster, _ *Pool) { c.WorkerClass = "bug" }, []string{"--worker-class names another: there are any, big"}},
		"few": {func(_ *Cluster, p *Pool) {
			p.Classes[0] = Class{Name: "any", Available: []string{"a"}, Obstacles: map[string]int{"not clean": 2, "in use": 1}}
		}, []string{"any has 1 free servers, and the cluster wants 3: the others wait. Of the rest of the class are 1 in use, 2 not clean:"}},
		"none other":         {func(_ *Cluster, p *Pool) { p.Classes[0].Available = nil }, []string{"any has 0 free servers, and the cluster wants 3: the others wait. It asks for what no other server is"}},
		"not understood":     {func(_ *Cluster, p *Pool) { p.Classes[0] = Class{Name: "any", Problem: "bad selector"} }, []string{"cannot be understood: bad selector"}},
		"one class, enough":  {func(c *Cluster, p *Pool) { c.WorkerClass, p.Classes[0] = "any", class("any", 5) }, []string{sameClass}},
		"one class, few":     {func(c *Cluster, p *Pool) { c.WorkerClass, p.Classes[0] = "any", class("any", 4) }, []string{"any has 4 free servers, and the cluster wants 5", sameClass}},
		"one class, one use": {func(c *Cluster, _ *Pool) { c.WorkerClass, c.Workers = "any", ptr.To[int64](0) }, nil},
		"no workers, no big": {func(c *Cluster, p *Pool) { c.Workers, p.Classes = ptr.To[int64](0), p.Classes[:1] }, nil},
		"in both": {func(_ *Cluster, p *Pool) { p.Classes[1].Available = []string{"any1", "any2"} }, []string{
			"the classes any and big have 3 free servers together, because some are in both, and the cluster wants 5",
		}},
		"older Talos":       {func(_ *Cluster, p *Pool) { p.Classes[1].Talos = "v1.12.1" }, []string{"class big boot Talos v1.12.1, which may not know a configuration for v1.13: give --talos-version v1.12"}},
		"newer Talos":       {func(_ *Cluster, p *Pool) { p.Classes[1].Talos = "v1.14.0" }, nil},
		"old Kubernetes":    {func(c *Cluster, _ *Pool) { c.KubernetesVersion = "v1.20.0" }, []string{"too old to be used with Talos 1.13.0: give --kubernetes-version v1.36.3"}},
		"new Kubernetes":    {func(c *Cluster, _ *Pool) { c.KubernetesVersion = "v1.40.0" }, []string{"too new to be used with Talos 1.13.0: give --kubernetes-version v1.36.3"}},
		"unknown Talos":     {func(c *Cluster, _ *Pool) { c.TalosVersion = "v9.9" }, []string{"what it runs is not known here", "class any boot", "class big boot"}},
		"endpoint at hand":  {func(c *Cluster, _ *Pool) { c.Endpoint = "10.0.0.99" }, []string{"10.0.0.99 is in the network of the machines, and nothing here makes it lead to them. If no load balancer has it, give --virtual-ip 10.0.0.99"}},
		"endpoint, shared":  {func(c *Cluster, _ *Pool) { c.Endpoint, c.VirtualIP = "10.0.0.99", "10.0.0.99" }, nil},
		"endpoint by name":  {func(c *Cluster, _ *Pool) { c.Endpoint = "rack.example.com" }, nil},
		"shared":            {func(c *Cluster, _ *Pool) { c.Endpoint, c.VirtualIP = "", "10.0.0.99" }, nil},
		"shared elsewhere":  {func(c *Cluster, _ *Pool) { c.Endpoint, c.VirtualIP = "", "10.0.9.9" }, []string{"10.0.9.9 is in no network that a server has an address in, and machines can share only one that is: there are 10.0.0.0/24"}},
		"shared, no server": {func(c *Cluster, p *Pool) { c.Endpoint, c.VirtualIP, p.Addresses = "", "10.0.9.9", nil }, nil},
		"a server's":        {func(c *Cluster, _ *Pool) { c.Endpoint, c.VirtualIP = "", "10.0.0.8" }, []string{"10.0.0.8 is the address of server node-8"}},
	} {
		cluster, p := valid(), Pool{Classes: []Class{class("any", 3), class("big", 2)}, Addresses: servers}
		c.change(&cluster, &p)

		if got := Warnings(cluster, &p); !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
