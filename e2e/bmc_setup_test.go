//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/ipmisim"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/lan"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

const (
	bmcSetupWithin = 6 * time.Minute
	// bmcInside is where QEMU and its BMC meet.
	bmcInside = "127.0.0.1:9002"
	// theirName and theirPassword are somebody's account on the BMC.
	theirName, theirPassword = "root", "theirs"
)

// ownBMC is a machine with a BMC of OpenIPMI's, which the appliance learns of from the machine only.
type ownBMC struct {
	*managed

	address netip.Addr
}

// TestServersBMC has a machine make the appliance an account on its BMC. The witness is the BMC, which is not ours: it is
// asked from outside, by ipmitool and by our driver.
func TestServersBMC(t *testing.T) {
	ctx, i := start(t, bmcSetupWithin, "--log-level=debug")
	m := ownBMC{address: startOpenIPMI(ctx, t, i.Lab)}
	k := kind{machine: lab.Machine{
		Name: "inside", Firmware: lab.BIOS, Disks: []lab.Disk{{Size: serverDiskSize, Serial: "INSIDE0"}},
		Extra: bmcDevice(),
	}}
	m.managed = k.make(t, i)
	m.register(ctx, t, k, nil)

	for _, stage := range []struct {
		name string
		run  func(context.Context, *testing.T)
	}{
		{"nothing without acceptance", m.keepOut},
		{"an account of its own", m.account},
		{"another password", m.rotate},
	} {
		if !t.Run(stage.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ctx, stageWithin)
			defer cancel()

			stage.run(ctx, t)
		}) {
			return
		}
	}
}

// bmcDevice is what a machine with OpenIPMI's BMC has.
func bmcDevice() []string {
	return []string{
		"-chardev", "socket,id=bmc,host=127.0.0.1,port=9002,reconnect=1", "-device", "ipmi-bmc-extern,id=bmc0,chardev=bmc",
		"-device", "isa-ipmi-kcs,bmc=bmc0",
	}
}

// startOpenIPMI starts the BMC beside QEMU, which it has to share the loopback interface with.
func startOpenIPMI(ctx context.Context, t *testing.T, l *lab.Lab) netip.Addr {
	t.Helper()

	address := netip.MustParseAddr(lab.ApplianceAddress)
	config := ipmisim.Config{
		Folder: folder(t), Address: netip.AddrPortFrom(address, ipmi.DefaultPort), Machine: netip.MustParseAddrPort(bmcInside),
		Users: []ipmisim.User{{Name: theirName, Password: theirPassword, Privilege: "admin"}},
	}
	arguments, err := config.Write()
	arguments = must(t, arguments, err)

	said, err := lab.NewTranscript(filepath.Join(config.Folder, "ipmi_sim.log"))
	said = must(t, said, err)
	command := l.Command(ctx, "ipmi_sim", arguments...)
	command.Dir, command.Stdout, command.Stderr = config.Folder, said, said
	process, err := l.Start(command)
	process = must(t, process, err)

	t.Cleanup(func() {
		process.Kill()

		if t.Failed() {
			showLog(t, said.Path())
		}
	})

	return address
}

// tool is what an administrator of the BMC gets to know by ipmitool.
func (m ownBMC) tool(ctx context.Context, user, password string, arguments ...string) (string, error) {
	return bmcTool(ctx, m.Lab, user, password, arguments...)
}

func bmcTool(ctx context.Context, l *lab.Lab, user, password string, arguments ...string) (string, error) {
	var said bytes.Buffer

	arguments = append([]string{
		"-I", "lanplus", "-C", "3", "-H", lab.ApplianceAddress, "-U", user, "-P", password, "-R", "2", "-N", "1",
	}, arguments...)
	command := l.Command(ctx, "ipmitool", arguments...)
	command.Stdout, command.Stderr = &said, &said

	err := l.Run(command)

	return said.String(), err
}

