package appliance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidero-appliance/sidero-appliance/appliance/network"
	"github.com/sidero-appliance/sidero-appliance/appliance/supervisor"
)

// asProgram makes this test binary the program: its value is what the one
// component that it runs does.
const asProgram = "APPLIANCE_TEST_COMPONENT"

func TestMain(m *testing.M) {
	behaviour, ok := os.LookupEnv(asProgram)
	if !ok {
		os.Exit(m.Run())
	}
	if err := buildNetwork(); err != nil {
		fmt.Println(err)
		os.Exit(70)
	}
	p := program{environment: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}
	p.compose = func(s site) ([]supervisor.Component, error) {
		if behaviour == "cannot be made" {
			return nil, errors.New("open images: this binary was built without them")
		}
		if behaviour == "watches" {
			watch := newAddressWatch(s)
			watch.every = 10 * time.Millisecond
			return []supervisor.Component{watch}, nil
		}
		return []supervisor.Component{component(behaviour)}, nil
	}
	os.Exit(p.executeUntilSignal(os.Args[1:]))
}

// component is a fake that behaves as its text says.
type component string

func (c component) Name() string                { return "fake" }
func (c component) Ready(context.Context) error { return nil }
func (c component) Run(ctx context.Context) error {
	if c == "fails" {
		return errors.New("disk on fire")
	}
	<-ctx.Done()
	if c == "hangs" {
		select {}
	}
	return nil
}

// buildNetwork gives the process's own network namespace an interface.
func buildNetwork() error {
	for _, args := range []string{
		"link set lo up", "link add lan0 type veth peer name idle0", "address add 192.0.2.10/24 dev lan0", "link set lan0 up",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s (Debian package iproute2)", args, err, out)
		}
	}
	return nil
}

