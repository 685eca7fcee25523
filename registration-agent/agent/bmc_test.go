package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/power/ipmi/openipmi"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/bmc"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/bmc/bmctest"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

// bmcPace has room for a try that hangs.
func bmcPace() Pace {
	return Pace{
		Restart: time.Millisecond, FirstRetry: time.Millisecond, LastRetry: 10 * time.Millisecond, Refresh: 50 * time.Millisecond,
		FirstWipeRetry: time.Millisecond, LastWipeRetry: time.Millisecond, Progress: time.Millisecond,
		FirstBMCRetry: 5 * time.Millisecond, LastBMCRetry: 20 * time.Millisecond, BMCTry: 100 * time.Millisecond,
	}
}

// startBMC has an agent at work on a machine with this BMC.
func startBMC(t *testing.T, a *appliance, b *bmctest.BMC, change func(*Machine)) screens {
	t.Helper()
	m := machine(a.serve(t, "127.0.0.1:0"))
	m.BMC, m.Disks = func(context.Context) (BMC, error) { return b, nil }, noDisks
	change(&m)
	return startPaced(t, m, slog.New(slog.DiscardHandler), bmcPace())
}

func asUsual(*Machine) {}

func withSetup(order *api.WaitResponse, userInUse string) *api.WaitResponse {
	order.BmcSetup = &api.BMCSetup{UserInUse: userInUse}
	return order
}

// TestBMCOfSidero: a server of Sidero's says in its reply that it wants an account.
func TestBMCOfSidero(t *testing.T) {
	a, b := &appliance{reply: &api.CreateServerResponse{SetupBmc: true}}, bmctest.New()
	b.Port = 6230
	shown := startBMC(t, a, b, asUsual)
	told := await(t, "account", a.accounts)
	if user := b.Named(bmc.User); told.GetIp() != "10.0.9.7" || told.GetPort() != 6230 || told.GetUser() != bmc.User ||
		told.GetPass() != user.Password || !user.Enabled {
		t.Errorf("told %v, the BMC has %+v", told, user)
	}
	shown.await(t, "10.0.9.7, user sidero")
	// It goes on wanting one, by a reply that may be an old one.
	for range 3 {
		await(t, "registration", a.created)
	}
	if len(a.accounts) > 0 {
		t.Error("an account was made again")
	}
}

func TestBMCNotWanted(t *testing.T) {
	for name, d := range map[string]*dispatcher{
		"no order":          newDispatcher(stay(api.Reason_NOT_ACCEPTED)),
		"before the wipe":   newDispatcher(withSetup(wipeOrder(), "")),
		"of Sidero's reply": nil,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := &appliance{}, bmctest.New()
			if d != nil {
				a.orders = d
			}
			startBMC(t, a, b, asUsual)
			for range 3 {
				await(t, "registration", a.created)
			}
			if b.Asked() > 0 {
				t.Errorf("the BMC was asked %d times", b.Asked())
			}
		})
	}
}

// TestBMCByOrder: each wish is granted once, also one that comes back after it was gone.
func TestBMCByOrder(t *testing.T) {
	d := newDispatcher(withSetup(stay(api.Reason_CLEAN), ""))
	a, b := &appliance{orders: d}, bmctest.New()
	startBMC(t, a, b, asUsual)
	first := await(t, "account", a.accounts)
	for range 5 {
		await(t, "question", d.waits)
	}
	if len(a.accounts) > 0 {
		t.Error("an account was made again, by the same order")
	}
	d.tell(stay(api.Reason_CLEAN_TURNED_OFF))
	d.tell(withSetup(stay(api.Reason_CLEAN_TURNED_OFF), first.GetUser()))
	second := await(t, "another account", a.accounts)
	if second.GetUser() != bmc.OtherUser || second.GetPass() == first.GetPass() {
		t.Errorf("told %v, and then %v", first, second)
	}
	for b.Named(bmc.User).Enabled {
		await(t, "question", d.waits)
	}
	if user := b.Named(bmc.OtherUser); !user.Enabled || user.Password != second.GetPass() || b.Number(2) != bmctest.Theirs() {
		t.Errorf("the BMC has %+v and %+v", user, b.Number(2))
	}
}

