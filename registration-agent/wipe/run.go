package wipe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/guard"
)

// Host is a machine whose disks are wiped.
type Host struct {
	// Disks says which disks there are now.
	Disks func() ([]disk.Disk, error)
	// Release stops what the kernel has built on the disks of these names.
	Release func(names []string) error
	// Open opens a disk for nobody else to use.
	Open func(disk.Disk) (Device, error)
	// Grace is how long work may take to end after the context did.
	Grace  time.Duration
	Logger *slog.Logger
}

// ThisMachine is the machine that the program runs on.
func ThisMachine(logger *slog.Logger) Host {
	sys, proc := os.DirFS("/sys"), os.DirFS("/proc")
	return Host{
		Disks:   func() ([]disk.Disk, error) { return disk.List(sys, proc) },
		Release: func(names []string) error { return release(sys, logger, names) },
		Open:    openDevice,
		Grace:   5 * time.Second,
		Logger:  logger,
	}
}

// Run carries the plan out and returns the outcome of each disk that was to be wiped.
// The error is of the disks that failed; the others are wiped all the same.
//
// progress is called at every change, one call at a time, and must not block. It is not
// called again after Run has returned. A disk that does not answer cannot be left
// alone for ever: when ctx ends, Run returns within the host's Grace, while the
// kernel may go on with the request it has.
func (h Host) Run(ctx context.Context, plan Plan, progress func(Progress)) ([]Progress, error) {
	var steps []Step
	for _, step := range plan.Disks {
		if step.Action == Wipe {
			steps = append(steps, step)
		}
	}
	work := &run{Host: h, steps: steps, ledger: newLedger(steps, progress)}
	ended := make(chan error, 1)
	go func() {
		ended <- guard.Run(h.Logger, func() error { return work.all(ctx) })
	}()
	select {
	case err := <-ended:
		return work.close(err)
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return work.close(err)
	case <-time.After(h.Grace):
		return work.close(fmt.Errorf("given up while the disk does not answer: %w", ctx.Err()))
	}
}

// run is one execution of a plan.
type run struct {
	Host
	*ledger
	steps []Step
}

func (r *run) all(ctx context.Context) error {
	present, err := r.Disks()
	if err != nil {
		return err
	}
	var names []string
	for n, step := range r.steps {
		if d, err := find(present, step.Disk); err != nil {
			r.finish(n, err)
		} else {
			names = append(names, d.Name)
		}
	}
	released := r.Release(names)
	if released != nil {
		r.Logger.Warn("not all volumes on the disks could be stopped", "error", released.Error())
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if present, err = r.Disks(); err != nil {
		return err
	}
	var disks sync.WaitGroup
	for n, step := range r.steps {
		disks.Go(func() {
			r.finish(n, guard.Run(r.Logger, func() error { return r.disk(ctx, n, step, present, released) }))
		})
	}
	disks.Wait()
	return nil
}

// find returns the disk that the plan means, whatever the kernel calls it now. It is
// the one with the same size and the same numbers; without numbers, or when several
// disks share them, as cheap USB adapters do, its place must be the same too.
func find(present []disk.Disk, is Identity) (disk.Disk, error) {
	var alike []disk.Disk
	for _, d := range present {
		if d.Size == is.Size && d.Serial == is.Serial && d.WWID == is.WWID && d.Model == is.Model {
			alike = append(alike, d)
		}
	}
	if len(alike) == 1 && (is.Serial != "" || is.WWID != "") {
		return alike[0], nil
	}
	for _, d := range alike {
		if d.Name == is.Name && d.BusPath == is.BusPath {
			return d, nil
		}
	}
	for _, d := range present {
		if d.Name == is.Name {
			return disk.Disk{}, fmt.Errorf("%s is another disk than the plan's, which was [%s]; it is now [%s]: make a new plan", is.Path, is, d)
		}
	}
	return disk.Disk{}, fmt.Errorf("the disk is gone: [%s]; make a new plan", is)
}

// String describes the disk to a person.
func (i Identity) String() string {
	return disk.Disk{Path: i.Path, Size: i.Size, Model: i.Model, Serial: i.Serial, WWID: i.WWID}.String()
}

// disk wipes one disk.
func (r *run) disk(ctx context.Context, n int, step Step, present []disk.Disk, released error) error {
	d, err := find(present, step.Disk)
	if err != nil {
		return err
	}
	if uses := slices.Concat(d.Holders, d.Mounts); len(uses) > 0 {
		return errors.Join(fmt.Errorf("the disk is in use by %s", strings.Join(uses, ", ")), released)
	}
	device, err := r.Open(d)
	if err != nil {
		return explain(err)
	}
	job := job{
		Device: device, disk: d, step: step, zeros: make([]byte, writeLength),
		report: func(change func(*Progress)) { r.update(n, change) },
	}
	return explain(errors.Join(job.run(ctx), device.Close()))
}

// explain says what the kernel's word for an error means here.
func explain(err error) error {
	meaning := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), isGone(err):
		meaning = "the disk was unplugged or has broken off its connection"
	case isBusy(err):
		meaning = "the disk is in use by something that could not be stopped"
	case isIO(err):
		meaning = "the disk failed; it may be broken"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", meaning, err)
}
