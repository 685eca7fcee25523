package redfish

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/common"
	"github.com/stmcginnis/gofish/redfish"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// pollInterval is the pause between looks at what a BMC takes its time for.
const pollInterval = 250 * time.Millisecond

type link struct {
	URI string `json:"@odata.id"`
}

// root is the ServiceRoot.
type root struct {
	Systems link
	Links   struct{ Sessions link }
}

// collection is a page of one.
type collection struct {
	Members []link
	Next    string `json:"Members@odata.nextLink"`
}

// system is the part of a ComputerSystem that power has to do with.
type system struct {
	uri, etag string

	PowerState redfish.PowerState
	Boot       *boot
	Actions    struct {
		Reset struct {
			Target  string              `json:"target"`
			Allowed []redfish.ResetType `json:"ResetType@Redfish.AllowableValues"`
			// Info is where the allowed values are when they are not here.
			Info string `json:"@Redfish.ActionInfo"`
		} `json:"#ComputerSystem.Reset"`
	}
	Settings struct {
		Object link `json:"SettingsObject"`
	} `json:"@Redfish.Settings"`
}

// actionInfo lists an action's parameters.
type actionInfo struct {
	Parameters []struct {
		Name            string
		AllowableValues []redfish.ResetType
	}
}

// fetch reads a resource. Properties of a wrong type are left at their zero values.
func fetch(client *gofish.APIClient, uri string, into any) (etag string, err error) {
	response, err := client.Get(uri)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if err := decode(body, into); err != nil {
		return "", fmt.Errorf("parse %s: %w", uri, err)
	}
	return response.Header.Get("ETag"), nil
}

func decode(body []byte, into any) error {
	var mistyped *json.UnmarshalTypeError
	if err := json.Unmarshal(body, into); err != nil && !errors.As(err, &mistyped) {
		return err
	}
	return nil
}

func readRoot(client *gofish.APIClient) (root, error) {
	var read root
	_, err := fetch(client, common.DefaultServiceRoot, &read)
	return read, err
}

// get reads the machine. One that is no longer where it was is looked for again.
func (d *Driver) get(client *gofish.APIClient) (*system, error) {
	uri, known := d.located()
	if !known {
		return d.getAnew(client)
	}
	machine, err := getSystem(client, uri)
	if status(err) == http.StatusNotFound {
		return d.getAnew(client)
	}
	return machine, err
}

func (d *Driver) getAnew(client *gofish.APIClient) (*system, error) {
	uri, err := d.locate(client)
	if err != nil {
		return nil, err
	}
	return getSystem(client, uri)
}

func getSystem(client *gofish.APIClient, uri string) (*system, error) {
	machine := &system{uri: uri}
	var err error
	if machine.etag, err = fetch(client, uri, machine); err != nil {
		return nil, err
	}
	return machine, nil
}

func (d *Driver) located() (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.system, d.system != ""
}

// locate finds the machine among the service's systems.
func (d *Driver) locate(client *gofish.APIClient) (string, error) {
	root, err := readRoot(client)
	if err != nil {
		return "", err
	}
	uris, err := members(client, cmp.Or(root.Systems.URI, "/redfish/v1/Systems"))
	if err != nil {
		return "", fmt.Errorf("list systems: %w", err)
	}
	uri, err := choose(uris, d.config.System)
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.system = uri
	return uri, nil
}

// members lists a collection, however many pages it has, but not for ever.
func members(client *gofish.APIClient, uri string) ([]string, error) {
	var uris []string
	for range 64 {
		var page collection
		if _, err := fetch(client, uri, &page); err != nil {
			return nil, err
		}
		for _, member := range page.Members {
			if member.URI != "" {
				uris = append(uris, member.URI)
			}
		}
		if page.Next == "" {
			break
		}
		uri = page.Next
	}
	return uris, nil
}

// errWhichSystem is in the error when the configuration does not tell which system.
var errWhichSystem = errors.New("find system")

// choose picks the system with the id, or the only one.
func choose(uris []string, id string) (string, error) {
	var ids []string
	for _, uri := range uris {
		last := path.Base(uri)
		if id != "" && (last == id || uri == id) {
			return uri, nil
		}
		ids = append(ids, last)
	}
	slices.Sort(ids)
	switch {
	case len(uris) == 0:
		return "", errors.New("the service has no system: see whether the machine is in the chassis and the BMC has finished starting")
	case id != "":
		return "", fmt.Errorf("%w: there is no %q: set the system's id to one of %s", errWhichSystem, id, strings.Join(ids, ", "))
	case len(uris) > 1:
		return "", fmt.Errorf("%w: there are %d: set the system's id to one of %s", errWhichSystem, len(uris), strings.Join(ids, ", "))
	}
	return uris[0], nil
}

// state is what the machine's power is called here. A machine whose power is going still has some.
func (s *system) state() (power.State, error) {
	switch s.PowerState {
	case redfish.OnPowerState, redfish.PoweringOnPowerState, redfish.PoweringOffPowerState, redfish.PausedPowerState:
		return power.On, nil
	case redfish.OffPowerState:
		return power.Off, nil
	case "":
		return power.Unknown, fmt.Errorf("%s has no PowerState: it may be there when the BMC has finished starting", s.uri)
	}
	return power.Unknown, nil
}

// errNotAllowed is in the error when the system allows none of the resets that would do.
var errNotAllowed = errors.New("reset not allowed")

// pick is the first wanted reset that is allowed. What lists none is taken to allow the first.
func pick(allowed, wanted []redfish.ResetType) (redfish.ResetType, error) {
	if len(allowed) == 0 {
		return wanted[0], nil
	}
	for _, reset := range wanted {
		if slices.Contains(allowed, reset) {
			return reset, nil
		}
	}
	return "", fmt.Errorf("%w: the BMC offers %v, needed is one of %v", errNotAllowed, allowed, wanted)
}

// reset sends the first wanted reset that the system allows. BMCs refuse a reset to the power state that there is already;
// that is no error when the state is the one to be reached.
func (d *Driver) reset(client *gofish.APIClient, machine *system, reach redfish.PowerState, wanted ...redfish.ResetType) error {
	kind, err := pick(allowedResets(client, machine), wanted)
	if err != nil {
		return err
	}
	target := cmp.Or(machine.Actions.Reset.Target, machine.uri+"/Actions/ComputerSystem.Reset")
	response, err := client.Post(target, struct{ ResetType redfish.ResetType }{kind})
	if err == nil {
		return response.Body.Close()
	}
	if code := status(err); reach != "" && code >= 400 && code < 500 && code != http.StatusUnauthorized {
		if now, failed := d.get(client); failed == nil && now.PowerState == reach {
			return nil
		}
	}
	return fmt.Errorf("reset %s: %w", kind, err)
}

// allowedResets are listed in the system, or elsewhere, or not at all.
func allowedResets(client *gofish.APIClient, machine *system) []redfish.ResetType {
	reset := machine.Actions.Reset
	if len(reset.Allowed) > 0 || reset.Info == "" {
		return reset.Allowed
	}
	var info actionInfo
	if _, err := fetch(client, reset.Info, &info); err != nil {
		return nil
	}
	for _, parameter := range info.Parameters {
		if parameter.Name == "ResetType" {
			return parameter.AllowableValues
		}
	}
	return nil
}
