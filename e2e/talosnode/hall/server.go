package hall

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/version"
	"google.golang.org/protobuf/proto"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/cmdline"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/link"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
)

// Machine is one that is to be switched on.
type Machine struct {
	// Args are the kernel's arguments.
	Args   string `json:"args"`
	UUID   string `json:"uuid"`
	Serial string `json:"serial,omitempty"`
	// Hostname that DHCP told.
	Hostname string `json:"hostname,omitempty"`
	// Addresses of the machine, which only it has.
	Addresses []netip.Addr `json:"addresses"`
	MAC       string       `json:"mac,omitempty"`
	// Disk is the folder that stands for the system disk, or a file as package image has them.
	Disk string `json:"disk"`
	// Release of Talos that is booted over the network.
	Release string `json:"release,omitempty"`
	// Reports has it join SideroLink by its kernel arguments, and tell there why it has no configuration.
	Reports bool `json:"reports,omitempty"`
}

func (m Machine) config(log *slog.Logger) node.Config {
	mac, _ := net.ParseMAC(m.MAC) //nolint:errcheck // it has none then

	return node.Config{
		Args: m.Args, Identity: node.Identity{UUID: m.UUID, Serial: m.Serial}, Release: m.Release,
		Network: node.Network{Addresses: m.Addresses, MAC: mac, Hostname: m.Hostname},
		State:   m.state(), Log: log.With("machine", m.UUID),
	}
}

func (m Machine) state() node.State {
	if is, err := os.Stat(m.Disk); err == nil && is.Mode().IsRegular() {
		return imageFile(m.Disk)
	}

	return node.Directory{Path: m.Disk, Root: filepath.Join(m.Disk, "root")}
}

// Handler switches a machine on for each request, a Machine in JSON. The request lasts for as long as the machine runs; to cut it off is
// to cut the machine's power. The answer is the outcome: reboot or shutdown.
func (h *Hall) Handler(log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m Machine
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || len(m.Addresses) == 0 || m.Disk == "" || m.UUID == "" {
			http.Error(w, "a machine needs uuid, disk and addresses", http.StatusBadRequest)

			return
		}

		outcome, err := h.run(r.Context(), m, log)
		if err != nil {
			if r.Context().Err() == nil {
				log.Error("the node fails", "machine", m.UUID, "error", err)
			}

			http.Error(w, err.Error(), http.StatusInternalServerError)

			return
		}

		_, _ = io.WriteString(w, outcome.String()) // who has asked may be gone
	})
}

// run is a machine, with its link if it has one.
func (h *Hall) run(ctx context.Context, m Machine, log *slog.Logger) (node.Outcome, error) {
	c := m.config(log)
	if !m.Reports || m.Args == "" {
		return h.Run(ctx, c, func(proto.Message) {})
	}

	to, err := cmdline.Parse(m.Args).Endpoints()
	if err != nil {
		return 0, err //nolint:wrapcheck // it says what it is
	}

	reporter := link.New(m.UUID, cmp.Or(m.Release, version.Tag), c.Log)

	var linked sync.WaitGroup
	defer linked.Wait()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	linked.Go(func() { reporter.Run(ctx, to) })

	return h.Run(ctx, c, reporter.Publish)
}

// Serve serves a hall at a unix socket until the context ends.
func Serve(ctx context.Context, socket string, log *slog.Logger) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("open hall: %w", err)
	}

	server := &http.Server{Handler: New().Handler(log), ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()

	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve hall: %w", err)
	}

	return nil
}

// Client switches on machines of a hall that listens at a unix socket.
type Client struct{ Socket string }

// PowerOn is a machine until it restarts or is switched off, which is the outcome. The end of the context cuts its power.
func (c Client) PowerOn(ctx context.Context, m Machine) (node.Outcome, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("switch on %s: %w", m.UUID, err)
	}

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hall/", bytes.NewReader(text))
	if err != nil {
		return 0, fmt.Errorf("switch on %s: %w", m.UUID, err)
	}

	caller := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.Socket)
		},
	}}

	answer, err := caller.Do(request)
	if err != nil {
		return 0, fmt.Errorf("switch on %s: %w", m.UUID, err)
	}

	defer answer.Body.Close()

	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, fmt.Errorf("switch on %s: %w", m.UUID, err)
	}

	for _, outcome := range []node.Outcome{node.Reboot, node.Shutdown} {
		if answer.StatusCode == http.StatusOK && string(said) == outcome.String() {
			return outcome, nil
		}
	}

	return 0, fmt.Errorf("switch on %s: %s: %s", m.UUID, answer.Status, bytes.TrimSpace(said))
}
