package appliance

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/appliance/supervisor"
	"github.com/sidero-appliance/sidero-appliance/assets"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
	"github.com/sidero-appliance/sidero-appliance/netboot/dhcp"
	"github.com/sidero-appliance/sidero-appliance/netboot/httpboot"
	"github.com/sidero-appliance/sidero-appliance/netboot/ipxe"
	"github.com/sidero-appliance/sidero-appliance/netboot/tftp"
	"github.com/sidero-appliance/sidero-appliance/registration"
)

// transfersFinish is how long a boot server may take to stop: a little more than it gives its running transfers, so that
// it ends those itself and tells of it.
const transfersFinish = max(tftp.DefaultFinish, httpboot.DefaultDrain) + 5*time.Second

// biosPrograms are the boot programs of legacy BIOS, which have no script inside.
func biosPrograms() []string { return []string{"undionly.kpxe", "undionly.kpxe.0"} }

// bootServers are what machines boot from.
type bootServers struct {
	site
	metrics   *bootMetrics
	scripts   ipxe.Scripts
	catalogue *assets.Catalogue
	offers    *dhcp.Server // nil when --dhcp is off
	saw       sightings
}

// newBootServers makes what machines boot from, in the order of start: DHCP is
// last, because it must never advertise what is not served.
func newBootServers(s site, cache client.Reader, kept *store.Store, to *registrar, configs *configurations) ([]supervisor.Component, error) {
	b := bootServers{site: s, saw: sightings{to.timeline.Saw}}
	var err error
	if b.scripts, err = ipxe.New(s.BaseURL()); err != nil {
		return nil, err
	}
	if b.catalogue, err = assets.Open(assets.Config{
		Images: assets.Embedded(), Overlay: filepath.Join(s.DataDir, "tftp"), BootScript: []byte(b.scripts.Boot()),
	}); err != nil {
		return nil, err
	}
	if b.metrics, err = newBootMetrics(); err != nil {
		return nil, err
	}
	if s.DHCP != DHCPOff {
		if b.offers, err = b.dhcp(); err != nil {
			return nil, err
		}
	}
	web, err := b.http(allocations{machines{cache}, s.MetadataAccess, configs.key, &returns{}}, bootFiles{b.catalogue, cache, kept}, registration.NewServer(to.service, configs.link.offer()), configs)
	if err != nil {
		return nil, err
	}
	files, err := b.tftp()
	if err != nil {
		return nil, err
	}
	boot := []supervisor.Component{supervisor.Draining(web, transfersFinish), supervisor.Draining(files, transfersFinish)}
	if b.offers != nil {
		boot = append(boot, b.offers)
	}
	return boot, nil
}

func (b bootServers) dhcp() (*dhcp.Server, error) {
	return dhcp.New(dhcp.Config{
		Interfaces: dhcpInterfaces(b.site),
		HTTPPort:   uint16(b.AdvertisedHTTPPort()),
		Log:        b.Log,
		Observe: func(e dhcp.Event) {
			b.metrics.dhcp(e)
			b.saw.dhcp(e)
		},
	})
}

// maxConnections leaves room to boot while thousands of machines wait for orders, which
// keeps a connection of each open: some 60 KiB of memory.
const maxConnections = 4096

func (b bootServers) http(known httpboot.Machines, files httpboot.Files, registration http.Handler, configs *configurations) (*httpboot.Server, error) {
	return httpboot.New(httpboot.Config{
		Address:        net.JoinHostPort("", strconv.Itoa(b.HTTPPort)),
		BaseURL:        b.BaseURL(),
		ExtraAgentArgs: strings.Fields(b.ExtraAgentKernelArgs),
		Files:          files,
		Programs:       biosPrograms(),
		Machines:       known,
		GRPC:           registration,
		FromDisk:       b.BootFromDiskMethod,
		Configurations: configs.service,
		Talos:          configs.link.talos,
		Limits:         httpboot.Limits{Connections: maxConnections},
		Log:            b.Log,
		Observe: func(o httpboot.Observation) {
			b.metrics.http(o)
			b.saw.http(o)
			if o.Kind == httpboot.KindBootFile && o.Err == nil {
				b.fetched(o.Remote)
			}
		},
	})
}

func (b bootServers) tftp() (*tftp.Server, error) {
	return tftp.New(tftp.Config{
		Interfaces: interfaceNames(b.site),
		Port:       TFTPPort,
		Files:      tftpFiles{b.catalogue},
		Chain:      tftp.Chain{Programs: biosPrograms(), Script: func(netip.Addr) []byte { return []byte(b.scripts.Boot()) }},
		Log:        b.Log,
		Observe: func(e tftp.Event) {
			b.metrics.tftp(e)
			b.saw.tftp(e)
			if e.Outcome == tftp.Completed {
				b.fetched(e.Remote.String())
			}
		},
	})
}

// fetched tells the DHCP server that its offer to the machine at remote worked.
func (b bootServers) fetched(remote string) {
	if from, err := netip.ParseAddrPort(remote); err == nil && b.offers != nil {
		b.offers.Fetched(from.Addr().Unmap())
	}
}

func dhcpInterfaces(s site) []dhcp.Interface {
	var out []dhcp.Interface
	for _, i := range s.Interfaces {
		served := dhcp.Interface{Name: i.Name}
		if len(s.Interfaces) == 1 && s.Advertise.Is4() {
			served.Address = s.Advertise
		}
		out = append(out, served)
	}
	return out
}

func interfaceNames(s site) []string {
	var names []string
	for _, i := range s.Interfaces {
		names = append(names, i.Name)
	}
	return names
}

// tftpFiles serves the catalogue over TFTP.
type tftpFiles struct{ catalogue *assets.Catalogue }

// Open implements tftp.Files.
func (f tftpFiles) Open(request tftp.Request) (tftp.File, error) {
	found, err := f.catalogue.BootFile(request.Name)
	if err != nil {
		return nil, err
	}
	content, err := found.Open()
	if err != nil {
		return nil, err
	}
	at, ok := content.(io.ReaderAt)
	if !ok {
		return nil, fmt.Errorf("read %s: it cannot be read at an offset", request.Name)
	}
	return tftpFile{ReaderAt: at, Closer: content, size: found.Size}, nil
}

type tftpFile struct {
	io.ReaderAt
	io.Closer
	size int64
}

// Size implements tftp.File.
func (f tftpFile) Size() int64 { return f.size }
