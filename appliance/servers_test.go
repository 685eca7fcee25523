package appliance

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
)

func TestServerCommandsUsedWrongly(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"accept"}, `error: "sidero-appliance accept": which servers? see "sidero-appliance accept --help"`},
		{[]string{"accept", "--all", "a"}, `error: "sidero-appliance accept" takes names or --all, not both: see "sidero-appliance accept --help"`},
		{[]string{"cordon"}, `error: "sidero-appliance cordon": which servers? see "sidero-appliance cordon --help"`},
		{[]string{"uncordon"}, `error: "sidero-appliance uncordon": which servers? see "sidero-appliance uncordon --help"`},
		{[]string{"power"}, `error: "sidero-appliance power" takes on, off, cycle or status, and then names: see "sidero-appliance power --help"`},
		{[]string{"power", "of", "a"}, `error: "sidero-appliance power" takes on, off, cycle or status, and then names: see "sidero-appliance power --help"`},
		{[]string{"power", "off"}, `error: "sidero-appliance power": which servers? see "sidero-appliance power --help"`},
		{[]string{"power", "off", "a", "--timeout=-1s"}, "error: --timeout -1s: must not be negative"},
		{[]string{"wipe", "a", "b"}, `error: "sidero-appliance wipe" takes one server, not 2: see "sidero-appliance wipe --help"`},
		{[]string{"wipe", "--plan", "--yes", "a"}, `error: --plan changes nothing, so there is nothing to say --yes to: see "sidero-appliance wipe --help"`},
		{[]string{"boot-window", "a", "b"}, `error: "sidero-appliance boot-window" takes one server, not 2: see "sidero-appliance boot-window --help"`},
		{[]string{"config", "rendr", "a"}, `error: there is no command "rendr": did you mean render? see "sidero-appliance config --help"`},
		{[]string{"config", "render"}, `error: "sidero-appliance config render" takes one server, not 0: see "sidero-appliance config render --help"`},
		{[]string{"config", "diff", "a", "b"}, `error: "sidero-appliance config diff" takes one server, not 2: see "sidero-appliance config diff --help"`},
		{[]string{"config", "diff", "a", "--secret"}, `error: unknown flag: --secret: see "sidero-appliance config diff --help"`},
		{[]string{"release"}, `error: "sidero-appliance release" takes one server, not 0: see "sidero-appliance release --help"`},
		{[]string{"servers", "-o", "xml"}, `error: invalid argument "xml" for "-o, --output" flag: "xml" is not one of table, wide, json, yaml, name: see "sidero-appliance servers --help"`},
		{[]string{"servers", "--config=/nowhere.yaml"}, "error: read configuration file: open /nowhere.yaml: no such file or directory: write it, or name another with --config"},
	} {
		if got := command(t, nil, test.args...); got.code != exitUsage || got.stdout != "" || got.stderr != test.want+"\n" {
			t.Errorf("%v: exit code %d: %s%s\nwant %s", test.args, got.code, got.stdout, got.stderr, test.want)
		}
	}
}

