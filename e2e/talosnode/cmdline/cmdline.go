// Package cmdline reads the kernel's arguments that Talos knows.
package cmdline

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/link"
)

// Arguments are the kernel's, in their order.
type Arguments []string

// Parse reads what /proc/cmdline has.
func Parse(text string) Arguments { return strings.Fields(text) }

// First is the value of the first argument of a name, empty if there is none.
func (a Arguments) First(name string) string {
	for _, word := range a {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value
		}
	}

	return ""
}

// ofBoot are names of arguments that are about how the kernel was loaded this time.
func ofBoot(word string) bool {
	return strings.HasPrefix(word, "initrd=") || strings.HasPrefix(word, "BOOT_IMAGE=") || strings.HasPrefix(word, "BOOTIF=")
}

// Installed are the arguments of an installed node: those of now without what is about this boot, and those of the configuration.
func (a Arguments) Installed(extra []string) string {
	var kept []string

	for _, word := range a {
		if !ofBoot(word) {
			kept = append(kept, word)
		}
	}

	return strings.Join(append(kept, extra...), " ")
}

// Endpoints are where the node reports to by its arguments.
func (a Arguments) Endpoints() (link.Endpoints, error) {
	to := link.Endpoints{Events: a.First("talos.events.sink")}

	if api := a.First("siderolink.api"); api != "" {
		if !strings.Contains(api, "://") { // as Sidero writes it, and Talos takes it
			api = "grpc://" + api
		}

		parsed, err := url.Parse(api)
		if err != nil || parsed.Host == "" {
			return to, fmt.Errorf("read siderolink.api: %q is no URL", api)
		}

		to.API = parsed
	}

	if logs := a.First("talos.logging.kernel"); logs != "" {
		parsed, err := url.Parse(logs)
		if err != nil || parsed.Host == "" {
			return to, fmt.Errorf("read talos.logging.kernel: %q is no URL", logs)
		}

		to.Logs = []*url.URL{parsed}
	}

	return to, nil
}
