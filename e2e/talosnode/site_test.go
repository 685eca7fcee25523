//go:build e2e

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/generate"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/role"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pki"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
	"github.com/sidero-appliance/sidero-appliance/talosapi"
)

const (
	clusterName       = "c"
	talosRelease      = "v1.13.6"
	kubernetesRelease = "v1.36.2"
	uuidLabel         = "metal.sidero.dev/uuid"

	// asNode has this program be a node instead of a test.
	asNode = "TALOSNODE_TEST_IS_NODE"
)

func TestMain(m *testing.M) {
	if os.Getenv(asNode) != "" {
		main()
	}

	os.Exit(m.Run())
}

// site is a LAN with a server of configurations, and the secrets of one cluster.
type site struct {
	lab        *lab.Lab
	dir        string
	bundle     *secrets.Bundle
	input      *generate.Input
	kubernetes kubernetes.Interface
	logs       []*lab.Transcript // of computers, which write to them until the lab is closed

	mu      sync.Mutex
	configs map[string][]byte
	answers map[string][]answer
	fetches map[string]int
}

// answer is how a configuration is given out.
type answer func(to http.ResponseWriter, configuration []byte)

func good(to http.ResponseWriter, configuration []byte) { _, _ = to.Write(configuration) }
func refused(to http.ResponseWriter, _ []byte)          { http.Error(to, "not now", http.StatusForbidden) }
func broken(to http.ResponseWriter, _ []byte)           { _, _ = io.WriteString(to, "machine: [") }

// invalid has no disk to install to.
func invalid(to http.ResponseWriter, configuration []byte) {
	_, _ = to.Write(bytes.ReplaceAll(configuration, []byte("disk: /dev/sda"), []byte(`disk: ""`)))
}

func newSite(ctx context.Context, t *testing.T) *site {
	t.Helper()

	s := &site{dir: t.TempDir(), configs: map[string][]byte{}, answers: map[string][]answer{}, fetches: map[string]int{}}

	var err error

	s.lab, err = lab.New(ctx, lab.Config{Dir: s.dir})
	must(t, err)
	t.Cleanup(func() {
		must(t, s.lab.Close())

		for _, log := range s.logs {
			must(t, log.Close())
		}
	})

	s.bundle, err = secrets.NewBundle(secrets.NewClock(), config.TalosVersion1_13)
	must(t, err)
	s.input, err = generate.NewInput(clusterName, "https://172.30.0.11:6443", kubernetesRelease[1:],
		generate.WithVersionContract(config.TalosVersion1_13), generate.WithSecretsBundle(s.bundle), generate.WithInstallDisk("/dev/sda"))
	must(t, err)

	authority, err := pki.NewAuthority(s.bundle.Certs.K8s.Crt, s.bundle.Certs.K8s.Key)
	must(t, err)
	administrator, err := authority.Issue(pki.Subject{Name: "test", Organizations: []string{"system:masters"}})
	must(t, err)
	s.kubernetes, err = kubernetes.NewForConfig(&rest.Config{
		Host: "https://172.30.0.11:6443", Dial: s.lab.Dial, Timeout: 10 * time.Second,
		TLSClientConfig: rest.TLSClientConfig{CAData: authority.PEM, CertData: administrator.Certificate, KeyData: administrator.Key},
	})
	must(t, err)

	listener, err := s.lab.Listen(ctx, "tcp", lab.ApplianceAddress+":8081")
	must(t, err)

	server := &http.Server{Handler: http.HandlerFunc(s.hand)}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { must(t, server.Close()) })

	must(t, os.WriteFile(s.talosconfig(), s.client(t, role.Admin), 0o600))

	return s
}

// hand gives out configurations: by the answers that were set, and then by the last of them.
func (s *site) hand(to http.ResponseWriter, request *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()

	uuid := request.URL.Query().Get("uuid")
	s.fetches[uuid]++

	next := good
	if left := s.answers[uuid]; len(left) > 0 {
		next = left[0]
		s.answers[uuid] = left[1:]
	}

	next(to, s.configs[uuid])
}

// serve sets how a machine's next fetches are answered.
func (s *site) serve(uuid string, answers ...answer) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.answers[uuid] = answers
}

func (s *site) fetched(uuid string) int {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.fetches[uuid]
}

func (s *site) talosconfig() string { return filepath.Join(s.dir, "talosconfig") }

// client is a configuration of talosctl.
func (s *site) client(t *testing.T, of role.Role) []byte {
	t.Helper()

	certificate, err := s.bundle.GenerateTalosAPIClientCertificate(role.MakeSet(of))
	must(t, err)
	text, err := clientconfig.NewConfig(clusterName, nil, s.bundle.Certs.OS.Crt, certificate).Bytes()
	must(t, err)

	return text
}

// talosctl runs the real one, and returns what it says.
func (s *site) talosctl(ctx context.Context, m *computer, args ...string) (string, error) {
	const program = "../../bin/talosctl"
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("%w: run \"make bin/talosctl\"", err)
	}

	var said bytes.Buffer

	cmd := s.lab.Command(ctx, program, append([]string{"--talosconfig", s.talosconfig(), "-e", m.address, "-n", m.address}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+s.dir)
	cmd.Stdout, cmd.Stderr = &said, &said
	err := s.lab.Run(cmd)

	return said.String(), err
}