// TestWhichKubeconfig finds out by what is missing.
func TestWhichKubeconfig(t *testing.T) {
	const variable = "KUBECONFIG=/var/a" + string(filepath.ListSeparator) + "/var/b"
	for name, test := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"by flag":                            {[]string{variable}, []string{"--kubeconfig", "/flag", "--data-dir", "/data"}, "/flag"},
		"by a directory":                     {[]string{variable}, []string{"--data-dir", "/data"}, "/data/admin.kubeconfig"},
		"by variable":                        {[]string{variable, "SIDERO_APPLIANCE_DATA_DIR=/data"}, nil, "/var/a, /var/b"},
		"by an empty variable":               {[]string{"KUBECONFIG=", "SIDERO_APPLIANCE_DATA_DIR=/data"}, nil, "/data/admin.kubeconfig"},
		"by the variable of the appliance's": {[]string{"SIDERO_APPLIANCE_KUBECONFIG=/own"}, nil, "/own"},
	} {
		got := command(t, test.env, append([]string{"servers"}, test.args...)...)
		want := "error: there is no kubeconfig at " + test.want + ": name one with --kubeconfig or KUBECONFIG; " +
			"\"sidero-appliance kubeconfig\" on the appliance's machine prints it\n"
		if got.code != exitFailed || got.stdout != "" || got.stderr != want {
			t.Errorf("%s: exit code %d: %s%s\nwant %s", name, got.code, got.stdout, got.stderr, want)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := command(t, nil, "servers", "--kubeconfig", empty); got.code != exitFailed || !strings.HasPrefix(got.stderr, "error: read kubeconfig "+empty+": ") {
		t.Errorf("an empty file: exit code %d: %s", got.code, got.stderr)
	}
}

func TestServerCommands(t *testing.T) {
	dir := t.TempDir()
	plane := apitest.StartIn(t, dir)
	c, err := servers.NewClient(plane.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"aa", "ab"} {
		s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha2.ServerSpec{Hostname: "host-" + name}}
		if err := c.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	here, known := "--data-dir="+dir, []string{"KUBECONFIG=" + plane.Kubeconfig + ":/missing"}
	kubectl := "kubectl --kubeconfig " + shellWord(plane.Kubeconfig)
	for _, test := range []struct {
		env  []string
		args string
		want result
	}{
		{nil, "servers -o name -v " + here, result{exitOK, "server.metal.sidero.dev/aa\nserver.metal.sidero.dev/ab\n", kubectl + " get servers -o name\n"}},
		{known, "servers -o name -v host-ab", result{exitOK, "server.metal.sidero.dev/ab\n", "kubectl get servers ab -o name\n"}},
		{known, "accept a aa", result{exitFailed, "aa (host-aa): accepted; it is wiped before its first use\n", "error: \"a\" may mean aa (host-aa), or ab (host-ab): say more of the name\n"}},
		{known, "accept --all", result{exitOK, "ab (host-ab): accepted; it is wiped before its first use\n", ""}},
		{known, "cordon aa", result{exitOK, "aa (host-aa): cordoned\n", ""}},
		{known, "uncordon aa", result{exitOK, "aa (host-aa): uncordoned\n", ""}},
		{known, "power status ab", result{exitOK, "NAME   HOSTNAME   POWER     DRIVER   BMC   PROBLEM\nab     host-ab    unknown   manual         \n", ""}},
		{known, "power on --timeout 0 ab", result{exitFailed, "", "error: ab (host-ab): nothing controls its power, so somebody has to go there: spec.bmc or spec.power of the server changes that\n"}},
		{known, "wipe --plan ab", result{exitFailed, "", "error: ab (host-ab): its agent has not told yet what a wipe would do: start the machine from the network, and look again\n"}},
		{known, "wipe --yes ab", result{exitOK, "ab (host-ab): is to be wiped already\n", ""}},
		{known, "release --yes ab", result{exitFailed, "", "error: ab (host-ab): it is not in use: there is nothing to take back\n"}},
		{known, "boot-window ab", result{exitFailed, "", "error: ab (host-ab): it is not in use: there is no configuration for its machine\n"}},
		{known, "config render ab", result{exitFailed, "", "error: ab (host-ab): it is not in use: there is no configuration for its machine\n"}},
		{nil, "config diff --secrets ab " + here, result{exitFailed, "", "error: ab (host-ab): it is not in use: there is no configuration for its machine\n"}},
		{known, "__complete config render a", result{exitOK, "aa\thost-aa\nab\thost-ab\n:4\n", "Completion ended with directive: ShellCompDirectiveNoFileComp\n"}},
		{known, "__complete accept a", result{exitOK, "aa\thost-aa\nab\thost-ab\n:4\n", "Completion ended with directive: ShellCompDirectiveNoFileComp\n"}},
		{nil, "__complete power off " + here + " aa ho", result{exitOK, "host-ab\tab\n:4\n", "Completion ended with directive: ShellCompDirectiveNoFileComp\n"}},
		{nil, "__complete power o", result{exitOK, "on\noff\ncycle\nstatus\n:4\n", "Completion ended with directive: ShellCompDirectiveNoFileComp\n"}},
		{nil, "__complete accept --data-dir=/nowhere a", result{exitOK, ":4\n", "Completion ended with directive: ShellCompDirectiveNoFileComp\n"}},
		{known, "__complete wipe aa a", result{exitOK, ":4\n", "Completion ended with directive: ShellCompDirectiveNoFileComp\n"}},
	} {
		if got := command(t, test.env, strings.Fields(test.args)...); got != test.want {
			t.Errorf("%s:\n%+v\nwant\n%+v", test.args, got, test.want)
		}
	}
}

// TestServersOfAStoppedAppliance has a port that nobody listens on.
func TestServersOfAStoppedAppliance(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "https://" + listener.Addr().String()
	listener.Close()
	path := filepath.Join(t.TempDir(), "k")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: '" + url + "'}}]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "error: the appliance at " + url + " does not answer: start it with \"sidero-appliance run\", or use the kubeconfig of another: dial tcp "
	if got := command(t, nil, "servers", "--kubeconfig", path); got.code != exitFailed || !strings.HasPrefix(got.stderr, want) {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
}
