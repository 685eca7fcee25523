package network

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"

	"github.com/vishvananda/netlink"
)

// Wake switches on the adapters that are off, but for the one with the address boot: an
// adapter that is off neither knows its link, nor lets anything be heard of the switch.
// They get no addresses, not by themselves either, and answer no questions for those of
// the others.
func Wake(sys fs.FS, boot net.HardwareAddr) error {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("switch on adapters: %w", err)
	}
	var failed []error
	for _, link := range links {
		attrs := link.Attrs()
		_, err := fs.Stat(sys, path.Join("class/net", attrs.Name, "device"))
		if err != nil || attrs.Flags&net.FlagUp != 0 || len(attrs.HardwareAddr) != 6 || bytes.Equal(attrs.HardwareAddr, boot) {
			continue
		}
		if err := wake(link); err != nil {
			failed = append(failed, fmt.Errorf("switch on %s: %w", attrs.Name, err))
		}
	}
	return errors.Join(failed...)
}

func wake(link netlink.Link) error {
	// A kernel without IPv6 gives no addresses by itself.
	ipv6 := filepath.Join("/proc/sys/net/ipv6/conf", link.Attrs().Name, "disable_ipv6")
	if err := os.WriteFile(ipv6, []byte("1\n"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := netlink.LinkSetARPOff(link); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
