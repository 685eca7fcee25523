package appliance

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterapi"
)

// Validate returns everything that is wrong with the configuration, joined,
// each with the key's path.
func (c Config) Validate() error {
	v := &problems{}
	v.check("dataDir", c.DataDir != "", "must name a directory")
	v.check("dataDir", c.DataDir != "/", "must not be the root directory")
	c.validateInterfaces(v)
	c.validateAddress(v)
	c.validatePorts(v)
	c.validateSideroLink(v)
	c.validateControllers(v)
	c.validateWebhookServices(v)
	v.check("clusterApiConcurrency", c.ClusterAPIConcurrency >= 1 && c.ClusterAPIConcurrency <= 1000, "must be between 1 and 1000, not %d", c.ClusterAPIConcurrency)
	if err := clusterapi.CheckFeatures(c.ClusterAPIFeatures); err != nil {
		v.check("clusterApiFeatures", false, "%v", err)
	}
	u, err := url.Parse(c.TalosReleaseURL)
	v.check("talosReleaseUrl", err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "",
		"must be an http or https URL, not %q", c.TalosReleaseURL)
	c.validateAssetDirectories(v)
	// Sidero's agent cuts it to whole seconds and panics if none are left.
	v.check("serverRebootTimeout", c.ServerRebootTimeout >= time.Second, "must be at least 1s, not %s", c.ServerRebootTimeout)
	// The arguments become part of one line of an iPXE script.
	v.check("extraAgentKernelArgs", !strings.ContainsFunc(c.ExtraAgentKernelArgs, unicode.IsControl), "must be one line without control characters")
	return errors.Join(v.found...)
}

// problems collects what is wrong.
type problems struct{ found []error }

func (p *problems) check(path string, ok bool, format string, args ...any) {
	if !ok {
		p.found = append(p.found, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
	}
}

// validateAssetDirectories keeps machines from reading what the appliance keeps, its keys above all.
func (c Config) validateAssetDirectories(v *problems) {
	for i, dir := range c.AssetDirectories {
		v.check(fmt.Sprintf("assetDirectory[%d]", i), !holds(dir, c.DataDir) && !holds(c.DataDir, dir),
			"%s must not be the data directory, nor hold it or lie in it: everything in it can be read by machines", dir)
	}
}

// holds tells whether a path is a directory or lies in it.
func holds(dir, path string) bool {
	name, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(name)
}

// maxInterfaceName is IFNAMSIZ of Linux without the final zero byte.
const maxInterfaceName = 15

func (c Config) validateInterfaces(v *problems) {
	for i, name := range c.Interfaces {
		path := fmt.Sprintf("interface[%d]", i)
		v.check(path, len(name) <= maxInterfaceName && !strings.ContainsAny(name, "/ \t"), "%q is no name of a network interface", name)
		v.check(path, slices.Index(c.Interfaces, name) == i, "%s is there twice", name)
	}
}

func (c Config) validateAddress(v *problems) {
	if c.AdvertiseAddress == "" {
		// A boot script carries one address, whichever interface it goes out by.
		v.check("advertiseAddress", len(c.Interfaces) < 2,
			"must be given with several interfaces: set --advertise-address to one that machines behind all of %s can reach", strings.Join(c.Interfaces, ", "))
		return
	}
	v.checkHost("advertiseAddress", c.AdvertiseAddress)
}

func (c Config) validateSideroLink(v *problems) {
	if c.WireGuardEndpoint != "" {
		v.checkHost("wireguardEndpoint", c.WireGuardEndpoint)
	}
	v.check("wireguardPort", validPort(c.WireGuardPort), "must be a port from 1 to 65535, not %d", c.WireGuardPort)
	v.check("wireguardPort", !slices.Contains([]int{DHCPPort, DHCPBootPort, TFTPPort}, c.WireGuardPort), "%d is a port of DHCP or TFTP", c.WireGuardPort)
	for i, network := range c.NegativeAddressFilter {
		_, err := netip.ParsePrefix(network)
		v.check(fmt.Sprintf("negativeAddressFilter[%d]", i), err == nil || network == noNetwork, "%q is no network such as 10.244.0.0/16", network)
	}
}

// checkHost is for what machines are told to send to.
func (p *problems) checkHost(path, host string) {
	a, err := netip.ParseAddr(host)
	if err != nil {
		name := regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?$`)
		p.check(path, name.MatchString(host) && !looksLikeIPv4(host), "%q is neither an IP address nor a host name (no port, no scheme)", host)
		return
	}
	p.check(path, !a.IsUnspecified() && !a.IsMulticast(), "%s is no address that machines could reach", a)
	p.check(path, a.Zone() == "", "%s has a zone, which is only known to this machine", a)
}

// looksLikeIPv4 is true for digits and dots only: a mistyped address such as
// 192.168.1.300 must not be looked up as a name.
func looksLikeIPv4(s string) bool { return strings.Trim(s, "0123456789.") == "" }

func (c Config) validatePorts(v *problems) {
	ports := []struct {
		path string
		port int
	}{{"securePort", c.SecurePort}, {"httpPort", c.HTTPPort}}
	taken := map[int]string{HealthPort: "the health port"}
	for _, p := range ports {
		ok := validPort(p.port)
		v.check(p.path, ok, "must be a port from 1 to 65535, not %d", p.port)
		other, twice := taken[p.port]
		v.check(p.path, !ok || !twice, "%d is %s already", p.port, other)
		taken[p.port] = p.path
	}
	v.check("apiPort", c.APIPort == 0 || validPort(c.APIPort), "must be a port from 1 to 65535, not %d", c.APIPort)
}

func validPort(p int) bool { return p >= 1 && p <= 65535 }

func (c Config) validateControllers(v *problems) {
	known := append([]string{allControllers}, controllerSets()...)
	v.check("controllers", len(c.Controllers) > 0, "must name at least one set: * is all of them")
	for i, name := range c.Controllers {
		set := strings.TrimPrefix(name, "-")
		v.check(fmt.Sprintf("controllers[%d]", i), slices.Contains(known, set) && name != "-"+allControllers,
			"%q is not one of %s, or one of these with a - before it", name, strings.Join(known, ", "))
	}
}
