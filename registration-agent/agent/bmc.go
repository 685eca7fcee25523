package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/power/ipmi/openipmi"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/bmc"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/guard"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
)

// bmcSetup makes an account on the machine's BMC when the appliance wants one, beside
// everything else: a BMC may hang.
type bmcSetup struct {
	registrar *registrar

	mu sync.Mutex
	// trying is closed when the try under way ends, nil when there is none.
	trying chan struct{}
	// settled is the wish that came true; it is not granted again before there was another.
	settled string
	// endedAt is when the last try ended. What was asked for before may be an old answer.
	endedAt time.Time
	retryAt time.Time
	pause   time.Duration
	// outcome is what a person reads, "" before the first try.
	outcome string
}

// wish is one for an account. Two with the same name are one that was repeated.
type wish struct {
	bmc.Wish
	name string
	// asked is when the appliance was.
	asked time.Time
}

// wishOf is what an order says beside what to do; nil when nothing is wanted.
func wishOf(order *api.WaitResponse, asked time.Time) *wish {
	wanted := order.GetBmcSetup()
	if wanted == nil {
		return nil
	}
	return &wish{
		Wish: bmc.Wish{UserInUse: wanted.GetUserInUse(), EndpointKnown: wanted.GetEndpointKnown()},
		name: fmt.Sprintf("order %d", order.GetSequence()), asked: asked,
	}
}

// repliedWish is what Sidero's protocol says. The reply does not tell one wish from the
// next.
func repliedWish(reply *api.CreateServerResponse) *wish {
	if !reply.GetSetupBmc() {
		return nil
	}
	return &wish{name: "reply", asked: time.Now()}
}

// grant begins a try when there is something to do and it is time for it. It does not
// wait. orders takes problems; it is nil for a server that has no such service.
func (s *bmcSetup) grant(ctx context.Context, wanted *wish, orders api.OrdersClient) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wanted == nil {
		s.settled = ""
		return
	}
	if s.trying != nil || wanted.asked.Before(s.endedAt) {
		return
	}
	if wanted.name != s.settled {
		s.settled = ""
	}
	if s.settled != "" || time.Now().Before(s.retryAt) || s.registrar.agent.Machine.BMC == nil {
		return
	}
	trying := make(chan struct{})
	s.trying = trying
	uuid := s.registrar.uuid()
	go func() {
		defer close(trying)
		err := guard.Run(s.registrar.agent.Logger, func() error { return s.try(ctx, uuid, wanted.Wish) })
		s.end(wanted.name, err)
		s.log(ctx, err)
		if orders != nil && isProblem(err) {
			s.tell(ctx, orders, uuid, err)
		}
	}()
}

// await waits for the end of a try. That is bounded, whatever the BMC does.
func (s *bmcSetup) await(ctx context.Context) {
	s.mu.Lock()
	trying := s.trying
	s.mu.Unlock()
	if trying == nil {
		return
	}
	select {
	case <-trying:
	case <-ctx.Done():
	}
}

// end notes how a try ended.
func (s *bmcSetup) end(name string, err error) {
	pace := s.registrar.agent.Pace
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trying, s.endedAt = nil, time.Now()
	switch {
	case err == nil:
		s.settled, s.retryAt, s.pause = name, time.Time{}, 0
		return
	case errors.Is(err, openipmi.ErrNoDevice):
		// A driver that loads late, or a module that somebody plugs in: neither is near.
		s.pause, s.outcome = pace.LastBMCRetry, "none that the kernel knows"
	default:
		s.pause = min(max(2*s.pause, pace.FirstBMCRetry), pace.LastBMCRetry)
		s.outcome = "no account made: " + oneLine(err)
	}
	s.retryAt = time.Now().Add(s.pause)
}

// try makes the account and has the appliance know it.
func (s *bmcSetup) try(ctx context.Context, uuid string, wanted bmc.Wish) error {
	ctx, cancel := context.WithTimeout(ctx, s.registrar.agent.Pace.BMCTry)
	defer cancel()
	device, err := s.registrar.agent.Machine.BMC(ctx)
	if err != nil {
		return fmt.Errorf("open the BMC: %w", err)
	}
	defer func() { _ = device.Close(ctx) }()
	account, err := bmc.Make(ctx, device, wanted)
	if err != nil {
		return err
	}
	if err := s.report(ctx, uuid, account); err != nil {
		return fmt.Errorf("tell the appliance the BMC's account: %w", err)
	}
	if err := account.Former.Disable(ctx, device); err != nil {
		s.registrar.agent.Logger.Warn("the BMC's former user stays", "user", wanted.UserInUse, "error", err.Error())
	}
	s.done(account)
	return nil
}

// report tells of an account, in one call: a Sidero server takes a second one without a
// port for the usual port. It goes on until the appliance has it: without, nobody can log
// in.
func (s *bmcSetup) report(ctx context.Context, uuid string, account *bmc.Account) error {
	info := &api.BMCInfo{Port: uint32(account.Address.Port), User: account.User, Pass: account.Password}
	if account.Address.Reachable() {
		info.Ip = account.Address.IP.String()
	}
	pace := s.registrar.agent.Pace
	for wait := pace.FirstRetry; ; wait = min(2*wait, pace.LastRetry) {
		_, err := call(ctx, s.registrar.client.UpdateBMCInfo, &api.UpdateBMCInfoRequest{Uuid: uuid, BmcInfo: info})
		if err == nil {
			return nil
		}
		if refused(err) || pause.For(ctx, wait) != nil {
			return errors.New(status.Convert(err).Message())
		}
	}
}

func (s *bmcSetup) done(account *bmc.Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcome = fmt.Sprintf("%s, user %s", account.Address.IP, account.User)
	for _, note := range account.Notes {
		s.outcome += "; " + note
		s.registrar.agent.Logger.Warn("BMC", "note", note)
	}
	s.registrar.agent.Logger.Info("account made on the BMC", "address", account.Address.IP.String(), "port", account.Address.Port,
		"channel", account.Address.Channel, "user", account.User)
}

// isProblem tells that somebody has to look after the BMC. That there is none is no news.
func isProblem(err error) bool { return err != nil && !errors.Is(err, openipmi.ErrNoDevice) }

func (s *bmcSetup) log(ctx context.Context, err error) {
	switch {
	case err == nil || ctx.Err() != nil:
	case isProblem(err):
		s.registrar.agent.Logger.Error("no account could be made on the BMC", "error", err.Error(), "again_in", s.again())
	default:
		s.registrar.agent.Logger.Info("no account is made on a BMC: there is none", "error", err.Error())
	}
}

// tell has the appliance know what went wrong.
func (s *bmcSetup) tell(ctx context.Context, orders api.OrdersClient, uuid string, err error) {
	problem := &api.BMCProblem{Problem: cut(oneLine(err), longest)}
	_, failed := call(ctx, orders.Report, &api.ReportRequest{Uuid: uuid, Report: &api.ReportRequest_BmcProblem{BmcProblem: problem}})
	if failed != nil {
		s.registrar.agent.Logger.Warn("the appliance is not told what is wrong with the BMC", "error", status.Convert(failed).Message())
	}
}

func (s *bmcSetup) again() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pause
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// shown is what a person reads.
func (s *bmcSetup) shown() string {
	if s == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outcome
}
