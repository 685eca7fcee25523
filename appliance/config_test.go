package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/sidero-appliance/sidero-appliance/metadata"
	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
	"github.com/sidero-appliance/sidero-appliance/power"
)

// given by a test: the text of files by path, variables, and command line.
type world struct {
	files map[string]string
	env   []string
	args  []string
}

func (w world) load(t *testing.T) (Loaded, error) {
	t.Helper()
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	bindFlags(flags)
	if err := flags.Parse(w.args); err != nil {
		t.Fatalf("parse flags %q: %v", w.args, err)
	}
	return Load(Sources{Flags: flags, Environment: w.env, ReadFile: func(path string) ([]byte, error) {
		data, ok := w.files[path]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return []byte(data), nil
	}})
}

// TestEverySetting sets each setting in each way there is: by flag, by each of
// its variables, by its key in the file.
func TestEverySetting(t *testing.T) {
	tests := []struct {
		flag, value string
		want        func(*Config)
	}{
		{"data-dir", "/srv/a", func(c *Config) { c.DataDir = "/srv/a" }},
		{"interface", "eth1", func(c *Config) { c.Interfaces = []string{"eth1"} }},
		{"advertise-address", "10.0.0.1", func(c *Config) { c.AdvertiseAddress = "10.0.0.1" }},
		{"secure-port", "7443", func(c *Config) { c.SecurePort = 7443 }},
		{"http-port", "9081", func(c *Config) { c.HTTPPort = 9081 }},
		{"dhcp", "off", func(c *Config) { c.DHCP = DHCPOff }},
		{"kubeconfig", "/root/k", func(c *Config) { c.Kubeconfig = "/root/k" }},
		{"controllers", "-kube", func(c *Config) { c.Controllers = []string{"-kube"} }},
		{"cluster-api-concurrency", "20", func(c *Config) { c.ClusterAPIConcurrency = 20 }},
		{"cluster-api-features", "MachinePool=false", func(c *Config) { c.ClusterAPIFeatures = "MachinePool=false" }},
		{"talos-release-url", "http://10.0.0.2/talos", func(c *Config) { c.TalosReleaseURL = "http://10.0.0.2/talos" }},
		{"asset-directory", "/srv/talos,/srv/mine", func(c *Config) { c.AssetDirectories = []string{"/srv/talos", "/srv/mine"} }},
		{"auto-accept-servers", "true", func(c *Config) { c.AutoAcceptServers = true }},
		{"auto-bmc-setup", "false", func(c *Config) { c.AutoBMCSetup = false }},
		{"insecure-wipe", "false", func(c *Config) { c.InsecureWipe = false }},
		{"ipmi-pxe-method", "bios", func(c *Config) { c.IPMIPXEMethod = power.BIOS }},
		{"boot-from-disk-method", "ipxe-sanboot", func(c *Config) { c.BootFromDiskMethod = bootplan.IPXESANBoot }},
		{"metadata-access", "open", func(c *Config) { c.MetadataAccess = metadata.AccessOpen }},
		{"wireguard-endpoint", "link.lan", func(c *Config) { c.WireGuardEndpoint = "link.lan" }},
		{"wireguard-port", "51900", func(c *Config) { c.WireGuardPort = 51900 }},
		{"negative-address-filter", "10.244.0.0/16,fd00::/8", func(c *Config) { c.NegativeAddressFilter = []string{"10.244.0.0/16", "fd00::/8"} }},
		{"test-power-simulated-explicit-failure-prob", "0.1", func(c *Config) { c.TestPowerExplicit = 0.1 }},
		{"test-power-simulated-silent-failure-prob", "0.25", func(c *Config) { c.TestPowerSilent = 0.25 }},
		{"server-reboot-timeout", "90s", func(c *Config) { c.ServerRebootTimeout = 90 * time.Second }},
		{"extra-agent-kernel-args", "console=ttyS1 quiet", func(c *Config) { c.ExtraAgentKernelArgs = "console=ttyS1 quiet" }},
		{"disable-dhcp-proxy", "true", func(c *Config) { c.DHCP = DHCPOff }},
		{"api-endpoint", "appliance.lan", func(c *Config) { c.AdvertiseAddress = "appliance.lan" }},
		{"api-port", "80", func(c *Config) { c.APIPort = 80 }},
		{"log-level", "debug", func(c *Config) { c.LogLevel = slog.LevelDebug }},
		{"log-format", "json", func(c *Config) { c.LogFormat = LogJSON }},
	}
	tested := map[string]bool{"config": true} // TestConfigurationFile
	for _, test := range tests {
		tested[test.flag] = true
		want := Defaults()
		test.want(&want)
		for name, w := range waysToSet(t, test.flag, test.value) {
			t.Run(name, func(t *testing.T) {
				got, err := w.load(t)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got.Config); diff != "" {
					t.Errorf("configuration (-want +got):\n%s", diff)
				}
			})
		}
	}
	for _, s := range settings(&Config{}) {
		if !tested[s.flag] {
			t.Errorf("--%s has no row in this test", s.flag)
		}
	}
}

