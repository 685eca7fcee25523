package environment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/existence"
)

const (
	// collectsEvery is how often unused files are looked for.
	collectsEvery = time.Minute
	// changesWaiting is how many Environments can have news. What is beyond is seen at the next look.
	changesWaiting = 1024
)

// Config says how Environments are treated.
type Config struct {
	// TalosReleases is the URL below which the files of each Talos release are found.
	TalosReleases string
	// Architectures that have a default Environment. Empty is amd64 alone.
	Architectures []string
	// Downloads says where files are kept and come from. Its Changed is not used.
	Downloads download.Config
}

// SetupWithManager lets the controllers and the downloads run. The keepers are those of the default Environments.
func SetupWithManager(m ctrl.Manager, config Config) ([]*existence.Keeper, error) {
	changes := make(chan event.GenericEvent, changesWaiting)
	config.Downloads.Changed = changed(changes)
	downloads := download.New(config.Downloads)

	if err := m.Add(manager.RunnableFunc(downloads.Run)); err != nil {
		return nil, fmt.Errorf("add downloads: %w", err)
	}

	c := collector{client: m.GetClient(), downloads: downloads, store: config.Downloads.Store, log: config.Downloads.Log}
	if err := m.Add(manager.RunnableFunc(c.run)); err != nil {
		return nil, fmt.Errorf("add collector of unused assets: %w", err)
	}

	tells := teller{state: downloads.State, place: config.Downloads.Offline.Path}
	r := &Reconciler{
		client: m.GetClient(), assets: downloads, events: m.GetEventRecorder("sidero-controller-manager"), teller: tells,
	}

	err := ctrl.NewControllerManagedBy(m).
		Named("environment").
		For(&v1alpha2.Environment{}).
		WatchesRawSource(source.Channel(changes, &handler.EnqueueRequestForObject{})).
		Complete(r)
	if err != nil {
		return nil, fmt.Errorf("add environment controller: %w", err)
	}

	return defaults(m, config, downloads, tells)
}

// defaults adds a controller for each architecture's default Environment.
func defaults(m ctrl.Manager, config Config, downloads *download.Downloads, tells teller) ([]*existence.Keeper, error) {
	architectures := config.Architectures
	if len(architectures) == 0 {
		architectures = []string{AMD64}
	}

	var (
		keepers []*existence.Keeper
		errs    []error
	)

	for _, architecture := range architectures {
		d := &Defaults{
			client: m.GetClient(), assets: downloads, events: m.GetEventRecorder("sidero-controller-manager"),
			teller: tells, releases: config.TalosReleases, architecture: architecture,
		}
		keeper, err := existence.Watch(m, Default(config.TalosReleases, architecture), d)
		keepers, errs = append(keepers, keeper), append(errs, err)
	}

	return keepers, errors.Join(errs...)
}

// changed has an Environment looked at whose files have news.
func changed(changes chan<- event.GenericEvent) func(owner string) {
	return func(owner string) {
		name, ok := strings.CutPrefix(owner, environmentOwner)
		if !ok {
			return // an upgrade looks by itself
		}

		select {
		case changes <- event.GenericEvent{Object: &v1alpha2.Environment{ObjectMeta: metav1.ObjectMeta{Name: name}}}:
		default: // a thousand others wait
		}
	}
}

// collector removes files that no Environment names any more.
type collector struct {
	client    client.Client
	downloads *download.Downloads
	store     *store.Store
	log       *slog.Logger
}

func (c collector) run(ctx context.Context) error {
	tick := time.NewTicker(collectsEvery)
	defer tick.Stop()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}

		if err := c.collect(ctx, time.Now()); err != nil && ctx.Err() == nil {
			c.log.Warn("unused assets stay", "reason", err.Error())
		}
	}
}

// collect takes what Environments say from all of them, not from what was asked for since the start: after a start that is
// not everything yet.
func (c collector) collect(ctx context.Context, now time.Time) error {
	all := &v1alpha2.EnvironmentList{}
	if err := c.client.List(ctx, all); err != nil {
		return fmt.Errorf("list environments: %w", err)
	}

	wanted := c.downloads.Wanted()
	for i := range all.Items {
		wanted = append(wanted, Refs(&all.Items[i])...)
	}

	removed, err := c.store.Collect(wanted, now)
	for _, digest := range removed {
		c.log.Info("unused asset removed", "sha512", digest)
	}

	return err
}