// driver asks for the power's state as the appliance does.
func (m ownBMC) driver(ctx context.Context, t *testing.T, user, password string) error {
	t.Helper()

	driver, err := ipmi.New(ipmi.Config{Endpoint: m.address.String(), User: user, Password: password, Wait: time.Second})
	driver = must(t, driver, err)

	defer driver.Close()

	return m.Lab.Inside(func() error {
		_, err := driver.State(ctx)

		return err //nolint:wrapcheck // it is looked at
	})
}

// credentials are those that the Server names.
func (m ownBMC) credentials(ctx context.Context, t *testing.T) (user, password string) {
	t.Helper()

	bmc := m.server(ctx, t).Spec.BMC
	secret := &corev1.Secret{}
	name := client.ObjectKey{Namespace: bmc.PassFrom.SecretKeyRef.Namespace, Name: bmc.PassFrom.SecretKeyRef.Name}

	if name.Namespace != "default" || name.Name != m.name+"-bmc" || bmc.User != "" || bmc.Pass != "" {
		t.Errorf("the Server has %+v", bmc)
	}

	if err := m.client.Get(ctx, name, secret); err != nil {
		t.Fatal(err)
	}

	return string(secret.Data["user"]), string(secret.Data["pass"])
}

// keepOut: invariant 1 of the design.
func (m ownBMC) keepOut(ctx context.Context, t *testing.T) {
	m.until(ctx, t, "planned", func(s *v1alpha2.Server) bool { return m.planned(s) })

	users, err := m.tool(ctx, theirName, theirPassword, "user", "list", "1")
	if users = must(t, users, err); strings.Contains(users, "sidero") || m.server(ctx, t).Spec.BMC != nil {
		t.Errorf("BMC %v, users:\n%s", m.server(ctx, t).Spec.BMC, users)
	}
}

// account: after the wipe the appliance can log in, and turns the machine off as it does with others whose BMC it knows.
func (m ownBMC) account(ctx context.Context, t *testing.T) {
	m.patch(ctx, t, `"pxeMode":"bios","accepted":true`)

	s := m.until(ctx, t, "told of its BMC", func(s *v1alpha2.Server) bool { return s.Spec.BMC != nil && s.Spec.BMC.PassFrom != nil })
	if s.Spec.BMC.Endpoint != m.address.String() || !s.Status.IsClean {
		t.Errorf("BMC is %+v, clean %t", s.Spec.BMC, s.Status.IsClean)
	}

	user, password := m.credentials(ctx, t)
	if user != "sidero" || len(password) != 16 {
		t.Errorf("user %q has a password of %d bytes", user, len(password))
	}

	m.checkLogin(ctx, t, user, password)
	m.checkLogin(ctx, t, theirName, theirPassword)
	m.untilOn(ctx, t, false) // by its BMC

	s = m.until(ctx, t, "known to be off", func(s *v1alpha2.Server) bool { return s.Status.Power == v1alpha2.PowerOff })
	if s.Status.Phase != "Clean" {
		t.Errorf("the server is %s", s.Status.Phase)
	}
}

func (m ownBMC) checkLogin(ctx context.Context, t *testing.T, user, password string) {
	t.Helper()

	err := m.driver(ctx, t, user, password)
	said, failed := m.tool(ctx, user, password, "chassis", "power", "status")

	if err != nil || failed != nil || !strings.Contains(said, "Chassis Power is o") { // on or off
		t.Errorf("%s: the driver says %v; ipmitool %q, %v", user, err, said, failed)
	}
}