// started is the program running as a process of its own.
type started struct {
	*exec.Cmd
	out *output
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// launch runs the program in a network namespace of its own.
func launch(t *testing.T, behaviour string, environment []string, args ...string) started {
	t.Helper()
	p := prepared(t, behaviour, environment, args...)
	if err := p.Start(); err != nil {
		t.Fatalf("start program in a network namespace: %v (run the tests as root)", err)
	}
	t.Cleanup(func() { p.Process.Kill() })
	return p
}

// prepared is what launch starts.
func prepared(t *testing.T, behaviour string, environment []string, args ...string) started {
	t.Helper()
	o := &output{}
	cmd := exec.Command("/proc/self/exe", append([]string{"run"}, args...)...)
	cmd.Env = append(append(os.Environ(), asProgram+"="+behaviour), environment...)
	cmd.Stdout, cmd.Stderr = o, o
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	return started{cmd, o}
}

// code waits for the process to end.
func (s started) code(t *testing.T) int {
	t.Helper()
	err := s.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return s.ProcessState.ExitCode()
}

// systemd listens where systemd would for what a service tells it.
func systemd(t *testing.T) (environment string, next func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return "NOTIFY_SOCKET=" + path, func() string {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 1024)
		n, err := c.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
}

// TestLifeAsAService is a whole life under a service manager.
func TestLifeAsAService(t *testing.T) {
	dir := t.TempDir()
	variable, next := systemd(t)
	p := launch(t, "works", []string{variable, "SIDERO_APPLIANCE_LOG_FORMAT=json", "SIDERO_APPLIANCE_TYPO=1"}, "--data-dir", dir)
	if got := next(); got != "READY=1" {
		t.Errorf("told systemd %q, want READY=1", got)
	}
	second := launch(t, "works", nil, "--data-dir", dir)
	if code := second.code(t); code != exitFailed {
		t.Errorf("second instance: exit code %d, want 1", code)
	}
	want := fmt.Sprintf("error: data directory %s is in use by another sidero-appliance (process %d)", dir, p.Process.Pid)
	if !strings.Contains(second.out.String(), want) {
		t.Errorf("second instance says\n     %s\nwant %s", second.out, want)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != "STOPPING=1" {
		t.Errorf("told systemd %q, want STOPPING=1", got)
	}
	if code := p.code(t); code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}
	text := p.out.String()
	for _, want := range []string{
		"The administrator's kubeconfig is " + dir + "/admin.kubeconfig",
		"export KUBECONFIG=" + dir + "/admin.kubeconfig", "kubectl get servers -w", " wipe --plan NAME ", " accept NAME ",
		`"msg":"setting comes from the environment","setting":"logFormat","variable":"SIDERO_APPLIANCE_LOG_FORMAT","value":"json"`,
		`"msg":"variable has no effect: this version has no such setting","variable":"SIDERO_APPLIANCE_TYPO"`,
		`"msg":"component is ready","component":"fake","duration":`,
		`"msg":"all components have stopped"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("output lacks %s:\n%s", want, text)
		}
	}
	if regexp.MustCompile(`"level":"ERROR"`).MatchString(text) {
		t.Errorf("an error was logged:\n%s", text)
	}
}

func TestSecondSignalEndsWhatHangs(t *testing.T) {
	variable, next := systemd(t)
	p := launch(t, "hangs", []string{variable}, "--data-dir", t.TempDir())
	next() // READY=1
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	next() // STOPPING=1
	ended := make(chan int)
	go func() { ended <- p.code(t) }()
	// The first of these may still meet the handler of the first signal.
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case code := <-ended:
			if code != -1 {
				t.Errorf("exit code %d, want to be ended by the signal", code)
			}
			return
		case <-again.C:
			p.Process.Signal(syscall.SIGTERM) // it may have ended
		}
	}
}

// TestClosedTerminalStopsIt: what was started in a terminal must not leave
// machines with DHCP answers when the terminal goes.
func TestClosedTerminalStopsIt(t *testing.T) {
	// Under nohup the signal is ignored, and would be by what is started here: that is meant. A signal that is heard is not inherited so.
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP)
	defer signal.Stop(heard)
	variable, next := systemd(t)
	p := launch(t, "works", []string{variable}, "--data-dir", t.TempDir())
	next() // READY=1
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != "STOPPING=1" {
		t.Errorf("told systemd %q, want STOPPING=1", got)
	}
	if code := p.code(t); code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestReaderOfTheLogGoesAway is "sidero-appliance run | head -1".
func TestReaderOfTheLogGoesAway(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	variable, next := systemd(t)
	p := prepared(t, "works", []string{variable}, "--data-dir", t.TempDir())
	p.Stdout, p.Stderr = w, w
	if err := errors.Join(r.Close(), p.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill() })
	next() // READY=1
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	next() // STOPPING=1
	if code := p.code(t); code != exitOK {
		t.Errorf("%s, want exit code 0", p.ProcessState)
	}
}

// TestAddressGoesAway takes the interface's address from a running program.
func TestAddressGoesAway(t *testing.T) {
	variable, next := systemd(t)
	p := launch(t, "watches", []string{variable}, "--data-dir", t.TempDir())
	next() // READY=1
	args := fmt.Sprintf("--net --target %d ip address del 192.0.2.10/24 dev lan0", p.Process.Pid)
	if out, err := exec.Command("nsenter", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("nsenter %s: %v: %s (Debian packages util-linux, iproute2)", args, err, out)
	}
	if code := p.code(t); code != exitFailed {
		t.Errorf("exit code %d, want 1", code)
	}
	if want := "error: run address: address 192.0.2.10 is gone from lan0: "; !strings.Contains(p.out.String(), want) {
		t.Errorf("output is\n     %s\nwant %s", p.out, want)
	}
}

func TestFailuresExitWith1(t *testing.T) {
	tests := []struct {
		name, behaviour string
		args            []string
		want            string
	}{
		{"component fails", "fails", nil, "error: start fake: disk on fire\n|error: run fake: disk on fire\n"},
		{"component cannot be made", "cannot be made", nil, "error: open images: this binary was built without them\n"},
		{"no such interface", "works", []string{"--interface=eth9"}, "error: there is no network interface eth9: choose one with --interface \\(there are: .*lan0 192.0.2.10.*\\)\n"},
		{"interface is down", "works", []string{"--interface=idle0"}, "error: network interface idle0 is down"},
		{"no such host", "works", []string{"--advertise-address=nowhere.invalid"}, "error: look up nowhere.invalid: .*: use an IP address"},
		{"data directory is a file", "works", []string{"--data-dir=/dev/null"}, "error: cannot .* data directory /dev/null: there is a file in the way"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := launch(t, test.behaviour, nil, append([]string{"--data-dir", t.TempDir()}, test.args...)...)
			if code := p.code(t); code != exitFailed {
				t.Errorf("exit code %d, want 1", code)
			}
			if !regexp.MustCompile(test.want).MatchString(p.out.String()) {
				t.Errorf("output is\n     %s\nwant %s", p.out, test.want)
			}
		})
	}
}

func TestLoopbackIsWarnedOf(t *testing.T) {
	for loopback, want := range map[bool]int{true: 1, false: 0} {
		log := &output{}
		warnOfLoopback(site{Log: slog.New(slog.NewTextHandler(log, nil)), Interfaces: []network.Interface{{Name: "x0", Loopback: loopback}}})
		if got := strings.Count(log.String(), "level=WARN"); got != want || want == 1 && !strings.Contains(log.String(), "interface=x0") {
			t.Errorf("loopback %t: logged %q", loopback, log)
		}
	}
}

func TestBaseURL(t *testing.T) {
	s := site{Config: Defaults(), Advertise: netip.MustParseAddr("192.0.2.1")}
	if got := s.BaseURL(); got != "http://192.0.2.1:8081" {
		t.Errorf("got %s", got)
	}
	s.APIPort, s.Advertise = 80, netip.MustParseAddr("2001:db8::1")
	if got := s.BaseURL(); got != "http://[2001:db8::1]:80" {
		t.Errorf("got %s", got)
	}
}

// TestPortsOfThePortTable holds the preflight checks and docs/architecture.md to
// one list of ports.
func TestPortsOfThePortTable(t *testing.T) {
	s := site{Config: Defaults(), Interfaces: []network.Interface{
		{Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")}}, {Name: "eth1"},
	}}
	checked := map[string]bool{}
	for _, l := range listeners(s) {
		checked[fmt.Sprintf("%d/%s", l.Port, l.Network)] = true
	}
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+/(?:tcp|udp)) \|`).FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = true
	}
	if diff := cmp.Diff(documented, checked); diff != "" {
		t.Errorf("ports in docs/architecture.md and checked before the start (-documented +checked):\n%s", diff)
	}
	s.DHCP = DHCPOff
	for _, l := range listeners(s) {
		if l.Port == DHCPPort || l.Port == DHCPBootPort {
			t.Errorf("with --dhcp=off port %d is checked", l.Port)
		}
	}
}
