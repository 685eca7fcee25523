package registration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/wipepolicy"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/machine"
	"github.com/sidero-appliance/sidero-appliance/registration/orders"
)

// maxDisks is how many disks of a machine are remembered, whatever it makes up from report to report.
const maxDisks = 1024

// report is what a machine said of its wipe, checked.
type report struct {
	// record writes it into a status; it returns what an Event tells of it, if anything.
	record func(*v1alpha2.ServerStatus, occasion) outcome
	// ordered tells that it counts only while the machine is ordered to wipe.
	ordered bool
}

// occasion is when a machine reports, and by which policy its disks are wiped.
type occasion struct {
	now    time.Time
	policy wipepolicy.Decision
}

// outcome is how a wipe ended. The zero value is none: it goes on.
type outcome struct {
	ended bool
	// failure tells why the machine is not clean, empty when it is.
	failure string
}

// Report implements api.OrdersServer.
func (s *Service) Report(ctx context.Context, request *api.ReportRequest) (*api.ReportResponse, error) {
	if problem := request.GetBmcProblem(); problem != nil {
		name, err := s.writer(ctx, request.GetUuid())
		if err != nil {
			return nil, err
		}

		return s.reportBMC(ctx, name, problem)
	}

	parsed, err := parseReport(request)
	if _, nameless := machine.ParseUUID(request.GetUuid()); nameless != nil {
		err = nameless
	}

	if err != nil {
		return nil, s.refuse(ctx, err)
	}

	name, err := s.writer(ctx, request.GetUuid())
	if err != nil {
		return nil, err
	}

	log := s.config.Logger.With("server", name, "remote", remote(ctx))

	binding, err := bindingOf(ctx, s.config.Client, name)
	if err != nil {
		return nil, s.fail(ctx, log, "read binding", err)
	}

	classes, err := s.currentClasses(ctx)
	if err != nil {
		return nil, s.fail(ctx, log, "read classes", err)
	}

	var (
		came  outcome
		of    *v1alpha2.Server
		began bool
	)

	err = s.change(ctx, name, func(server *v1alpha2.Server) error {
		next := orders.Next(server, binding, classes, s.settings())

		switch {
		case parsed.ordered && (next.GetOrder() != api.Order_WIPE || next.GetSequence() != request.GetSequence()):
			return errNotOrdered
		case !parsed.ordered && (server.Status.IsClean || server.Status.InUse || binding != nil):
			return nil // what was wiped stays on record until it is to be wiped again
		}

		before := server.Status.Wipe.DeepCopy()
		of, came = server, parsed.record(&server.Status, occasion{time.Now(), orders.Policy(server, classes, s.settings())})
		if parsed.ordered && (!came.ended || came.failure != "") {
			wipes(server, time.Now())
		}

		began = parsed.ordered && (before == nil || !before.StartedAt.Equal(server.Status.Wipe.StartedAt))

		if came.ended && came.failure == "" {
			wiped(server)
		}

		return nil
	})

	switch {
	case errors.Is(err, errNotOrdered):
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	case err != nil:
		return nil, s.fail(ctx, log, "record the wipe", err)
	case began && !came.ended:
		s.step(ctx, of, stepWipe, "")
	case came.failure != "":
		s.step(ctx, of, stepWipe, fmt.Sprintf("failed: %.200s", came.failure))
		log.WarnContext(ctx, "wipe failed", "reason", came.failure)
		s.config.Recorder.Eventf(of, nil, corev1.EventTypeWarning, eventWiped, "Register", "the wipe failed, and is tried again: %.900s", came.failure)
	case came.ended:
		s.step(ctx, of, stepClean, "")
		log.InfoContext(ctx, "machine wiped")
		s.event(of, eventWiped, "the machine's disks were wiped")
	}

	return &api.ReportResponse{}, nil
}

func parseReport(request *api.ReportRequest) (report, error) {
	switch {
	case request.GetPlan() != nil:
		plan, err := machine.ParsePlan(request.GetPlan())

		return report{record: func(to *v1alpha2.ServerStatus, on occasion) outcome { return recordPlan(to, plan, on) }}, err
	case request.GetProgress() != nil:
		disks, err := machine.ParseProgress(request.GetProgress().GetDisks())

		return report{ordered: true, record: func(to *v1alpha2.ServerStatus, on occasion) outcome {
			recordProgress(to, disks, on.now)

			return outcome{}
		}}, err
	case request.GetResult() != nil:
		disks, err := machine.ParseProgress(request.GetResult().GetDisks())
		problem := machine.ParseText(request.GetResult().GetProblem())

		return report{ordered: true, record: func(to *v1alpha2.ServerStatus, on occasion) outcome {
			return recordResult(to, disks, problem, on.now)
		}}, errors.Join(err, machine.Bound(request.GetResult()))
	default:
		return report{}, errors.New("the report is none of plan, progress and result")
	}
}

// recordPlan replaces what is planned; the times of the last wipe stay.
func recordPlan(status *v1alpha2.ServerStatus, plan v1alpha2.WipeStatus, on occasion) outcome {
	plan.Policy, plan.PolicyFrom = on.policy.Policy.DeepCopy(), on.policy.From // the cache's own, which many read
	plan.Problem = cmp.Or(on.policy.Unclear, plan.Problem)

	if status.Wipe != nil {
		plan.PlannedAt, plan.StartedAt, plan.FinishedAt = status.Wipe.PlannedAt, status.Wipe.StartedAt, status.Wipe.FinishedAt
	}

	if !apiequality.Semantic.DeepEqual(status.Wipe, &plan) {
		plan.PlannedAt = &metav1.Time{Time: on.now}
		status.Wipe = &plan
	}

	return outcome{}
}

// recordProgress notes how far the disks are. The first of a wipe tells that it begins.
func recordProgress(status *v1alpha2.ServerStatus, disks []v1alpha2.WipeDiskStatus, now time.Time) {
	if status.Wipe == nil {
		status.Wipe = &v1alpha2.WipeStatus{}
	}

	wipe := status.Wipe
	if wipe.StartedAt == nil || wipe.FinishedAt != nil && !wipe.FinishedAt.Before(wipe.StartedAt) {
		wipe.StartedAt, wipe.FinishedAt = &metav1.Time{Time: now}, nil
	}

	for _, disk := range disks {
		known := machine.Disk(wipe.Disks, disk.Name)

		switch {
		case known == nil && len(wipe.Disks) >= maxDisks:
			continue
		case known == nil:
			wipe.Disks = append(wipe.Disks, disk)

			continue
		}

		disk.Description, disk.Action = known.Description, known.Action
		disk.Method, disk.Reason = cmp.Or(disk.Method, known.Method), cmp.Or(disk.Reason, known.Reason)
		*known = disk
	}
}

// recordResult notes how a wipe ended. It succeeded if every disk of the plan was wiped.
func recordResult(status *v1alpha2.ServerStatus, disks []v1alpha2.WipeDiskStatus, problem string, now time.Time) outcome {
	recordProgress(status, disks, now)
	status.Wipe.FinishedAt, status.Wipe.Problem = &metav1.Time{Time: now}, problem

	var failed []string
	if problem != "" {
		failed = append(failed, problem)
	}

	for _, disk := range status.Wipe.Disks {
		if disk.Action == machine.DiskWipe && disk.State != machine.DiskDone {
			failed = append(failed, fmt.Sprintf("disk %s: %s", disk.Name, cmp.Or(disk.Error, "it was not wiped")))
		}
	}

	return outcome{ended: true, failure: strings.Join(failed, "; ")}
}