// TestBMCRotationRefused: the old password is valid as long as the appliance has no other.
func TestBMCRotationRefused(t *testing.T) {
	d := newDispatcher(withSetup(stay(api.Reason_CLEAN), bmc.User))
	refusal := status.Error(codes.FailedPrecondition, "it is not accepted any more")
	a, b := &appliance{orders: d}, bmctest.New()
	if _, err := bmc.Make(t.Context(), b, bmc.Wish{}); err != nil {
		t.Fatal(err)
	}
	old := b.Named(bmc.User)
	refused := make(chan struct{})
	startBMC(t, a, b, func(m *Machine) {
		m.BMC = func(context.Context) (BMC, error) {
			select {
			case <-refused:
			default:
				a.mu.Lock()
				a.answers = []error{refusal}
				a.mu.Unlock()
			}
			return b, nil
		}
	})
	if problem := d.awaitProblem(t); !strings.Contains(problem, "it is not accepted any more") {
		t.Errorf("problem is %q", problem)
	}
	if b.Named(bmc.User) != old {
		t.Errorf("the old user is %+v", b.Named(bmc.User))
	}
	close(refused)
	await(t, "account", a.accounts)
}

func (d *dispatcher) awaitProblem(t *testing.T) string {
	t.Helper()
	for {
		if problem := await(t, "problem", d.reports).GetBmcProblem(); problem != nil {
			return problem.GetProblem()
		}
	}
}

// TestBMCFails: what is wrong is told and shown, and it is tried again.
func TestBMCFails(t *testing.T) {
	d := newDispatcher(withSetup(stay(api.Reason_CLEAN), ""))
	a, b := &appliance{orders: d}, bmctest.New()
	broken := make(chan struct{})
	shown := startBMC(t, a, b, func(m *Machine) {
		m.BMC = func(context.Context) (BMC, error) {
			select {
			case <-broken:
				return b, nil
			default:
				return nil, errors.New("the driver\nis broken")
			}
		}
	})
	for range 3 {
		if problem := d.awaitProblem(t); !strings.Contains(problem, "open the BMC: the driver; is broken") {
			t.Errorf("problem is %q", problem)
		}
	}
	shown.await(t, "no account made: open the BMC: the driver; is broken")
	close(broken)
	await(t, "account", a.accounts)
}

// TestBMCHangs: a BMC that answers nothing holds up neither registration nor a wipe nor a
// restart.
func TestBMCHangs(t *testing.T) {
	d := newDispatcher(withSetup(stay(api.Reason_CLEAN), ""))
	a, b := &appliance{orders: d}, bmctest.New()
	b.Hangs = true
	restarted := make(chan struct{}, 8)
	startBMC(t, a, b, func(m *Machine) {
		m.Wipe = func(context.Context, wipe.Plan, func(wipe.Progress)) ([]wipe.Progress, error) { return nil, nil }
		m.Reboot = func() error { restarted <- struct{}{}; return nil }
	})
	for range 3 {
		await(t, "registration", a.created)
	}
	if problem := d.awaitProblem(t); !strings.Contains(problem, "find the BMC's network interface: the BMC does not answer: context deadline exceeded") {
		t.Errorf("problem is %q", problem)
	}
	d.tell(withSetup(wipeOrder(), bmc.User))
	d.awaitResult(t)
	d.tell(withSetup(&api.WaitResponse{Order: api.Order_REBOOT}, ""))
	await(t, "restart", restarted)
}

// TestBMCMissing: a machine without a BMC troubles nobody.
func TestBMCMissing(t *testing.T) {
	d := newDispatcher(withSetup(stay(api.Reason_CLEAN), ""))
	a := &appliance{orders: d}
	var log journal
	m := machine(a.serve(t, "127.0.0.1:0"))
	m.Disks = noDisks
	m.BMC = func(context.Context) (BMC, error) { return nil, fmt.Errorf("%w: /dev/ipmi0", openipmi.ErrNoDevice) }
	pace := bmcPace()
	pace.LastBMCRetry = time.Hour
	shown := startPaced(t, m, slog.New(slog.NewTextHandler(&log, nil)), pace)
	shown.await(t, "none that the kernel knows")
	for range 3 {
		await(t, "registration", a.created)
	}
	if said := log.count("no account is made on a BMC"); said != 1 {
		t.Errorf("the log says it %d times", said)
	}
	for len(d.reports) > 0 {
		if report := <-d.reports; report.GetBmcProblem() != nil {
			t.Errorf("the appliance is told %v", report)
		}
	}
}

func noDisks(context.Context) ([]disk.Disk, error) { return nil, nil }