func waysToSet(t *testing.T, flag, value string) map[string]world {
	t.Helper()
	table := settings(&Config{})
	s := table[slices.IndexFunc(table, func(s setting) bool { return s.flag == flag })]
	ways := map[string]world{
		"--" + flag: {args: []string{"--" + flag + "=" + value}},
		s.key():     {files: map[string]string{DefaultConfigFile: fmt.Sprintf("%s: %q\n", s.key(), value)}},
	}
	for _, v := range s.variables() {
		ways[v] = world{env: []string{v + "=" + value}}
	}
	return ways
}

func TestPrecedence(t *testing.T) {
	const (
		file     = "httpPort: 1001"
		upstream = "SIDERO_CONTROLLER_MANAGER_CONTAINER_API_PORT=1002"
		ours     = "SIDERO_APPLIANCE_HTTP_PORT=1003"
		flag     = "--http-port=1004"
	)
	files := map[string]string{DefaultConfigFile: file}
	tests := []struct {
		name      string
		world     world
		want      int
		overrides []Override
	}{
		{"default", world{}, 8081, nil},
		{"file over default", world{files: files}, 1001, nil},
		{"Sidero's variable over file", world{files, []string{upstream}, nil}, 1002,
			[]Override{{"httpPort", "SIDERO_CONTROLLER_MANAGER_CONTAINER_API_PORT", "1002"}}},
		{"our variable over Sidero's", world{files, []string{ours, upstream}, nil}, 1003,
			[]Override{{"httpPort", "SIDERO_APPLIANCE_HTTP_PORT", "1003"}}},
		{"flag over everything", world{files, []string{ours, upstream}, []string{flag}}, 1004, nil},
		{"an empty variable is no variable", world{files, []string{"SIDERO_APPLIANCE_HTTP_PORT="}, nil}, 1001, nil},
		{"a flag that says the default still wins", world{files, nil, []string{"--http-port=8081"}}, 8081, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.world.load(t)
			if err != nil {
				t.Fatal(err)
			}
			if got.HTTPPort != test.want {
				t.Errorf("http port is %d, want %d", got.HTTPPort, test.want)
			}
			if diff := cmp.Diff(test.overrides, got.Overrides); diff != "" {
				t.Errorf("overrides (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSiderosNames(t *testing.T) {
	file := func(s string) map[string]string { return map[string]string{DefaultConfigFile: s} }
	tests := []struct {
		name    string
		world   world
		want    func(*Config)
		wantErr string
	}{
		{"- is no endpoint", world{env: []string{"SIDERO_CONTROLLER_MANAGER_API_ENDPOINT=-"}}, func(*Config) {}, ""},
		{"- does not take the file's address away",
			world{files: file("advertiseAddress: 10.0.0.1"), env: []string{"SIDERO_CONTROLLER_MANAGER_API_ENDPOINT=-"}},
			func(c *Config) { c.AdvertiseAddress = "10.0.0.1" }, ""},
		{"- is no kernel arguments",
			world{files: file("extraAgentKernelArgs: quiet"), env: []string{"SIDERO_CONTROLLER_MANAGER_EXTRA_AGENT_KERNEL_ARGS=-"}},
			func(*Config) {}, ""},
		{"an alias in a stronger source wins",
			world{files: file("advertiseAddress: 10.0.0.1"), args: []string{"--api-endpoint=10.0.0.2"}},
			func(c *Config) { c.AdvertiseAddress = "10.0.0.2" }, ""},
		{"the main name in a stronger source wins",
			world{files: file("apiEndpoint: 10.0.0.1"), args: []string{"--advertise-address=10.0.0.2"}},
			func(c *Config) { c.AdvertiseAddress = "10.0.0.2" }, ""},
		{"both names with one meaning", world{args: []string{"--api-endpoint=10.0.0.2", "--advertise-address=10.0.0.2"}},
			func(c *Config) { c.AdvertiseAddress = "10.0.0.2" }, ""},
		{"both names, two meanings", world{args: []string{"--api-endpoint=10.0.0.2", "--advertise-address=10.0.0.3"}}, nil,
			"--api-endpoint: says 10.0.0.2 but --advertise-address says 10.0.0.3: they are two names of one setting, give one"},
		{"proxy and no proxy", world{args: []string{"--dhcp=proxy", "--disable-dhcp-proxy"}}, nil,
			"--disable-dhcp-proxy: says off but --dhcp says proxy"},
		{"proxy on again", world{files: file("disableDhcpProxy: true"), args: []string{"--disable-dhcp-proxy=false"}}, func(*Config) {}, ""},
		{"not disabled is the default", world{env: []string{"SIDERO_CONTROLLER_MANAGER_DISABLE_DHCP_PROXY=false"}}, func(*Config) {}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.world.load(t)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("error is %v, want %s", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := Defaults()
			test.want(&want)
			if diff := cmp.Diff(want, got.Config); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAliasesStandBehindTheirTargets(t *testing.T) {
	table := settings(&Config{})
	for i, s := range table {
		if s.aliasOf == "" {
			continue
		}
		at := slices.IndexFunc(table, func(t setting) bool { return t.flag == s.aliasOf })
		if at < 0 || at > i {
			t.Errorf("--%s is an alias of --%s, which must stand before it", s.flag, s.aliasOf)
		}
	}
}

func TestConfigurationFile(t *testing.T) {
	const path = "/tmp/a.yaml"
	tests := []struct {
		name string
		text string
		want func(*Config)
		errs []string
	}{
		{"empty", "", func(*Config) {}, nil},
		{"comments only", "# dataDir: /x\n", func(*Config) {}, nil},
		{"null", "---\n", func(*Config) {}, nil},
		{"a key without a value is not set", "kubeconfig:\nsecurePort: 1\n", func(c *Config) { c.SecurePort = 1 }, nil},
		{"a list", "interface: [eth1, eth2]\nadvertiseAddress: 192.0.2.1\n", func(c *Config) { c.Interfaces, c.AdvertiseAddress = []string{"eth1", "eth2"}, "192.0.2.1" }, nil},
		{"a list of one, short", "interface: eth1\n", func(c *Config) { c.Interfaces = []string{"eth1"} }, nil},
		{"an anchor", "dataDir: &d /srv/a\nkubeconfig: *d\n", func(c *Config) { c.DataDir, c.Kubeconfig = "/srv/a", "/srv/a" }, nil},
		{"unknown key", "dataDir: /a\nbogus: 1\n", nil, []string{"/tmp/a.yaml:2: bogus: unknown key"}},
		{"a flag's name", "data-dir: /a\n", nil, []string{"/tmp/a.yaml:1: data-dir: unknown key: did you mean dataDir?"}},
		{"config has no key", "config: /b\n", nil, []string{"/tmp/a.yaml:1: config: unknown key"}},
		{"twice", "dataDir: /a\ndataDir: /b\n", nil, []string{"/tmp/a.yaml:2: dataDir: is there twice, first on line 1"}},
		{"wrong type", "securePort: many\n", nil, []string{`/tmp/a.yaml:1: securePort: "many" is not a number`}},
		{"list for one value", "dataDir: [/a, /b]\n", nil, []string{"/tmp/a.yaml:1: dataDir: must be one value, not a list"}},
		{"mapping for a value", "dataDir: {a: b}\n", nil, []string{"/tmp/a.yaml:1: dataDir: must be a value, not a mapping"}},
		{"list of lists", "interface: [eth0, [a]]\n", nil, []string{"/tmp/a.yaml:1: interface[1]: must be a word"}},
		{"not a mapping", "- a\n", nil, []string{"/tmp/a.yaml:1: must be a list of lines"}},
		{"two documents", "dataDir: /a\n---\ndataDir: /b\n", nil, []string{"more than one YAML document"}},
		{"not YAML", "dataDir: [\n", nil, []string{"/tmp/a.yaml: yaml: line 1"}},
		{"everything wrong is told", "bogus: 1\nsecurePort: x\nlogLevel: loud\nserverRebootTimeout: 20\nautoBmcSetup: perhaps\nlogFormat: xml\n", nil, []string{
			"a.yaml:1: bogus: unknown key", `a.yaml:2: securePort: "x" is not a number`, `a.yaml:3: logLevel: "loud" is not one of debug, info, warn, error`,
			`a.yaml:4: serverRebootTimeout: "20" is not a duration`, `a.yaml:5: autoBmcSetup: "perhaps" is neither true nor false`, `a.yaml:6: logFormat: "xml" is not one of text, json`,
		}},
		{"server mode", "dhcp: server\n", nil, []string{"a.yaml:1: dhcp: server is not in this version: use proxy"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := world{files: map[string]string{path: test.text, DefaultConfigFile: "dataDir: /not/read"}, args: []string{"--config=" + path}}
			got, err := w.load(t)
			for _, want := range test.errs {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error is\n     %v\nwant %s", err, want)
				}
			}
			if test.errs != nil {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := Defaults()
			want.File = path
			test.want(&want)
			if diff := cmp.Diff(want, got.Config); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNamedConfigurationFileMustExist(t *testing.T) {
	for name, w := range map[string]world{
		"flag":     {args: []string{"--config=/nowhere.yaml"}},
		"variable": {env: []string{"SIDERO_APPLIANCE_CONFIG=/nowhere.yaml"}},
	} {
		if _, err := w.load(t); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error is %v, want that the file does not exist", name, err)
		}
	}
}

func TestVariablesThatAreNoSettings(t *testing.T) {
	got, err := world{env: []string{
		"HOME=/root", "SIDERO_APPLIANCE_DATADIR=/x", "SIDERO_CONTROLLER_MANAGER_WIREGUARD_PORT=uefi", "SIDERO_APPLIANCE_DATA_DIR=/y",
	}}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"SIDERO_APPLIANCE_DATADIR", "SIDERO_CONTROLLER_MANAGER_WIREGUARD_PORT"}, got.Ignored); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
}

func TestBadVariablesAreNamed(t *testing.T) {
	_, err := world{env: []string{"SIDERO_APPLIANCE_SECURE_PORT=a", "SIDERO_CONTROLLER_MANAGER_INSECURE_WIPE=b"}}.load(t)
	for _, want := range []string{`SIDERO_APPLIANCE_SECURE_PORT: "a" is not a number`, `SIDERO_CONTROLLER_MANAGER_INSECURE_WIPE: "b" is neither`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %s", err, want)
		}
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		change func(*Config)
		want   string // empty: valid
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.DataDir = "" }, "dataDir: must name a directory"},
		{func(c *Config) { c.DataDir = "/" }, "dataDir: must not be the root directory"},
		{func(c *Config) { c.Interfaces = []string{"eth0", "averyveryverylongname"} }, `interface[1]: "averyveryverylongname" is no name`},
		{func(c *Config) { c.Interfaces = []string{"eth0", "eth1", "eth0"} }, "interface[2]: eth0 is there twice"},
		{func(c *Config) { c.AdvertiseAddress = "fd00::1" }, ""},
		{func(c *Config) { c.AdvertiseAddress = "appliance.lan" }, ""},
		{func(c *Config) { c.AdvertiseAddress = "0.0.0.0" }, "advertiseAddress: 0.0.0.0 is no address that machines could reach"},
		{func(c *Config) { c.AdvertiseAddress = "224.0.0.1" }, "advertiseAddress: 224.0.0.1 is no address"},
		{func(c *Config) { c.AdvertiseAddress = "fe80::1%eth0" }, "advertiseAddress: fe80::1%eth0 has a zone"},
		{func(c *Config) { c.AdvertiseAddress = "192.168.1.300" }, "advertiseAddress: \"192.168.1.300\" is neither"},
		{func(c *Config) { c.AdvertiseAddress = "http://10.0.0.1" }, "advertiseAddress: \"http://10.0.0.1\" is neither"},
		{func(c *Config) { c.AdvertiseAddress = "10.0.0.1:8081" }, "advertiseAddress: \"10.0.0.1:8081\" is neither"},
		{func(c *Config) { c.SecurePort = 0 }, "securePort: must be a port from 1 to 65535, not 0"},
		{func(c *Config) { c.HTTPPort = 65536 }, "httpPort: must be a port from 1 to 65535, not 65536"},
		{func(c *Config) { c.HTTPPort = 6443 }, "httpPort: 6443 is securePort already"},
		{func(c *Config) { c.SecurePort = 8082 }, "securePort: 8082 is the health port already"},
		{func(c *Config) { c.APIPort = -1 }, "apiPort: must be a port"},
		{func(c *Config) { c.APIPort = 6443 }, ""}, // another machine may forward it
		{func(c *Config) { c.Controllers = []string{"*", "-kube"} }, ""},
		{func(c *Config) { c.Controllers = nil }, "controllers: must name at least one set"},
		{func(c *Config) { c.Controllers = []string{"*", "metall"} }, `controllers[1]: "metall" is not one of *, kube`},
		{func(c *Config) { c.Controllers = []string{"-*"} }, `controllers[0]: "-*" is not one of`},
		{func(c *Config) { c.ClusterAPIConcurrency = 0 }, "clusterApiConcurrency: must be between 1 and 1000, not 0"},
		{func(c *Config) { c.ClusterAPIFeatures = "MachinePools=false" }, "clusterApiFeatures: unrecognized feature gate: MachinePools; known are"},
		{func(c *Config) { c.ClusterAPIFeatures = "ClusterTopology=false" }, ""},
		{func(c *Config) { c.TalosReleaseURL = "ftp://a/b" }, `talosReleaseUrl: must be an http or https URL, not "ftp://a/b"`},
		{func(c *Config) { c.TalosReleaseURL = "https:///b" }, "talosReleaseUrl: must be"},
		{func(c *Config) { c.TalosReleaseURL = "http://a b" }, "talosReleaseUrl: must be"},
		{func(c *Config) { c.AssetDirectories = []string{"/srv", "/"} }, "assetDirectory[1]: / must not be"},
		{func(c *Config) { c.AssetDirectories = []string{c.DataDir} }, "assetDirectory[0]: " + Defaults().DataDir + " must not be"},
		{func(c *Config) { c.AssetDirectories = []string{c.DataDir + "/pki"} }, "nor hold it or lie in it"},
		{func(c *Config) { c.ServerRebootTimeout = 0 }, "serverRebootTimeout: must be at least 1s, not 0s"},
		{func(c *Config) { c.ServerRebootTimeout = -time.Second }, "serverRebootTimeout: must be at least 1s, not -1s"},
		{func(c *Config) { c.ServerRebootTimeout = 999 * time.Millisecond }, "serverRebootTimeout: must be at least 1s, not 999ms"},
		{func(c *Config) { c.ExtraAgentKernelArgs = "a\nchain http://evil" }, "extraAgentKernelArgs: must be one line"},
	}
	for _, test := range tests {
		c := Defaults()
		test.change(&c)
		err := c.Validate()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%+v: %v", c, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("error is %v, want one with %s", err, test.want)
		}
	}
}

func TestValidateTellsEverything(t *testing.T) {
	c := Defaults()
	c.SecurePort, c.HTTPPort, c.ServerRebootTimeout, c.DataDir = 0, 0, 0, ""
	lines := strings.Split(c.Validate().Error(), "\n")
	if len(lines) != 4 {
		t.Errorf("%d problems, want 4: %q", len(lines), lines)
	}
}

func TestControllersEnabled(t *testing.T) {
	for list, want := range map[string]bool{"*": true, "kube": true, "-kube": false, "*,-kube": false, "other": false, "-other": true} {
		c := Config{Controllers: strings.Split(list, ",")}
		if got := c.ControllersEnabled(controllerSetKube); got != want {
			t.Errorf("--controllers=%s: kube runs is %t, want %t", list, got, want)
		}
	}
}

func TestDerivedValues(t *testing.T) {
	c := Defaults()
	if got := c.KubeconfigPath(); got != "/var/lib/sidero-appliance/admin.kubeconfig" {
		t.Errorf("kubeconfig is at %s", got)
	}
	if got := c.AdvertisedHTTPPort(); got != 8081 {
		t.Errorf("advertised port is %d", got)
	}
	c.HTTPPort, c.Kubeconfig = 9081, "/k"
	if c.AdvertisedHTTPPort() != 9081 || c.KubeconfigPath() != "/k" {
		t.Errorf("derived values do not follow: %d, %s", c.AdvertisedHTTPPort(), c.KubeconfigPath())
	}
}

func TestPathsBecomeAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	got, err := world{args: []string{"--data-dir=here", "--kubeconfig=k"}}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{got.DataDir, got.Kubeconfig} {
		if !strings.HasPrefix(p, "/") {
			t.Errorf("%s is not absolute", p)
		}
	}
}

// TestEveryFieldIsASetting finds a field of Config that nothing can set.
func TestEveryFieldIsASetting(t *testing.T) {
	c := Config{}
	reachable := map[uintptr]bool{}
	for _, s := range settings(&c) {
		reachable[target(s.value)] = true
	}
	for _, s := range structures(&c) {
		reachable[reflect.ValueOf(s.to).Pointer()] = true
	}
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		if !reachable[v.Field(i).Addr().Pointer()] {
			t.Errorf("no setting writes Config.%s", v.Type().Field(i).Name)
		}
	}
}

// target is the address that a value writes to.
func target(value any) uintptr {
	v := reflect.Indirect(reflect.ValueOf(value))
	if v.Kind() == reflect.Struct {
		if inner := v.FieldByName("variable"); inner.IsValid() {
			v = inner
		}
		v = v.FieldByName("to")
	}
	return v.Pointer()
}

func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		20 * time.Minute: "20m", time.Hour: "1h", 90 * time.Second: "1m30s", 10 * time.Second: "10s", time.Hour + time.Second: "1h0m1s", 0: "0s",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%v is written %s, want %s", int64(d), got, want)
		}
	}
}

func TestVariablesAreUnique(t *testing.T) {
	owner := map[string]string{}
	for _, s := range settings(&Config{}) {
		for _, v := range s.variables() {
			if other, ok := owner[v]; ok {
				t.Errorf("%s belongs to --%s and --%s", v, other, s.flag)
			}
			owner[v] = s.flag
		}
	}
	if len(owner) < len(settings(&Config{})) {
		t.Errorf("some setting has no variable: %v", slices.Sorted(maps.Keys(owner)))
	}
}

func TestUnreadableConfigurationFile(t *testing.T) {
	_, err := Load(Sources{ReadFile: func(path string) ([]byte, error) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
	}})
	const want = "read configuration file: open " + DefaultConfigFile + ": permission denied: let everybody read it, there are no secrets in it, with: chmod 644 " + DefaultConfigFile
	if err == nil || err.Error() != want {
		t.Errorf("error is\n     %v\nwant %s", err, want)
	}
}
