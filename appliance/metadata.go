package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/bootwindow"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/appliance/network"
	"github.com/sidero-appliance/sidero-appliance/appliance/servers"
	"github.com/sidero-appliance/sidero-appliance/boottoken"
	"github.com/sidero-appliance/sidero-appliance/metadata"
	"github.com/sidero-appliance/sidero-appliance/netboot/bootplan"
)

// bootKeyFile is in the data directory, beside the keys of the API.
const bootKeyFile = "pki/boot-token.key"

// metadataEvents is who tells of configurations in Events.
const metadataEvents = "sidero-metadata"

// configurations are what hands out machine configurations.
type configurations struct {
	service *metadata.Service
	windows *metadata.Windows
	// announces tells people's commands where nodes report to.
	announces *metadata.Announcement
	events    *eventWriter
	link      *sideroLink
	key       boottoken.Key
}

// newConfigurations makes them.
func newConfigurations(s site, config *rest.Config, objects cache.Cache, saw sightings) (*configurations, error) {
	key, err := bootKey(filepath.Join(s.DataDir, bootKeyFile))
	if err != nil {
		return nil, err
	}
	live, err := servers.NewClient(config)
	if err != nil {
		return nil, err
	}
	writer, err := newEventWriter("metadata-events", config)
	if err != nil {
		return nil, err
	}
	lookup := metadata.Lookup{Objects: objects, Live: live}
	link, err := newSideroLink(s, objects, lookup, live, saw)
	if err != nil {
		return nil, err
	}
	if err := metadata.Index(context.Background(), objects); err != nil {
		return nil, err
	}
	records := metadata.Records{Client: live, Namespace: bootstrap.Namespace}
	c := &configurations{
		key: key, events: writer, link: link,
		windows:   &metadata.Windows{Cache: objects, Client: live, Log: s.Log},
		announces: &metadata.Announcement{Records: records, Link: link.reports, Log: s.Log},
	}
	c.service = metadata.New(metadata.Config{
		Lookup:  lookup,
		Link:    link.reports,
		Access:  s.MetadataAccess,
		Key:     key,
		MAC:     network.MAC,
		Owner:   func(ctx context.Context, mac string) string { return metadata.Owner(ctx, objects, mac) },
		Events:  writer.broadcaster.NewRecorder(live.Scheme(), metadataEvents),
		Records: &records,
		Served:  saw.configuration,
		Log:     s.Log,
		Now:     time.Now,
	})
	return c, nil
}

// bootKey is the key of boot tokens, made when there is none.
func bootKey(path string) (boottoken.Key, error) {
	bytes, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key := boottoken.NewKey()
		if err := pki.WriteFile(path, key.Bytes()); err != nil {
			return boottoken.Key{}, fmt.Errorf("write key of boot tokens: %w", err)
		}
		return key, nil
	}
	if err != nil {
		return boottoken.Key{}, fmt.Errorf("read key of boot tokens: %w", err)
	}
	key, err := boottoken.ReadKey(bytes)
	if err != nil {
		return boottoken.Key{}, fmt.Errorf("%w: remove %s, and start the machines from the network that are being installed", err, path)
	}
	return key, nil
}

// allocations tell the boot server also what machines in use boot.
type allocations struct {
	machines
	access  metadata.Access
	key     boottoken.Key
	returns *returns
}

// Server implements httpboot.Machines.
func (a allocations) Server(ctx context.Context, asks bootplan.Request) (bootplan.Server, error) {
	found, err := a.machines.Server(ctx, asks)
	if err != nil || found.Name == "" || found.Disputed {
		return found, err
	}
	found.Allocation, err = a.of(ctx, found.Name, asks.MAC)
	return found, err
}

// of is a server's allocation, nil if it is not in use.
func (a allocations) of(ctx context.Context, name, mac string) (*bootplan.Allocation, error) {
	binding, server := &v1alpha3.ServerBinding{}, &v1alpha2.Server{}
	if found, err := a.get(ctx, name, binding); !found || err != nil {
		return nil, err
	}
	if found, err := a.get(ctx, name, server); !found || err != nil {
		return nil, err
	}
	_, installed := server.Status.Conditions.Find(v1alpha2.ConditionPXEBooted)
	allocation := &bootplan.Allocation{
		Installed: installed, PXEBootAlways: server.Spec.PXEBootAlways,
		Server: choices(server.Spec.EnvironmentRef, server.Spec.BootFromDiskMethod),
	}
	if a.access == metadata.AccessToken {
		window, _ := bootwindow.Of(binding, server, time.Now())
		allocation.Token = a.key.Mint(string(binding.UID), window.Generation).Text()
	}
	if ref := binding.Spec.ServerClassRef; ref != nil {
		class := &v1alpha2.ServerClass{}
		found, err := a.get(ctx, ref.Name, class)
		if err != nil {
			return nil, err
		}
		if !found {
			allocation.MissingClass = ref.Name
		}
		allocation.Class = choices(class.Spec.EnvironmentRef, class.Spec.BootFromDiskMethod)
	}
	environment := &v1alpha2.Environment{}
	found, err := a.get(ctx, allocation.EnvironmentName(), environment)
	if found {
		allocation.Environment = bootplan.Environment{Exists: true, Ready: environment.Ready(), Initrd: environment.Spec.Initrd.URL != "", Args: environment.Spec.Kernel.Args}
	}
	if err == nil && allocation.Disk() {
		allocation.Anew = a.returns.anew(binding, server, mac, time.Now())
	}
	return allocation, err
}

func (a allocations) get(ctx context.Context, name string, into client.Object) (found bool, err error) {
	err = a.cache.Get(ctx, client.ObjectKey{Name: name}, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %T %s: %w", into, name, err)
	}
	return true, nil
}

func choices(environment *corev1.ObjectReference, method v1alpha2.BootFromDisk) bootplan.Choices {
	c := bootplan.Choices{FromDisk: bootplan.FromDisk(method)}
	if environment != nil {
		c.Environment = environment.Name
	}
	return c
}
