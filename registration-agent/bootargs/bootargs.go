// Package bootargs reads what the boot server tells the registration agent on the
// kernel's command line: sidero.mac and sidero.endpoint, as Sidero Metal names them,
// and PXELINUX's BOOTIF. It only parses; nothing is looked up or contacted.
package bootargs

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Args is what the agent needs to know before it has a network.
type Args struct {
	// MAC is the address of the interface the machine booted from.
	MAC net.HardwareAddr
	// Endpoint is the appliance's gRPC address, host:port, an IPv6 host in brackets.
	Endpoint string
}

// Parse reads a kernel command line. Of a repeated argument the last one counts.
func Parse(cmdline string) (Args, error) {
	values := map[string]string{}
	for _, word := range words(cmdline) {
		if key, value, found := strings.Cut(word, "="); found {
			values[key] = value
		}
	}
	mac, macErr := bootMAC(values)
	endpoint, endpointErr := endpoint(values["sidero.endpoint"])
	if err := errors.Join(macErr, endpointErr); err != nil {
		return Args{}, err
	}
	return Args{MAC: mac, Endpoint: endpoint}, nil
}

// words splits at white space outside of double quotes, as the kernel does, and drops
// the quotes.
func words(cmdline string) []string {
	quoted := false
	split := strings.FieldsFunc(cmdline, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t' || r == '\n')
	})
	for i, word := range split {
		split[i] = strings.ReplaceAll(word, `"`, "")
	}
	return split
}

func bootMAC(values map[string]string) (net.HardwareAddr, error) {
	if text := values["sidero.mac"]; text != "" {
		return parseMAC("sidero.mac", text)
	}
	text := values["BOOTIF"]
	if text == "" {
		return nil, errors.New("read kernel arguments: neither sidero.mac nor BOOTIF is there")
	}
	// PXELINUX puts the ARP hardware type in front: 01- for Ethernet.
	if len(text) == len("01-00-11-22-33-44-55") {
		text = text[len("01-"):]
	}
	return parseMAC("BOOTIF", text)
}

func parseMAC(key, text string) (net.HardwareAddr, error) {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 {
		return nil, fmt.Errorf("read kernel argument %s: %q is not an Ethernet address", key, text)
	}
	return mac, nil
}

// endpoint accepts host:port. Sidero writes an IPv6 host without brackets, so the last
// colon is what separates the port.
func endpoint(text string) (string, error) {
	if text == "" {
		return "", errors.New("read kernel arguments: sidero.endpoint is missing")
	}
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return "", fmt.Errorf("read kernel argument sidero.endpoint: %q has no port", text)
	}
	host, port := text[:colon], text[colon+1:]
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return "", fmt.Errorf("read kernel argument sidero.endpoint: %q has no valid port", text)
	}
	if host == "" || strings.ContainsAny(host, "[]/ \t") {
		return "", fmt.Errorf("read kernel argument sidero.endpoint: %q has no valid host", text)
	}
	return net.JoinHostPort(host, strconv.FormatUint(number, 10)), nil
}