// computer is a machine whose Talos is a process.
type computer struct {
	name, uuid, address string
	kind                machine.Type
	node                *lab.Node
	log                 *lab.Transcript
	folder              string
	args                []string

	boots atomic.Int32
	mu    sync.Mutex
	runs  *lab.Process
	off   chan struct{} // closed when it is switched off
}

// machine puts a computer on the LAN, and makes its configuration.
func (s *site) machine(ctx context.Context, t *testing.T, name string, number int, kind machine.Type) *computer {
	t.Helper()

	m := &computer{
		name: name, kind: kind, uuid: fmt.Sprintf("00000000-0000-4000-8000-%012d", number), address: fmt.Sprintf("172.30.0.%d", number),
		folder: filepath.Join(s.dir, name),
	}

	var err error

	m.node, err = s.lab.Attach(ctx, name)
	must(t, err)
	must(t, m.node.Run(m.node.Command(ctx, "ip", "address", "add", m.address+"/24", "dev", "eth0")))
	must(t, os.MkdirAll(m.folder, 0o700))
	m.log, err = lab.NewTranscript(filepath.Join(s.dir, name+".log"))
	must(t, err)
	s.logs = append(s.logs, m.log)
	t.Cleanup(func() {
		if t.Failed() {
			show(t, m)
		}
	})

	made, err := s.input.Config(kind)
	must(t, err)
	text, err := made.EncodeBytes()
	must(t, err)
	text, err = machineconfig.Label(text, uuidLabel+"="+m.uuid)
	must(t, err)

	s.mu.Lock()
	s.configs[m.uuid] = text
	s.mu.Unlock()

	m.args = []string{
		"--args", "initrd=initramfs.xz talos.platform=metal talos.config=http://" + lab.ApplianceAddress + ":8081/configdata?uuid=", "--uuid", m.uuid,
		"--hostname", name, "--address", m.address, "--state", filepath.Join(m.folder, "disk"), "--root", filepath.Join(m.folder, "root"),
	}

	return m
}

// powerOn starts the computer, whose firmware starts it again when it wants to be.
func (m *computer) powerOn(ctx context.Context, t *testing.T) {
	t.Helper()

	m.off = make(chan struct{})

	process, err := m.start()
	must(t, err)

	go func() {
		defer close(m.off)

		for {
			var exit *exec.ExitError
			if err := process.Wait(ctx); !errors.As(err, &exit) || exit.ExitCode() != exitReboot {
				return
			}

			if process, err = m.start(); err != nil {
				t.Error(err)

				return
			}
		}
	}()
}

func (m *computer) start() (*lab.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}

	cmd := m.node.Command(context.Background(), self, m.args...)
	cmd.Env = append(os.Environ(), asNode+"=1")
	cmd.Stdout, cmd.Stderr = m.log, m.log

	process, err := m.node.Start(cmd)
	if err != nil {
		return nil, err
	}

	m.boots.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()

	m.runs = process

	return process, nil
}

func (m *computer) cutPower() {
	m.mu.Lock()
	process := m.runs
	m.mu.Unlock()
	process.Kill()
	<-m.off
}

func (m *computer) installed(t *testing.T) bool {
	t.Helper()

	installed, err := node.Directory{Path: filepath.Join(m.folder, "disk"), Root: filepath.Join(m.folder, "root")}.Load()
	must(t, err)

	return installed != nil
}

// dial is the product's client of a computer. It connects from outside of the lab, through a port of the loopback's.
func dial(t *testing.T, s *site, configuration []byte, m *computer) talosapi.Node {
	t.Helper()

	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })

	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}

			go s.forward(connection, net.JoinHostPort(m.address, fmt.Sprint(talosapi.Port)))
		}
	}()

	api, err := talosapi.Dial(configuration, listener.Addr().String())
	must(t, err)
	t.Cleanup(func() { _ = api.Close() })

	return api
}

func (s *site) forward(from net.Conn, to string) {
	defer from.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()

	into, err := s.lab.Dial(ctx, "tcp", to)
	if err != nil {
		return
	}

	defer into.Close()

	go func() {
		_, _ = io.Copy(from, into)
		_ = from.Close()
	}()

	_, _ = io.Copy(into, from)
}

// eventually waits until something is so.
func eventually(ctx context.Context, t *testing.T, what string, is func() error) {
	t.Helper()

	var last error

	err := wait.PollUntilContextCancel(ctx, 300*time.Millisecond, true, func(context.Context) (bool, error) {
		last = is()

		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v: %v", what, err, last)
	}
}

// show prints the end of a computer's log.
func show(t *testing.T, m *computer) {
	t.Helper()

	text, err := os.ReadFile(m.log.Path())
	must(t, err)

	const shown = 6000

	t.Logf("%s said at last:\n%s", m.name, text[max(0, len(text)-shown):])
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
