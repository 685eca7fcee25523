package appliance

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/membership"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterctl/manifest"
	"github.com/sidero-appliance/sidero-appliance/controllers/infrastructure/allocation"
)

// readPool asks the appliance what there is to make a cluster of.
func readPool(ctx context.Context, api client.Reader) (*manifest.Pool, error) {
	classes, all, environments := &v1alpha2.ServerClassList{}, &v1alpha2.ServerList{}, &v1alpha2.EnvironmentList{}
	for _, list := range []client.ObjectList{classes, all, environments} {
		if err := api.List(ctx, list); err != nil {
			return nil, fmt.Errorf("read what there is: %w", err)
		}
	}
	boots := map[string]string{}
	for _, e := range environments.Items {
		boots[e.Name] = e.Spec.Kernel.URL
	}
	pool := &manifest.Pool{Addresses: map[string][]netip.Prefix{}}
	for i := range all.Items {
		pool.Addresses[all.Items[i].Name] = addressesOf(&all.Items[i])
	}
	for i := range classes.Items {
		class := classOf(&classes.Items[i], all.Items)
		name := v1alpha2.EnvironmentDefault
		if ref := classes.Items[i].Spec.EnvironmentRef; ref != nil && ref.Name != "" {
			name = ref.Name
		}
		class.Talos = talosRelease(boots[name])
		pool.Classes = append(pool.Classes, class)
	}
	return pool, nil
}

// classOf finds a class's servers as the allocation of them does.
func classOf(class *v1alpha2.ServerClass, servers []v1alpha2.Server) manifest.Class {
	found := manifest.Class{Name: class.Name, Obstacles: map[string]int{}}
	matcher, err := membership.NewMatcher(class.Spec)
	if err != nil {
		found.Problem = err.Error()
		return found
	}
	for i := range servers {
		s := &servers[i]
		if !matcher.Fits(s) {
			continue
		}
		if obstacle := allocation.Obstacle(s, false); obstacle != "" {
			found.Obstacles[obstacle]++
		} else {
			found.Available = append(found.Available, s.Name)
		}
	}
	return found
}

// addressesOf are those of a server's network interfaces that other machines can reach.
func addressesOf(s *v1alpha2.Server) []netip.Prefix {
	var all []netip.Prefix
	if s.Spec.Hardware == nil || s.Spec.Hardware.Network == nil {
		return nil
	}
	for _, nic := range s.Spec.Hardware.Network.Interfaces {
		if nic == nil {
			continue
		}
		for _, text := range nic.Addresses {
			prefix, err := netip.ParsePrefix(text)
			if err == nil && !prefix.Addr().IsLoopback() && !prefix.Addr().IsLinkLocalUnicast() && !prefix.IsSingleIP() {
				all = append(all, prefix)
			}
		}
	}
	return all
}

// talosRelease finds the release of Talos in the address of a kernel: those of releases and of the image factory have it as a part.
func talosRelease(url string) string {
	found := regexp.MustCompile(`/(v\d+\.\d+\.\d+[^/]*)/[^/]*$`).FindStringSubmatch(url)
	if found == nil {
		return ""
	}
	return found[1]
}