// rotate: the machine is left on until it has made another account. The old one is of no use then.
func (m ownBMC) rotate(ctx context.Context, t *testing.T) {
	user, password := m.credentials(ctx, t)

	m.merge(ctx, t, fmt.Sprintf(`{"metadata":{"annotations":{%q:""}}}`, v1alpha2.RotateBMCAnnotation))
	must(t, 0, m.machine.TurnOn(lab.FromNetwork)) // as it is asked to, which this BMC cannot

	m.until(ctx, t, "told of another account", func(s *v1alpha2.Server) bool {
		_, asked := s.Annotations[v1alpha2.RotateBMCAnnotation]

		return !asked
	})

	newUser, newPassword := m.credentials(ctx, t)
	if newUser != "sidero2" || newPassword == password {
		t.Errorf("user %q, the same password: %t", newUser, newPassword == password)
	}

	m.checkLogin(ctx, t, newUser, newPassword)
	m.checkLogin(ctx, t, theirName, theirPassword)
	eventually(ctx, t, func() error {
		if err := m.driver(ctx, t, user, password); !errors.Is(err, lan.ErrUser) {
			return fmt.Errorf("the old account: %w, %w", err, errNotYet)
		}

		return nil
	})
	m.untilOn(ctx, t, false)
}

// sidero is a server of Sidero's that wants an account of a machine.
type sidero struct {
	api.UnimplementedAgentServer

	told chan *api.BMCInfo
}

func (sidero) CreateServer(context.Context, *api.CreateServerRequest) (*api.CreateServerResponse, error) {
	return &api.CreateServerResponse{SetupBmc: true}, nil
}

func (sidero) ReconcileServerAddresses(context.Context, *api.ReconcileServerAddressesRequest) (*api.ReconcileServerAddressesResponse, error) {
	return &api.ReconcileServerAddressesResponse{}, nil
}

func (s sidero) UpdateBMCInfo(_ context.Context, request *api.UpdateBMCInfoRequest) (*api.UpdateBMCInfoResponse, error) {
	s.told <- request.GetBmcInfo()

	return &api.UpdateBMCInfoResponse{}, nil
}

// TestAgentBMC starts the agent's image, without a network boot, on a machine with a BMC, for a server of Sidero's.
func TestAgentBMC(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)

	l, err := lab.New(ctx, lab.Config{Dir: dir})
	l = must(t, l, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})

	address := startOpenIPMI(ctx, t, l)
	listener, err := l.Listen(ctx, "tcp", lab.ApplianceAddress+":0")
	listener = must(t, listener, err)
	s, server := sidero{told: make(chan *api.BMCInfo, 16)}, grpc.NewServer()
	api.RegisterAgentServer(server, s)

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	t.Cleanup(func() {
		server.Stop()
		<-served
	})

	joinInitramfs(t, filepath.Join(dir, "initramfs"))

	machine := lab.Machine{Name: "bmc", Memory: 512, Boot: lab.FromDisk, Extra: bmcDevice()}.WithDefaults()
	machine.Kernel = &lab.Kernel{
		Path: filepath.Join(agentImage, "vmlinuz"), Initramfs: filepath.Join(dir, "initramfs"),
		CommandLine: "consoleblank=0 console=ttyS0 panic=30 sidero.mac=" + machine.MAC.String() + " sidero.endpoint=" + listener.Addr().String(),
	}

	vm, err := l.PowerOn(ctx, machine)
	vm = must(t, vm, err)
	t.Cleanup(func() {
		if t.Failed() {
			showLog(t, vm.Console.Path())
		}
	})

	told := await(ctx, t, "account", s.told)
	if told.GetIp() != address.String() || told.GetUser() != "sidero" {
		t.Errorf("told %s, user %q", told.GetIp(), told.GetUser())
	}

	for user, password := range map[string]string{told.GetUser(): told.GetPass(), theirName: theirPassword} {
		if said, err := bmcTool(ctx, l, user, password, "chassis", "power", "status"); err != nil || !strings.Contains(said, "Chassis Power is on") {
			t.Errorf("%s: ipmitool says %q, %v", user, said, err)
		}
	}

	if said, err := bmcTool(ctx, l, told.GetUser(), told.GetPass(), "chassis", "power", "off"); err != nil {
		t.Fatalf("ipmitool says %q, %v", said, err)
	}

	await(ctx, t, "end of the machine", vm.Exited())
}
